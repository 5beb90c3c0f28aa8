import { CodedError, type CodedErrorOptions } from '@concordat/foundation';
import type { ApplyResult, DecisionState, LeaderEpoch, LogRecord } from '@concordat/commit-protocol';

/**
 * Why the log takes nothing now.
 *
 * - `no-leader`: this node does not lead, or no leader is known or answers
 * - `overloaded`: the log is overloaded
 * - `disk-full`: the disk of the leader has no room
 * - `handing-over`: the leader is handing over to another node
 */
export type LogUnavailableReason = 'no-leader' | 'overloaded' | 'disk-full' | 'handing-over';

/** The log takes nothing now: nothing happened, and nothing will. `http/problems.ts` says what a client sees. */
export class LogUnavailableError extends CodedError {
  readonly code = 'LOG_UNAVAILABLE';
  readonly retryable = true;

  constructor(
    readonly reason: LogUnavailableReason,
    message: string,
    options?: CodedErrorOptions,
  ) {
    super(message, options);
  }
}

/** No record of this size fits into the log: it is not in it, and repeating it is of no use. */
export class RecordTooLargeError extends CodedError {
  readonly code = 'RECORD_TOO_LARGE';
  readonly retryable = false;
}

/** Leadership was lost on the way: it happened or not, only a later read can tell. */
export class OutcomeUnknownError extends CodedError {
  readonly code = 'OUTCOME_UNKNOWN';
  readonly retryable = true;
}

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
 * The replicated log of decisions, as the transaction manager sees it. Records are applied to `state` in the
 * same order on every node; listeners are called synchronously with each, in order.
 */
export interface DecisionLog {
  /** what this node has applied; changed by nobody but the log */
  readonly state: DecisionState;
  /** through which index of the log `state` holds everything */
  readonly appliedIndex: number;
  leadership(): Leadership;
  /**
   * Proposes a record; resolves when it is committed and applied here, with what the state machine made of it.
   * Rejects with one of the errors above.
   */
  append(record: LogRecord): Promise<ApplyResult>;
  /**
   * For whoever may act only while this node leads: afterwards it is known to, and `state` holds everything that was
   * committed when the call began. Rejects with LogUnavailableError.
   */
  confirmLeadership(): Promise<void>;
  /**
   * For readers, on any node of the group: afterwards `state` holds everything that was committed anywhere when the
   * call began (thesis, 6.4). Rejects with LogUnavailableError when no leader is known or it changes on the
   * way; an answer may also stay away for good, as long as messages get lost.
   */
  readBarrier(): Promise<void>;
  /** The function returned ends it. */
  onApplied(listener: (applied: AppliedRecord) => void): () => void;
  /**
   * Called when `leadership()` changes, and after a snapshot replaced the state: then with the log index through
   * which changes came without `onApplied`. The function returned ends it.
   */
  onLeadership(listener: LeadershipListener): () => void;
}
