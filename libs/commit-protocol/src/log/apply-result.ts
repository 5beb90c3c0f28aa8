import type { RulingRefusal } from './rulings.js';
import type { TransactionState } from './transaction-state.js';

/** Why the state machine refused a record; nothing but log time has changed then. */
export type Refusal =
  | 'UNKNOWN_TRANSACTION'
  | 'TRANSACTION_EXISTS'
  | 'KEY_IN_USE'
  | 'CLOSED'
  | 'DECIDED'
  | 'DELEGATED'
  | 'BRANCH_CONFLICT'
  | 'VOTES_MISSING'
  /** a decision after a ballot was opened needs its majority, or word from the branches */
  | 'BALLOT_UNDECIDED'
  /** no ballot may be opened: not three phases, still open, delegated, or not above the last one */
  | 'BALLOT_REFUSED'
  /** the group was born before */
  | 'ALREADY_BORN'
  /** a step of log time lies behind what is to be dropped: its age is not known */
  | 'AGE_UNKNOWN'
  | RulingRefusal;

/** What became of a record. `transactions`: those it changed (none for a refusal; the one in question then). */
export interface ApplyResult {
  readonly refusal?: Refusal;
  readonly transactions: readonly TransactionState[];
}

export const NOTHING: ApplyResult = { transactions: [] };

export function refuse(refusal: Refusal, transaction?: TransactionState): ApplyResult {
  return { refusal, transactions: transaction ? [transaction] : [] };
}
