import { describe, expect, it } from '@jest/globals';
import type { TransactionState } from '@concordat/commit-protocol';
import { VirtualClock } from '@concordat/foundation';
import { EXACT_COUNT_LIMIT, InDoubtCount } from './in-doubt-count.js';

/** Transactions with numbers for ids, each with a branch in doubt; tells how many were looked at. */
function setUp(open: number) {
  const clock = new VirtualClock();
  const ids = Array.from({ length: open }, (_, number) => String(number).padStart(9, '0'));
  let looked = 0;
  const count = new InDoubtCount({
    clock,
    openCount: () => ids.length,
    *openAbove(above) {
      for (const transactionId of ids) {
        if (above === undefined || transactionId > above) yield { transactionId } as TransactionState;
      }
    },
    countOf: () => {
      looked++;
      return 1;
    },
  });
  return { clock, ids, count, looked: () => looked };
}

describe('the count of what is in doubt', () => {
  it('is exact where few are open', () => {
    const { count, ids, looked } = setUp(EXACT_COUNT_LIMIT);
    expect([count.read(), looked()]).toEqual([EXACT_COUNT_LIMIT, EXACT_COUNT_LIMIT]);
    ids.length = 5;
    expect(count.read()).toBe(5);
  });

  it('is the last one where many are, and counted anew in slices, once at a time', () => {
    const open = 3 * EXACT_COUNT_LIMIT + 7;
    const { count, clock, ids, looked } = setUp(open);
    expect([count.read(), looked()]).toEqual([0, EXACT_COUNT_LIMIT]);
    for (let turn = 2; turn <= 3; turn++) {
      expect(clock.fireNext()).toBe(true);
      expect([count.read(), looked()]).toEqual([0, turn * EXACT_COUNT_LIMIT]);
    }
    ids.splice(0, 10); // what was counted and ends meanwhile is still in it
    expect(clock.fireNext()).toBe(true);
    expect([looked(), clock.fireNext()]).toEqual([open, false]);
    expect(count.read()).toBe(open);
    while (clock.fireNext()) continue;
    expect(count.read()).toBe(open - 10);
  });
});
