import { describe, expect, it } from '@jest/globals';
import { backoffMs } from './backoff.js';
import { SeededRandom } from './random.js';

const OPTIONS = { baseMs: 100, capMs: 5000 };
const least = { uint32: () => 0 };
const most = { uint32: () => 0xffff_ffff };

describe('backoffMs', () => {
  it('doubles up to the cap', () => {
    const delays = [0, 1, 2, 5, 6, 7].map((attempt) => Math.round(backoffMs(attempt, OPTIONS, most)));
    expect(delays).toEqual([100, 200, 400, 3200, 5000, 5000]);
  });

  it('spreads every delay over its upper half', () => {
    expect(backoffMs(1, OPTIONS, least)).toBe(100);
    const random = new SeededRandom(1);
    const delays = Array.from({ length: 1000 }, () => backoffMs(1, OPTIONS, random));
    for (const delayMs of delays) expect(delayMs >= 100 && delayMs < 200).toBe(true);
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(90);
  });

  it('stays finite after any number of attempts', () => {
    expect(Math.round(backoffMs(1_000_000, OPTIONS, most))).toBe(5000);
    expect(backoffMs(1_000_000, { baseMs: 1, capMs: Infinity }, most)).toBeLessThan(Infinity);
  });
});
