import { describe, expect, it } from '@jest/globals';
import { disturbedBetween } from './delays.js';
import type { Transfer } from './truth.js';

function transfer(key: string, times: Pick<Transfer, 'askedAt' | 'toldAt'>, rest: Partial<Transfer> = {}): Transfer {
  const [from, to] = ['bank-a', 'bank-b'].map((bank) => ({ bank, account: 'acc-1' }));
  return { key, from: from!, to: to!, amount: 1, told: 'committed', ...times, ...rest };
}

describe('the transfers of a disturbance', () => {
  it('are those that were open at any time of it', () => {
    const transfers = [
      transfer('before', { askedAt: 0, toldAt: 99 }),
      transfer('into it', { askedAt: 50, toldAt: 150 }),
      transfer('in it', { askedAt: 150, toldAt: 160 }),
      transfer('out of it', { askedAt: 190, toldAt: 260 }),
      transfer('after', { askedAt: 201, toldAt: 900 }),
    ];
    expect(disturbedBetween(transfers, 100, 200)).toEqual({ count: 3, failed: [], longestMs: 100 });
  });

  it('fail without an answer, and by any abort but that of an empty account', () => {
    const aborted = { told: 'aborted' } as const;
    const transfers = [
      transfer('poor', { askedAt: 1, toldAt: 2 }, { ...aborted, abortReason: 'INSUFFICIENT_FUNDS' }),
      transfer('late', { askedAt: 1, toldAt: 5 }, { ...aborted, abortReason: 'VOTE_TIMEOUT' }),
      { ...transfer('open', { askedAt: 1 }), told: undefined } as unknown as Transfer,
    ];
    const { failed } = disturbedBetween(transfers, 0, 10);
    expect(failed).toEqual(['late was aborted: VOTE_TIMEOUT', 'open has no answer']);
  });
});
