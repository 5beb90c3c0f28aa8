// After changesets has raised the version of the packages: the repository and the constant follow.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readWorkspaces } from './workspaces.mjs';

const root = path.resolve(import.meta.dirname, '..');
const [{ manifest }] = readWorkspaces(root);

function replace(file, pattern) {
  const full = path.join(root, file);
  writeFileSync(full, readFileSync(full, 'utf8').replace(pattern, `$1${manifest.version}$2`));
}

replace('package.json', /("version": ")[^"]+(")/);
replace('libs/foundation/src/version.ts', /(VERSION = ')[^']+(')/);
