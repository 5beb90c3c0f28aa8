import { codedError, type CodedErrorOptions } from '@concordat/foundation';
import type { ApplyResult, DecisionState, LeaderEpoch, LogRecord } from '@concordat/commit-protocol';

/**
 * Why the log rejects records now.
 *
 * - `no-leader`: this node does not lead, or no leader is known or answers
 * - `overloaded`: too many proposals are pending
 * - `disk-full`: the leader's disk is full
 * - `handing-over`: a leadership transfer is in progress
 */
export type LogUnavailableReason = 'no-leader' | 'overloaded' | 'disk-full' | 'handing-over';

/** The log rejects records now. Nothing happened, and nothing will. `http/problems.ts` says what a client sees. */
export class LogUnavailableError extends codedError('LOG_UNAVAILABLE', { retryable: true }) {
  constructor(
    readonly reason: LogUnavailableReason,
    message: string,
    options?: CodedErrorOptions,
  ) {
    super(message, options);
  }
}

/** A record of this size does not fit into the log, now or later. Nothing happened. */
export class RecordTooLargeError extends codedError('RECORD_TOO_LARGE') {}

/** Leadership was lost while the record was proposed. Only a later read can tell whether it took effect. */
export class OutcomeUnknownError extends codedError('OUTCOME_UNKNOWN', { retryable: true }) {}

export interface AppliedRecord {
  readonly index: number;
  readonly record: LogRecord;
  readonly result: ApplyResult;
}

/** `epoch` is set while this node leads and may act: its own no-op is committed and applied. */
export interface Leadership {
  readonly epoch: LeaderEpoch | undefined;
  readonly leaderId: number | undefined;
}

export type LeadershipListener = (leadership: Leadership, replacedThrough?: number) => void;

/**
 * The replicated log of decisions. Every node applies the same records to `state` in the same order, and calls its
 * listeners synchronously with each.
 */
export interface DecisionLog {
  /** the state this node has applied; only the log changes it */
  readonly state: DecisionState;
  /** `state` holds every entry up to this index */
  readonly appliedIndex: number;
  leadership(): Leadership;
  /**
   * Proposes a record. Resolves with the result of the state machine when the record is committed and applied here.
   * Rejects with one of the errors above.
   */
  append(record: LogRecord): Promise<ApplyResult>;
  /**
   * Confirms that this node leads. Afterwards `state` holds everything that was committed when the call began. Rejects
   * with LogUnavailableError.
   */
  confirmLeadership(): Promise<void>;
  /**
   * Makes a read linearizable, on any node: afterwards `state` holds everything that was committed anywhere when the
   * call began (thesis, 6.4). Rejects with LogUnavailableError when no leader is known or the leader changes. May never
   * settle while messages are lost.
   */
  readBarrier(): Promise<void>;
  /**
   * Resolves when `state` holds what this node knew to be committed when the call began. A follower applies with a
   * delay, so whatever reads its state without a read barrier calls this first. Never rejects.
   */
  caughtUp(): Promise<void>;
  /** From now on a follower applies without that delay. Returns the function that ends this. */
  applyPromptly(): () => void;
  /** Returns the function that unsubscribes. */
  onApplied(listener: (applied: AppliedRecord) => void): () => void;
  /**
   * Called when `leadership()` changes, and after a snapshot replaced the state. Then it gets the log index up to which
   * changes came without `onApplied`. Returns the function that unsubscribes.
   */
  onLeadership(listener: LeadershipListener): () => void;
}
