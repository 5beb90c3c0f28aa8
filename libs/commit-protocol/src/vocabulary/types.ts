import type { JsonValue } from '@concordat/foundation';

/** A UUID of version 7, made by the coordinator; never reused. */
export type TransactionId = string;

/** One participant's share of a transaction; a globally unique UUID, never reused. */
export type BranchId = string;

export type Protocol = '2pc' | '3pc';

export type Vote = 'yes' | 'no' | 'read-only';

export type Decision = 'commit' | 'abort';

/** What an operator may rule: a decision, or that a transaction is given up. */
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
  /** keys that the operation will lock, in the participant's name space; see admission */
  readonly keys: readonly string[];
}

/** A branch when it joins a transaction. */
export interface BranchSpecification {
  readonly branchId: BranchId;
  readonly participant: string;
  /** work to do at prepare, in this order; empty for a branch that its service prepared */
  readonly operations: readonly OperationCall[];
  /** the vote of a branch that was prepared before it was enlisted */
  readonly enlistedVote?: Vote;
  /**
   * the instance of the participant whose open session does the work: it alone can prepare the branch. There are no
   * operations then, and no vote of the enlistment
   */
  readonly heldBy?: string;
}

/** Why a branch voted no, or could not do its work. */
export interface BranchError {
  /** stable: `INSUFFICIENT_FUNDS`, `INVALID_PAYLOAD`, `LOCK_TIMEOUT`, … */
  readonly code: string;
  readonly message: string;
}

/**
 * How a branch ended. `heuristic-rollback` and `heuristic-commit` are hazards: somebody ended a prepared branch by hand
 * against the decision.
 */
export type BranchEnd = 'committed' | 'aborted' | 'read-only' | 'heuristic-rollback' | 'heuristic-commit';

/** Whether the end of a branch contradicts the decision: the promise of its `yes` was broken. */
export function isHazard(end: BranchEnd | undefined): boolean {
  return end === 'heuristic-commit' || end === 'heuristic-rollback';
}

/**
 * What a database that lost its last writes does to an acceptor in three phases: it has no vote on record, although
 * every branch had voted; or it abstains, because it may have lost promises.
 */
export type AcceptorLoss = 'vote-lost' | 'abstains';

/** The term of a leader, and the log index of its no-op. */
export interface LeaderEpoch {
  readonly term: number;
  readonly index: number;
}
