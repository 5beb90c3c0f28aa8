import { expect } from '@jest/globals';
import type { Refusal } from '../log/apply-result.js';
import { DecisionState } from '../log/decision-state.js';
import { PlainEndedTransactions } from './plain-ended-transactions.js';
import type { BranchReport, DecideRecord, EnlistRecord, LogRecord } from '../log/records.js';
import { AT, beginOf, branchOf, idOf } from './leader-driver.js';
import type { BranchEnd, BranchSpecification, Decision, Vote } from '../vocabulary/types.js';

export const TWO = beginOf([branchOf(1), branchOf(2)]);
export const OPEN = beginOf([branchOf(1)], { closed: false });
export const CLAIM = { key: 'key-1', bodyHash: 'aa' };

export function enlist(branch: BranchSpecification, changes: Partial<EnlistRecord> = {}): EnlistRecord {
  return { type: 'enlist', transactionId: idOf(1), branch, at: AT, ...changes };
}

export function decide(
  decision: Decision,
  votes: readonly Vote[] = [],
  changes: Partial<DecideRecord> = {},
): DecideRecord {
  const reports = votes.map((vote, i): BranchReport => ({ branchId: idOf(1, i + 1), vote }));
  return { type: 'decide', transactionId: idOf(1), decision, reports, at: AT + 5, ...changes };
}

export function done(ends: Readonly<Record<number, BranchEnd>>, publishedIndex = 0): LogRecord {
  const items = Object.entries(ends).map(([branch, end]) => ({
    transactionId: idOf(1),
    branchId: idOf(1, Number(branch)),
    end,
  }));
  return { type: 'branches-done', items, publishedIndex, at: AT + 9 };
}

export const COMMIT_REQUESTED = { type: 'commit-requested', transactionId: idOf(1), at: AT } as const;

/** All but log time, which every record may move on. */
export function textOf(state: DecisionState): string {
  return JSON.stringify({ ...state.takeSnapshot(), time: undefined });
}

export class Machine {
  readonly state = new DecisionState(new PlainEndedTransactions());
  private index = 0;

  constructor() {
    this.state.apply({ type: 'group-born', at: AT - 1_000 }, 0);
  }

  apply(...records: readonly LogRecord[]): this {
    for (const record of records) this.state.apply(record, ++this.index);
    return this;
  }

  refusal(record: LogRecord): Refusal | undefined {
    const before = textOf(this.state);
    const { refusal } = this.state.apply(record, ++this.index);
    if (refusal) expect(textOf(this.state)).toBe(before);
    return refusal;
  }

  get transaction() {
    return this.state.find(idOf(1));
  }
}

export function after(...records: readonly LogRecord[]): Machine {
  return new Machine().apply(...records);
}
