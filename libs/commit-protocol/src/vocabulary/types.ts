import type { JsonValue } from '@concordat/foundation';

/** Made by the coordinator as a UUID of version 7; never reused. */
export type TransactionId = string;

/** One participant's share of a transaction; a UUID, unique everywhere and never reused. */
export type BranchId = string;

export type Protocol = '2pc' | '3pc';

export type Vote = 'yes' | 'no' | 'read-only';

export type Decision = 'commit' | 'abort';

/** What an operator may rule: a decision, or that a transaction is no longer waited for. */
export type RulingAction = Decision | 'forget';

/** `mixed`: an operator or a database broke the promise of a `yes`, so the branches ended differently. */
export type Outcome = 'committed' | 'aborted' | 'mixed';

export const ABORT_REASONS = [
  'PARTICIPANT_REFUSED',
  'INVALID_PAYLOAD',
  'LOCK_TIMEOUT',
  'DEADLINE_EXCEEDED',
  'ADMISSION_TIMEOUT',
  'CLIENT_ABORTED',
  'OPERATOR',
  'BRANCHES_DECIDED',
] as const;

export type AbortReason = (typeof ABORT_REASONS)[number];

/** Why a transaction was aborted, and by which branch if one was the cause. */
export interface AbortCause {
  readonly reason: AbortReason;
  /** a sentence for people */
  readonly detail: string;
  readonly branchId?: BranchId;
  readonly participant?: string;
  /** the participant's own code, such as `INSUFFICIENT_FUNDS` */
  readonly participantCode?: string;
}

/** One call of a participant's handler. */
export interface OperationCall {
  readonly operation: string;
  readonly payload: JsonValue;
  /** names of what the operation will lock, in the participant's own name space; see admission */
  readonly keys: readonly string[];
}

/** What a branch is when it joins a transaction. */
export interface BranchSpecification {
  readonly branchId: BranchId;
  readonly participant: string;
  /** work to be done at prepare, in this order; empty for a branch that was prepared by the service itself */
  readonly operations: readonly OperationCall[];
  /** the vote of a branch that was prepared before it was enlisted */
  readonly enlistedVote?: Vote;
}

/** Why a branch voted no, or could not do its work. */
export interface BranchError {
  /** stable: `INSUFFICIENT_FUNDS`, `INVALID_PAYLOAD`, `LOCK_TIMEOUT`, … */
  readonly code: string;
  readonly message: string;
}

/**
 * How a branch ended. `heuristic-rollback` and `heuristic-commit` are hazards: somebody ended a prepared
 * branch by hand against the decision.
 */
export type BranchEnd = 'committed' | 'aborted' | 'read-only' | 'heuristic-rollback' | 'heuristic-commit';

/** Whether the end of a branch contradicts the decision: somebody broke the promise of its `yes`. */
export function isHazard(end: BranchEnd | undefined): boolean {
  return end === 'heuristic-commit' || end === 'heuristic-rollback';
}

/**
 * What a database that has lost its last writes makes of an acceptor in three phases: it has no vote on record, although
 * every branch had voted; or it abstains, because it may have forgotten what it had promised.
 */
export type AcceptorLoss = 'vote-lost' | 'abstains';

/** The place of a leader in history: its term and the log index of the no-op that opened it. */
export interface LeaderEpoch {
  readonly term: number;
  readonly index: number;
}
