import { resolve } from 'node:path';
import { errorMessage } from '@concordat/foundation';
import { socketClaims, type DirectoryClaims } from '../directory-claim.js';
import { hasErrorCode, nodeFileSystem, type FileSystem } from '../file-system.js';
import { systemProcessTable, type ProcessTable } from '../process-table.js';
import { helpText, parseWalCommand } from './arguments.js';
import { DirectoryReader } from './directory-reader.js';
import { inspect, type PrintLine } from './inspect.js';
import { verify } from './verify.js';

export interface WalToolPorts {
  readonly print: PrintLine;
  readonly complain: PrintLine;
  /** default: the machine's; nothing is written to it */
  readonly fileSystem?: FileSystem;
  readonly processTable?: ProcessTable;
  readonly claims?: DirectoryClaims;
}

/** How often a directory is read when a running node keeps removing files. */
const maximumLooks = 5;

/** `concordat-wal`: inspects a node's directory. Returns the exit status: 0 valid, 1 damaged, 2 wrong use. */
export async function runWalTool(args: readonly string[], ports: WalToolPorts): Promise<0 | 1 | 2> {
  const { print, complain } = ports;
  const command = parseWalCommand(args);
  if (command.kind === 'help') {
    print(helpText.trimEnd());
    return 0;
  }
  if (command.kind === 'wrong') {
    complain(`concordat-wal: ${command.reason}; see concordat-wal --help`);
    return 2;
  }
  const directory = resolve(command.directory);
  const { fileSystem = nodeFileSystem, processTable = systemProcessTable, claims = socketClaims } = ports;
  try {
    for (let look = 1; look <= maximumLooks; look++) {
      const reader = new DirectoryReader(directory, fileSystem, processTable, claims);
      if (!(await reader.open())) {
        complain(`concordat-wal: ${directory} holds no segment and no snapshot; is it the directory of a node's log?`);
        return 2;
      }
      if (command.kind === 'inspect') return (await inspect(reader, command.show, command.json, print)) ? 0 : 1;
      const verdict = await verify(reader, command.json, print);
      if (verdict !== 'changed') return verdict === 'sound' ? 0 : 1;
      complain('concordat-wal: the node removed files meanwhile');
    }
    complain(`concordat-wal: ${directory} changes too fast; stop the node first`);
    return 2;
  } catch (error) {
    complain(`concordat-wal: ${describeAccess(error, directory)}`);
    return 2;
  }
}

function describeAccess(error: unknown, directory: string): string {
  if (hasErrorCode(error, 'ENOENT')) return `there is no directory ${directory}`;
  if (hasErrorCode(error, 'ENOTDIR')) return `${directory} is not a directory`;
  return `${directory} cannot be read: ${errorMessage(error)}`;
}
