import { describe, expect, it } from '@jest/globals';
import { SeededRandom, UuidV7Generator, VirtualClock } from '@concordat/foundation';
import { limitOf, timeLeftMs } from './time-left.js';

const HOUR_MS = 3_600_000;
const clock = new VirtualClock();
const now = clock.now();

it.each([
  ['right', 0, 30_000],
  ['a second behind', -1_000, 30_000],
  ['hours behind', -30 * HOUR_MS, 30_000],
  ['a second ahead', 1_000, 29_000],
  ['hours ahead', HOUR_MS, 30_000 - HOUR_MS],
])('with a clock that is %s, a fresh branch has the time of its transaction at most', (_, aheadMs, expected) => {
  const limit = { deadline: now - aheadMs + 30_000, timeoutMs: 30_000 };
  expect(timeLeftMs(limit, clock)).toBe(expected);
});

describe('limitOf', () => {
  it('is the time between the begin of a transaction, which its id tells, and its deadline', () => {
    const transactionId = new UuidV7Generator(() => now, new SeededRandom(1)).next();
    const deadline = now + 12_000;
    expect(limitOf({ transactionId, deadline })).toEqual({ deadline, timeoutMs: 12_000 });
  });
});
