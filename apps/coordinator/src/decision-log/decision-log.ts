import { CodedError } from '@concordat/foundation';
import type { ApplyResult, DecisionState, LeaderEpoch, LogRecord } from '@concordat/commit-protocol';

/** This node does not lead: the record is not in the log and never will be. */
export class NotLeadingError extends CodedError {
  readonly code = 'NOT_LEADING';
  readonly retryable = true;
}

/** The log has too much under way: the record is not in the log and never will be. */
export class LogOverloadedError extends CodedError {
  readonly code = 'LOG_OVERLOADED';
  readonly retryable = true;
}

/** The disk of the leader has no room: the record is not in the log and never will be. */
export class LogFullError extends CodedError {
  readonly code = 'LOG_FULL';
  readonly retryable = true;
}

/** The leader is handing over to another node: the record is not in the log and never will be. */
export class LogHandingOverError extends CodedError {
  readonly code = 'LOG_HANDING_OVER';
  readonly retryable = true;
}

/** No record of this size fits into the log: it is not in it, and repeating it is of no use. */
export class RecordTooLargeError extends CodedError {
  readonly code = 'RECORD_TOO_LARGE';
  readonly retryable = false;
}

/** Leadership was lost on the way: the record is in the log or not, only a later read can tell. */
export class AppendUnknownError extends CodedError {
  readonly code = 'APPEND_UNKNOWN';
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
   * committed when the call began. Rejects with NotLeadingError.
   */
  confirmLeadership(): Promise<void>;
  /**
   * For readers, on any node of the group: afterwards `state` holds everything that was committed anywhere when the
   * call began (thesis, 6.4). Rejects with NotLeadingError when no leader is known or it changes on the way; an
   * answer may also stay away for good, as long as messages get lost.
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
