import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Set by `failure-aware-environment.mjs`. */
const HAS_FAILED = Symbol.for('concordat.test.has-failed');
const TELLING = / (warn|error) |leading in term|no longer lead|stream of .* has ended|connected/;
const LINES_OF_ONE = 25;
const LINE_LENGTH = 300;

/** Whether a test or a hook of this file has failed so far. */
export function hasTestFailed(): boolean {
  return (globalThis as Record<symbol, unknown>)[HAS_FAILED] === true;
}

/** What the parts of a local system said last of trouble, leaders and connections, by their log files. */
export function troubleInLogs(directory: string): string {
  const folder = join(directory, 'logs');
  const files = readdirSync(folder).filter((name) => name.endsWith('.log'));
  const said = files.map((name) => {
    const lines = readFileSync(join(folder, name), 'utf8').split('\n');
    const telling = lines.filter((line) => TELLING.test(line)).slice(-LINES_OF_ONE);
    return [`== ${name}`, ...telling.map((line) => line.slice(0, LINE_LENGTH))].join('\n');
  });
  return said.join('\n');
}
