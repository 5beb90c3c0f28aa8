#!/usr/bin/env node
import { EXIT } from '@concordat/foundation';
import { parseCommand, UsageError, type Command } from './arguments.js';
import { dev } from './dev.js';

/** Exit code of a command line that means nothing (sysexits.h). */
const USAGE = 64;

let command: Command | undefined;
try {
  command = parseCommand(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`concordat: ${error.message}\n`);
  process.exitCode = USAGE;
}
if (command?.kind === 'help') {
  process.stdout.write(command.text);
  process.exitCode = EXIT.stopped;
} else if (command) {
  await dev(command.options);
}
