#!/usr/bin/env node
import { guarded } from '@concordat/foundation';
import { runWalTool } from './run.js';

// A closed pipe (`concordat-wal inspect … | head`) is no failure.
const guardedExit = guarded(
  () => process.exit(),
  () => undefined,
);
for (const stream of [process.stdout, process.stderr]) stream.on('error', guardedExit);

process.exitCode = await runWalTool(process.argv.slice(2), {
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
});
