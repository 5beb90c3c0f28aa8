#!/usr/bin/env node
import { runWalTool } from './run.js';

// A reader that went away (`concordat-wal inspect … | head`) is no failure.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit());

process.exitCode = await runWalTool(process.argv.slice(2), {
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
});
