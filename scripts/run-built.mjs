import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');

/** Brings dependencies and build of this clone up to date, then runs the program with this path from `dist`. */
export async function runBuilt(program) {
  const { status } = spawnSync(process.execPath, [path.join(root, 'scripts', 'setup.mjs')], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  await import(path.join(root, 'dist', program));
}
