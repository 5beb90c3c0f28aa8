import type { LockLease, LockRefusal } from './locks/lock-lease.js';
import type { RulingRefusal } from './ruling-judgement.js';
import type { TransactionState } from './transaction-state.js';

/** Why the state machine refused a record; only log time has changed then. */
export type Refusal =
  | 'UNKNOWN_TRANSACTION'
  | 'TRANSACTION_EXISTS'
  | 'KEY_IN_USE'
  | 'CLOSED'
  | 'DECIDED'
  | 'DELEGATED'
  | 'BRANCH_CONFLICT'
  /** a commit request came before the enlistment of a branch that it names */
  | 'BRANCH_MISSING'
  | 'VOTES_MISSING'
  /** after a ballot was opened, a decision needs its majority, or a report of the branches */
  | 'BALLOT_UNDECIDED'
  /** no ballot may be opened: not three phases, still open, delegated, or not above the last one */
  | 'BALLOT_REFUSED'
  /** the birth of the group is in the log already */
  | 'ALREADY_BORN'
  /** a step of log time lies behind what is to be dropped: its age is unknown */
  | 'AGE_UNKNOWN'
  | LockRefusal
  | RulingRefusal;

/** The result of a record. `transactions`: those it changed, or for a refusal the one it named. */
export interface ApplyResult {
  readonly refusal?: Refusal;
  readonly transactions: readonly TransactionState[];
  /** of a record about one lock: its lease after the record, or for a refusal the one that stands */
  readonly lock?: LockLease;
  /** leases that a record has ended */
  readonly endedLocks?: readonly LockLease[];
}

export const NOTHING: ApplyResult = { transactions: [] };

export function refuse(refusal: Refusal, transaction?: TransactionState): ApplyResult {
  return { refusal, transactions: transaction ? [transaction] : [] };
}
