import type { FieldError } from '../model/shapes.js';
import type { AbortReason } from '../model/transaction.js';

export interface ConcordatErrorOptions {
  readonly cause?: unknown;
  /** HTTP status of the answer */
  readonly status?: number | undefined;
  /** the members of the answered problem that belong to its code */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly mayHaveTakenEffect?: boolean | undefined;
}

/**
 * Base of everything that the client throws by itself. Compare `code`, which never changes: those of the coordinators
 * are in docs/errors.md, a code that this version of the client does not know included, and `CONNECTION_FAILED`,
 * `CALL_TIMEOUT`, `INVALID_ANSWER`, `INVALID_OPTION`, `INVALID_VALUE`, `TOKEN_FAILED`, `LOCK_LOST`, `UNKNOWN_CODEC` and
 * `PAYLOAD_NOT_DECODABLE` are the client's own.
 *
 * What aborts a call from outside is not wrapped: an aborted `signal` throws its own reason, as `fetch` does.
 */
export class ConcordatError extends Error {
  readonly code: string;
  /** HTTP status of the answer; undefined when there was none */
  readonly status: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  /** false: nothing happened at the coordinators; true: it is not known, ask or repeat with the same key */
  readonly mayHaveTakenEffect: boolean;

  constructor(code: string, message: string, options: ConcordatErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.status = options.status;
    this.details = options.details ?? {};
    this.mayHaveTakenEffect = options.mayHaveTakenEffect ?? false;
  }
}

/** The request is not valid, here or at the coordinator; it would be refused again. `errors` names the fields. */
export class InvalidRequestError extends ConcordatError {
  constructor(
    code: string,
    message: string,
    readonly errors: readonly FieldError[] = [],
    options: ConcordatErrorOptions = {},
  ) {
    super(code, message, options);
  }
}

/** Something about one transaction. */
export class TransactionError extends ConcordatError {
  constructor(
    code: string,
    message: string,
    /** undefined where the answer does not name it */
    readonly transactionId: string | undefined,
    options: ConcordatErrorOptions = {},
  ) {
    super(code, message, options);
  }
}

export interface AbortDetails {
  readonly reason: AbortReason | null;
  /** the branch that led to the abort, where one did */
  readonly branchId: string | undefined;
  readonly participant: string | undefined;
  /** the participant's own code, such as `INSUFFICIENT_FUNDS` */
  readonly participantCode: string | undefined;
}

/** `TRANSACTION_ABORTED`: the transaction has changed nothing anywhere. */
export class TransactionAbortedError extends TransactionError implements AbortDetails {
  declare readonly transactionId: string;
  readonly reason: AbortReason | null;
  readonly branchId: string | undefined;
  readonly participant: string | undefined;
  readonly participantCode: string | undefined;

  constructor(message: string, transactionId: string, abort: AbortDetails, options: ConcordatErrorOptions = {}) {
    super('TRANSACTION_ABORTED', message, transactionId, options);
    this.reason = abort.reason;
    this.branchId = abort.branchId;
    this.participant = abort.participant;
    this.participantCode = abort.participantCode;
  }
}

/** `TRANSACTION_COMMITTED`: it cannot be aborted any more. */
export class TransactionCommittedError extends TransactionError {}

/** `TRANSACTION_MIXED`: a branch was ended by hand against the decision. */
export class TransactionMixedError extends TransactionError {}

/** `TRANSACTION_DECIDED` or `TRANSACTION_CLOSED`: branches can no longer be added. */
export class TransactionClosedError extends TransactionError {}

/** `TRANSACTION_NOT_FOUND` */
export class TransactionNotFoundError extends TransactionError {}

/** `TRANSACTION_EXPIRED`: it ended so long ago that it is no longer kept. */
export class TransactionExpiredError extends TransactionError {}

/** `BRANCH_CONFLICT`: the branchId is enlisted differently. */
export class BranchConflictError extends ConcordatError {}

/** `NOT_ADDRESSABLE`: the coordinators cannot ask a process to prepare what it holds; prepare, and enlist with `vote`. */
export class NotAddressableError extends ConcordatError {}

/** The ruling of an operator is not possible, or only by force: `RULING_…`, `BRANCH_NOT_FOUND`. */
export class RulingRefusedError extends ConcordatError {}

/** The group cannot be changed in this way, or not now. */
export class ClusterChangeRefusedError extends ConcordatError {}

/** A coordinator cannot answer now; nothing happened. The client has repeated the request as often as it may. */
export class UnavailableError extends ConcordatError {}

/** `NO_LEADER` */
export class NoLeaderError extends UnavailableError {}

/** `OVERLOADED`, `TOO_MANY_LOCKS`, `TOO_MANY_WAITERS` */
export class OverloadedError extends UnavailableError {}

/** `RATE_LIMITED`: this principal sends too many requests. The client has waited and repeated as often as it may. */
export class RateLimitedError extends UnavailableError {}

/** `UNAUTHENTICATED`: the coordinators ask who calls, and the token (option `token`) is missing or not valid. */
export class UnauthenticatedError extends ConcordatError {}

/** `FORBIDDEN`: the principal of the token may not do this; the message names the roles that may. */
export class ForbiddenError extends ConcordatError {}

/** `OUTCOME_UNKNOWN`: the request may have taken effect. Read the transaction, or repeat with the same key. */
export class OutcomeUnknownError extends ConcordatError {
  constructor(message: string, options: ConcordatErrorOptions = {}) {
    super('OUTCOME_UNKNOWN', message, { ...options, mayHaveTakenEffect: true });
  }
}

/** `CONNECTION_FAILED`: no coordinator could be reached, or a connection broke. */
export class ConnectionError extends ConcordatError {
  constructor(message: string, options: ConcordatErrorOptions = {}) {
    super('CONNECTION_FAILED', message, options);
  }
}

/** `CALL_TIMEOUT`: the call took longer than its `timeoutMs`. */
export class CallTimeoutError extends ConcordatError {
  constructor(message: string, options: ConcordatErrorOptions = {}) {
    super('CALL_TIMEOUT', message, options);
  }
}

/** `INVALID_ANSWER`: the answer is not what the interface promises, perhaps because something else answered. */
export class InvalidAnswerError extends ConcordatError {
  constructor(message: string, options: ConcordatErrorOptions = {}) {
    super('INVALID_ANSWER', message, options);
  }
}

/** `INVALID_OPTION`: an option of the client is wrong; the message says what would be right. */
export class ClientOptionError extends ConcordatError {
  constructor(message: string, options: ConcordatErrorOptions = {}) {
    super('INVALID_OPTION', message, options);
  }
}

/** `TOKEN_FAILED`: the function `token` brought none; nothing was sent. */
export class TokenError extends ConcordatError {
  constructor(message: string, options: ConcordatErrorOptions = {}) {
    super('TOKEN_FAILED', message, options);
  }
}

/** `LOCK_HELD`: another owner holds the lock. */
export class LockHeldError extends ConcordatError {
  constructor(
    message: string,
    readonly holder: { readonly owner: string; readonly expiresAt: string } | undefined,
    options: ConcordatErrorOptions = {},
  ) {
    super('LOCK_HELD', message, options);
  }
}

/** `LOCK_NOT_HELD`: the lease has ended, or the lock is another owner's. */
export class LockNotHeldError extends ConcordatError {}

/** `LOCK_LOST`: the reason of a lock's aborted `signal`. */
export class LockLostError extends ConcordatError {
  constructor(
    readonly lockName: string,
    message: string,
    options: ConcordatErrorOptions = {},
  ) {
    super('LOCK_LOST', message, options);
  }
}
