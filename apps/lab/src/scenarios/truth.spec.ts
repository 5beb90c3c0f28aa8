import { describe, expect, it } from '@jest/globals';
import { agreementProblems, answerCheck, moneyChecks, type Transfer } from './truth.js';

const opening = new Map([
  ['bank-a/acc-0', 1000n],
  ['bank-b/acc-0', 1000n],
]);
const transfer = (told: 'committed' | 'aborted' | undefined): Transfer => ({
  key: 'k',
  id: 't',
  from: { bank: 'bank-a', account: 'acc-0' },
  to: { bank: 'bank-b', account: 'acc-0' },
  amount: 5,
  ...(told ? { told } : {}),
});
const balances = (a: bigint, b: bigint): Map<string, bigint> =>
  new Map([
    ['bank-a/acc-0', a],
    ['bank-b/acc-0', b],
  ]);
const broken = (closing: Map<string, bigint>, transfers: readonly Transfer[]): string[] =>
  moneyChecks(opening, closing, transfers)
    .filter(({ holds }) => !holds)
    .map(({ name }) => name);

describe('the truth about money', () => {
  it('holds when committed transfers moved and aborted ones did not', () => {
    expect(broken(balances(995n, 1005n), [transfer('committed'), transfer('aborted')])).toEqual([]);
  });
  it('finds a half: money is missing', () => {
    expect(broken(balances(995n, 1000n), [transfer('committed')])).toEqual(['sum of money', 'per-account replay']);
  });
  it('finds an effect of what was told aborted, although the sum is right', () => {
    expect(broken(balances(995n, 1005n), [transfer('aborted')])).toEqual(['per-account replay']);
  });
  it('knows of a half that was rolled back by hand, and of nothing more', () => {
    expect(broken(balances(995n, 1000n), [{ ...transfer('committed'), lost: 'to' }])).toEqual([]);
    expect(broken(balances(1000n, 1005n), [{ ...transfer('committed'), lost: 'from' }])).toEqual([]);
    const both = [{ ...transfer('committed'), lost: 'to' } as const, transfer('committed')];
    expect(broken(balances(990n, 1000n), both)).toEqual(['sum of money', 'per-account replay']);
  });
  it('expects a lost half again once somebody has made up for it by hand', () => {
    const repaired = [{ ...transfer('committed'), lost: 'from', isRepaired: true } as const];
    expect(broken(balances(995n, 1005n), repaired)).toEqual([]);
    expect(broken(balances(1000n, 1005n), repaired)).toEqual(['sum of money', 'per-account replay']);
    expect(agreementProblems(repaired[0]!, [{ node: 'n', outcome: 'mixed' }])).toEqual([]);
  });
  it('knows of a half that went with a restore, and of nothing more', () => {
    expect(broken(balances(995n, 1000n), [{ ...transfer('committed'), restoredAway: 'to' }])).toEqual([]);
    expect(broken(balances(1000n, 1005n), [{ ...transfer('committed'), restoredAway: 'from' }])).toEqual([]);
    const kept = broken(balances(995n, 1005n), [{ ...transfer('committed'), restoredAway: 'to' }]);
    expect(kept).toEqual(['sum of money', 'per-account replay']);
  });
  it('knows what each of three accounts gets', () => {
    const three: Transfer = { ...transfer('committed'), also: { bank: 'bank-c', account: 'acc-0' } };
    const before = new Map([...opening, ['bank-c/acc-0', 0n]]);
    const after = (a: bigint, b: bigint, c: bigint) => new Map([...balances(a, b), ['bank-c/acc-0', c]]);
    const holds = (closing: Map<string, bigint>, one: Transfer): boolean =>
      moneyChecks(before, closing, [one]).every((check) => check.holds);
    expect(holds(after(995n, 1003n, 2n), three)).toBe(true);
    expect(holds(after(995n, 1005n, 0n), three)).toBe(false);
    expect(holds(after(995n, 1003n, 0n), { ...three, lost: 'also' })).toBe(true);
  });
  it('finds an account that vanished', () => {
    expect(broken(new Map([['bank-a/acc-0', 2000n]]), [])).toEqual(['per-account replay']);
  });
});

describe('the truth about answers', () => {
  it('finds a client without an answer', () => {
    expect(answerCheck([transfer('committed'), transfer(undefined)]).holds).toBe(false);
  });
  it('finds a node that says something else', () => {
    const answers = [
      { node: 'coordinator-1', outcome: 'committed' },
      { node: 'coordinator-2', outcome: 'aborted' },
    ];
    expect(agreementProblems(transfer('committed'), answers)).toHaveLength(1);
    expect(agreementProblems({ ...transfer('committed'), lost: 'to' }, answers)).toHaveLength(2);
  });
  it('wants a forgotten transaction to be called forgotten, by every node', () => {
    const answers = ['status 410', 'status 404', 'committed'].map((outcome) => ({ node: 'coordinator-1', outcome }));
    expect(agreementProblems({ ...transfer('committed'), forgotten: 'expired' }, answers)).toHaveLength(2);
    expect(agreementProblems({ ...transfer('committed'), restoredAway: 'to' }, answers)).toHaveLength(2);
  });
});
