import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

function* sourcesUnder(folder) {
  if (!existsSync(folder)) return;
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, item.name);
    if (item.isDirectory()) yield* sourcesUnder(full);
    else if (!/\.(spec|e2e-spec|sim-spec)\.tsx?$/.test(item.name)) yield full;
  }
}

/** A hash over names and contents: unlike times it survives `git checkout` and notices a deleted file. */
export function sourceHash(root, { folders, files }) {
  const hash = createHash('sha256');
  const all = [
    ...files.map((name) => path.join(root, name)),
    ...folders.flatMap((name) => [...sourcesUnder(path.join(root, name))]),
  ];
  for (const file of all.sort()) {
    if (!existsSync(file)) continue;
    hash
      .update(`${path.relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}
