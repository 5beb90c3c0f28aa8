import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomChance, randomInteger, randomItem } from '@concordat/foundation';
import { FIRST_BALLOT } from '../ballots/ballot.js';
import type { DecisionStateSnapshot } from './decision-state-snapshot.js';
import { DecisionState } from './decision-state.js';
import { PlainEndedTransactions } from '../testing/plain-ended-transactions.js';
import type { FrozenState } from './frozen-state.js';
import type { BranchReport, LogRecord } from './records.js';
import { AT, beginOf, branchOf, idOf, preparedBranch } from '../testing/leader-driver.js';
import type { BranchEnd, RulingAction, Vote } from '../vocabulary/types.js';

const TRANSACTIONS = 12;
const STEPS = 400;
const SEEDS = 40;

/** Records of every type about few transactions, most of them possible, the others refused. */
class RandomRecords {
  private key = 0;
  private readonly begun = new Set<number>();
  private readonly granted = new Map<string, number>(); // indices of the records that asked for locks

  constructor(private readonly random: SeededRandom) {}

  next(index: number): LogRecord {
    const number = randomInteger(this.random, 1, TRANSACTIONS);
    const transactionId = idOf(number);
    if (!this.begun.has(number)) {
      this.begun.add(number);
      return this.begin(number);
    }
    const votes: readonly Vote[] = ['yes', 'yes', 'read-only', 'no'];
    const reports = (vote?: Vote): BranchReport[] =>
      [1, 2].map((branch) => ({
        branchId: idOf(number, branch),
        vote: vote ?? randomItem(this.random, votes),
        results: [{ index }],
      }));
    switch (randomInteger(this.random, 0, 11)) {
      case 0:
        return {
          type: 'enlist',
          transactionId,
          branch: this.chance(0.5) ? branchOf(randomInteger(this.random, 1, 3)) : preparedBranch(4),
          at: AT,
          ...(this.chance(0.5) && { idempotency: this.claim() }),
        };
      case 1:
        return { type: 'commit-requested', transactionId, at: AT };
      case 2:
        return {
          type: 'decide',
          transactionId,
          decision: 'commit',
          reports: reports('yes'),
          basis: { type: 'ballot', ballot: FIRST_BALLOT, acceptedBy: [idOf(number, 1), idOf(number, 2)] },
          at: AT + index,
        };
      case 3:
        return { type: 'decide', transactionId, decision: 'abort', reports: reports(), at: AT + index };
      case 4:
        return {
          type: 'resolve',
          transactionId,
          ...(this.chance(0.7) && { branchId: idOf(number, randomInteger(this.random, 1, 2)) }),
          action: randomItem<RulingAction>(this.random, ['commit', 'abort', 'forget']),
          operator: 'ana',
          reason: 'to see',
          force: this.chance(0.7),
          reports: reports(),
          at: AT + index,
          ...(this.chance(0.5) && { idempotency: this.claim() }),
        };
      case 5:
        return { type: 'participant', name: `bank-${number}`, operations: [`operation-${index}`], at: AT };
      case 6:
        return { type: 'expire', before: AT + index - 100 };
      case 7:
        return {
          type: 'pre-commit',
          transactionId,
          ballot: FIRST_BALLOT,
          reports: reports('yes'),
          at: AT,
        };
      case 8:
        return this.lockRecord(index);
      default:
        return this.done(index);
    }
  }

  private begin(number: number): LogRecord {
    const threePhases = number % 3 === 0;
    const branches = !threePhases && this.chance(0.5) ? [] : [branchOf(1), branchOf(2)];
    return {
      ...beginOf(branches, { closed: branches.length > 0 && this.chance(0.7) }),
      transactionId: idOf(number),
      protocol: threePhases ? '3pc' : '2pc',
      branches: branches.map((branch, at) => ({ ...branch, branchId: idOf(number, at + 1) })),
      ...(this.chance(0.5) && { idempotency: this.claim() }),
    };
  }

  private done(index: number): LogRecord {
    const ends: readonly BranchEnd[] = ['committed', 'aborted', 'heuristic-commit', 'heuristic-rollback'];
    const items = [1, 2, 3].map(() => {
      const number = randomInteger(this.random, 1, TRANSACTIONS);
      const branchId = idOf(number, randomInteger(this.random, 1, 2));
      return { transactionId: idOf(number), branchId, end: randomItem(this.random, ends) };
    });
    return { type: 'branches-done', items, publishedIndex: index - 20, at: AT + index };
  }

  /** About two locks; those that name a token are often refused. */
  private lockRecord(index: number): LogRecord {
    const name = randomItem(this.random, ['one', 'two']);
    const at = AT + index;
    if (!this.granted.has(name) || this.chance(0.2)) {
      if (!this.granted.has(name)) this.granted.set(name, index);
      return { type: 'lock-acquire', name, owner: 'a', ttlMs: 1, at };
    }
    const fencingToken = this.granted.get(name)!;
    if (this.chance(0.5)) return { type: 'lock-renew', name, owner: 'a', fencingToken, ttlMs: 1, at };
    this.granted.delete(name);
    if (this.chance(0.5)) return { type: 'lock-release', name, owner: 'a', fencingToken, at };
    return { type: 'lock-expire', leases: [{ name, renewedIndex: fencingToken }], at };
  }

