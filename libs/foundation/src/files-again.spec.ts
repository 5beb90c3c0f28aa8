import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFilesAgain, readFilesAgainOnHangUp, rereadOnRequest } from './files-again.js';
import type { Logger } from './logger.js';
import { WatchedFile } from './watched-file.js';

let directory: string;
let file: string;
let lines: string[];
let logger: Logger;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-again-'));
  file = join(directory, 'secret');
  writeFileSync(file, 'first', { mode: 0o600 });
  const told: string[] = (lines = []); // files of earlier tests may still be known
  const note = (text: string): void => void told.push(text);
  logger = { debug: note, info: note, warn: note, error: note };
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Its clock stands still, so it never looks by itself. */
function watched(): WatchedFile<string> {
  return new WatchedFile<string>({
    path: file,
    kind: 'secret',
    parse: (text) => (text === 'wrong' ? { ok: false, expected: 'right' } : { ok: true, content: text }),
    monotonic: () => 0,
    logger,
    failure: (sentence) => new Error(sentence),
  });
}

describe('files that are read again on request', () => {
  it('count at once', () => {
    const secret = watched();
    writeFileSync(file, 'second');
    expect(secret.content).toBe('first');
    readFilesAgain();
    expect(secret.content).toBe('second');
    expect(lines).toEqual([`${file} is asked for and is read again`]);
  });

  it('stay as they were when they are wrong', () => {
    const secret = watched();
    writeFileSync(file, 'wrong');
    readFilesAgain();
    expect(secret.content).toBe('first');
    expect(lines).toEqual([`${file} is asked for and is not taken; what it said before counts. It must be right`]);
  });

  it('are read at SIGHUP, which does not end the process, and whatever fails', () => {
    const before = process.listeners('SIGHUP');
    readFilesAgainOnHangUp(logger);
    const forget = rereadOnRequest({
      readAgain: () => {
        throw new Error('a disk that is gone');
      },
    });
    const added = process.listeners('SIGHUP').filter((listener) => !before.includes(listener));
    try {
      process.emit('SIGHUP', 'SIGHUP');
      forget();
      process.emit('SIGHUP', 'SIGHUP');
    } finally {
      for (const listener of added) process.off('SIGHUP', listener);
    }
    expect(added).toHaveLength(1);
    expect(lines).toEqual([
      'SIGHUP: the files could not be read again',
      'SIGHUP: files with certificates, keys and tokens are read again',
    ]);
  });
});
