import { describe, expect, it } from '@jest/globals';
import { connectionLimit, RESERVED_FILES, streamLimit } from './connection-limit.js';

describe('the limit of connections', () => {
  it.each([
    [undefined, undefined, 10_000, false],
    [undefined, 1_048_576, 10_000, false],
    [undefined, 1_024, 256, true],
    [200, 1_024, 200, false],
    [20_000, 4_096, 1_792, true],
    [undefined, 256, 16, true],
    [500, undefined, 500, false],
  ])('is, with %p wanted and %p files, %d', (wanted, files, maximum, warns) => {
    const limit = connectionLimit({ wanted }, files);
    expect(limit.maximum).toBe(maximum);
    expect(limit.warning !== undefined).toBe(warns);
    if (files !== undefined && files > 600) expect(files - 2 * limit.maximum).toBeGreaterThanOrEqual(RESERVED_FILES);
  });

  it.each([
    [undefined, 1_024],
    [1_048_576, 1_024],
    [1_024, 128],
    [100, 32],
  ])('of direct streams, with %p files, is %d', (files, streams) => expect(streamLimit(files)).toBe(streams));
});
