#!/usr/bin/env node
// The command `concordat` of a clone: brings dependencies and build up to date, then runs it.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const { status } = spawnSync(process.execPath, [path.join(root, 'scripts', 'setup.mjs')], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
await import(path.join(root, 'dist', 'apps', 'cli', 'src', 'main.js'));
