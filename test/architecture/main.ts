import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DRAWN_FOLDERS, drawFolder } from './folder-drawing.js';
import { checkImports } from './import-check.js';
import { publicNames, readImports } from './import-graph.js';
import { withLayerTable } from './layer-table.js';

const root = process.cwd();
const DOCUMENT = path.join(root, 'docs', 'architecture.md');

/** `check`: who imports whom against the table. Without an argument: writes what is made from table and imports. */
function main([command]: readonly string[]): number {
  const { files, imports } = readImports(root);
  if (command === 'check') {
    const breaches = checkImports(files, imports, publicNames(root));
    for (const { file, message } of breaches) console.error(`${file} ${message}`);
    return breaches.length === 0 ? 0 : 1;
  }
  writeFileSync(DOCUMENT, withLayerTable(readFileSync(DOCUMENT, 'utf8')));
  for (const [name, folder] of Object.entries(DRAWN_FOLDERS)) {
    writeFileSync(path.join(root, 'docs', 'images', `${name}.svg`), drawFolder(folder, files, imports));
  }
  return 0;
}

process.exitCode = main(process.argv.slice(2));
