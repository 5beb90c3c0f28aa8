import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import { warnOfOpenDirectory } from './data-directory-mode.js';

describe('the mode of the data directory', () => {
  it('is a warning with what mends it when others may enter it, and else nothing', () => {
    const directory = mkdtempSync(join(tmpdir(), 'concordat-data-'));
    const told: string[] = [];
    const logger = { ...silentLogger, warn: (text: string) => void told.push(text) };
    try {
      warnOfOpenDirectory(join(directory, 'missing'), logger);
      warnOfOpenDirectory(directory, logger); // mkdtemp makes it with 0700
      expect(told).toEqual([]);
      chmodSync(directory, 0o750);
      warnOfOpenDirectory(directory, logger);
      expect(told).toEqual([
        expect.stringContaining(`its mode is 0750, and 0700 would be right (chmod -R go= "${directory}")`),
      ]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
