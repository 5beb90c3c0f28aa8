import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { format } from './format.js';
import { referencePages } from './pages.js';

/** Writes docs/reference anew. */
async function main(): Promise<void> {
  const root = process.cwd();
  const folder = path.join(root, 'docs', 'reference');
  mkdirSync(folder, { recursive: true });
  const pages = referencePages(root);
  for (const name of readdirSync(folder)) if (!pages.has(name)) rmSync(path.join(folder, name));
  for (const [name, text] of pages) writeFileSync(path.join(folder, name), await format(root, name, text));
}

await main();
