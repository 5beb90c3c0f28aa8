import { statSync } from 'node:fs';
import type { Logger } from '@concordat/foundation';

const OTHERS = 0o077;

/**
 * Warns when a data directory that exists may be entered by others than its owner, with the command that mends it. A
 * directory that is made is made with 0700.
 */
export function warnOfOpenDirectory(directory: string, logger: Logger): void {
  if (process.platform === 'win32') return; // its modes say nothing
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats === undefined || (stats.mode & OTHERS) === 0) return;
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  logger.warn(
    `others than its owner may enter the data directory, which holds payloads and results: its mode is ${mode}, ` +
      `and 0700 would be right (chmod -R go= ${JSON.stringify(directory)})`,
  );
}
