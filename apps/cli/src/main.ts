#!/usr/bin/env node
import { EXIT, VERSION } from '@concordat/foundation';
import { parseCommand, type Command } from './arguments.js';
import { hidePasswords } from './password-in-words.js';
import { UsageError } from './usage-error.js';

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
// each command loads only what it needs: a coordinator is 1,400 files
switch (command?.kind) {
  case 'help':
    process.stdout.write(command.text);
    process.exitCode = EXIT.stopped;
    break;
  case 'version':
    process.stdout.write(`${VERSION}\n`);
    process.exitCode = EXIT.stopped;
    break;
  case 'server-help':
    process.stdout.write((await import('../../coordinator/src/service/index.js')).formatHelp());
    process.exitCode = EXIT.stopped;
    break;
  case 'server':
    await (await import('../../coordinator/src/service/index.js')).runFromEnvironment(process.env);
    break;
  case 'dev':
    await (await import('./dev.js')).dev(command.options);
    break;
  case 'doctor':
    hidePasswords('doctor', command.options.databases);
    await (await import('./doctor/index.js')).doctor(command.options);
    break;
  case 'migrate':
    hidePasswords('migrate', [command.options.database]);
    process.exitCode = (await (await import('./migrate/index.js')).migrate(command.options))
      ? EXIT.stopped
      : EXIT.failed;
    break;
  case 'token':
    process.exitCode = (await import('./token.js')).createToken(command.options) ? EXIT.stopped : USAGE;
    break;
  case 'key':
    process.exitCode = (await import('./messages/key.js')).createSigningKey(command.options) ? EXIT.stopped : USAGE;
    break;
  case 'acls':
    process.stdout.write((await import('./messages/acls.js')).aclCommands(command.options));
    process.exitCode = EXIT.stopped;
    break;
  case undefined:
}