  private claim(): { key: string; bodyHash: string } {
    return { key: `key-${this.key++}`, bodyHash: 'ab' };
  }

  private chance(probability: number): boolean {
    return randomChance(this.random, probability);
  }
}

function textOfFrozen(frozen: FrozenState): string {
  const [open, unpublished] = [[...frozen.open()], [...frozen.unpublished()]];
  return JSON.stringify({ open, unpublished, locks: frozen.locks, ...frozen.remainder });
}

function textOfState(state: DecisionState): string {
  return JSON.stringify(state.takeSnapshot());
}

describe('a frozen state', () => {
  it(`stays what it was while records of every type are applied (${SEEDS} seeds)`, () => {
    const applied = new Set<string>();
    let copied = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = new SeededRandom(seed);
      const records = new RandomRecords(random);
      const state = new DecisionState(new PlainEndedTransactions());
      const kept: { frozen: FrozenState; text: string }[] = [];
      for (let index = 1; index <= STEPS; index++) {
        const record = records.next(index);
        const { refusal } = state.apply(record, index);
        if (refusal === undefined) applied.add(record.type);
        if (randomChance(random, 0.05)) kept.push({ frozen: state.freeze(index), text: textOfState(state) });
        for (const { frozen, text } of kept) {
          if (textOfFrozen(frozen) !== text) throw new Error(`seed ${seed}: ${record.type} at ${index} changed it`);
        }
        if (kept.length > 3) {
          const { frozen } = kept.shift()!;
          copied += frozen.copiedCount;
          frozen.release();
        }
        if (randomChance(random, 0.005)) {
          state.restoreSnapshot(JSON.parse(textOfState(state)) as DecisionStateSnapshot);
        }
      }
    }
    const expected = [
      'begin',
      'branches-done',
      'commit-requested',
      'decide',
      'enlist',
      'expire',
      'lock-acquire',
      'lock-expire',
      'lock-release',
      'lock-renew',
      'participant',
      'pre-commit',
      'resolve',
    ];
    expect([...applied].sort()).toEqual(expected);
    expect(copied).toBeGreaterThan(SEEDS);
  });

  it('copies what changes, once, and nothing that began later', () => {
    const state = new DecisionState(new PlainEndedTransactions());
    state.apply(beginOf([branchOf(1)], { closed: false }), 1);
    const frozen = state.freeze(1);
    expect(frozen.copiedCount).toBe(0);
    state.apply({ type: 'enlist', transactionId: idOf(1), branch: branchOf(2), at: AT }, 2);
    state.apply({ type: 'commit-requested', transactionId: idOf(1), at: AT }, 3);
    state.apply({ ...beginOf([]), transactionId: idOf(2), closed: false }, 4);
    state.apply({ type: 'commit-requested', transactionId: idOf(2), at: AT }, 5);
    expect(frozen.copiedCount).toBe(1);
    expect(Array.from(frozen.open(), ({ branches }) => branches.length)).toEqual([1]);
  });

  it('is no longer told of changes once it is released', () => {
    const state = new DecisionState(new PlainEndedTransactions());
    state.apply(beginOf([branchOf(1)], { closed: false }), 1);
    const frozen = state.freeze(1);
    frozen.release();
    state.apply({ type: 'commit-requested', transactionId: idOf(1), at: AT }, 2);
    expect(frozen.copiedCount).toBe(0);
  });
});

describe('the open transactions', () => {
  it('are walked oldest first from any place, and those with a hazard are at hand', () => {
    const state = new DecisionState(new PlainEndedTransactions());
    let index = 0;
    const apply = (record: LogRecord): void => void state.apply(record, ++index);
    for (const number of [2, 1, 3]) apply({ ...beginOf([branchOf(1)]), transactionId: idOf(number) });
    const idsAbove = (id?: string): string[] => Array.from(state.oldestOpenFirst(id), (one) => one.transactionId);
    expect(idsAbove()).toEqual([1, 2, 3].map((number) => idOf(number)));
    expect(idsAbove(idOf(1))).toEqual([2, 3].map((number) => idOf(number)));
    const branchId = idOf(1, 1);
    apply({ type: 'decide', transactionId: idOf(2), decision: 'commit', reports: [{ branchId, vote: 'yes' }], at: AT });
    const hazard = { transactionId: idOf(2), branchId, end: 'heuristic-rollback' as const };
    expect([...state.hazardousTransactions()]).toEqual([]);
    apply({ type: 'branches-done', items: [hazard], publishedIndex: 0, at: AT });
    expect(Array.from(state.hazardousTransactions(), (one) => one.transactionId)).toEqual([idOf(2)]);
    const copy = new DecisionState(new PlainEndedTransactions());
    copy.restoreSnapshot(JSON.parse(textOfState(state)) as DecisionStateSnapshot);
    expect(Array.from(copy.hazardousTransactions(), (one) => one.transactionId)).toEqual([idOf(2)]);
    expect(Array.from(copy.oldestOpenFirst(), (one) => one.transactionId)).toEqual(idsAbove());
    const ruling = { operator: 'ana', reason: 'known', force: false, reports: [] } as const;
    apply({ type: 'resolve', transactionId: idOf(2), action: 'forget', ...ruling, at: AT });
    expect([...state.hazardousTransactions()]).toEqual([]);
    expect(idsAbove()).toEqual([1, 3].map((number) => idOf(number)));
  });
});
