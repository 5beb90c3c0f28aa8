#!/usr/bin/env node
import { FileStorage } from '../storage/file-storage.js';

/*
 * A process that opens a directory and keeps it: prints `open`, or the code of the error, and lives until it is killed
 * or its input ends.
 */
const storage = new FileStorage({ directory: process.argv[2]!, nodeId: 1 });
process.stdin.on('end', () => void storage.close().then(() => process.exit(0))).resume();
try {
  await storage.open();
  process.stdout.write('open\n');
} catch (error) {
  process.stdout.write(`${(error as { code?: string }).code ?? String(error)}\n`);
  process.exitCode = 1;
  process.stdin.destroy();
}
