import { CodedError } from '@concordat/foundation';

export { LogUnavailableError, OutcomeUnknownError, RecordTooLargeError } from '../decision-log/decision-log.js';

export class TransactionNotFoundError extends CodedError {
  readonly code = 'TRANSACTION_NOT_FOUND';
  readonly retryable = false;
}

/** The transaction ended and was dropped, or its id is older than the retention. */
export class TransactionExpiredError extends CodedError {
  readonly code = 'TRANSACTION_EXPIRED';
  readonly retryable = false;
}

/** The transaction is decided. Nothing can be added to it. */
export class TransactionDecidedError extends CodedError {
  readonly code = 'TRANSACTION_DECIDED';
  readonly retryable = false;
}

/** The commit was requested. The set of branches is closed. */
export class TransactionClosedError extends CodedError {
  readonly code = 'TRANSACTION_CLOSED';
  readonly retryable = false;
}

/** A branch with this id is enlisted, with another vote or for another participant. */
export class BranchConflictError extends CodedError {
  readonly code = 'BRANCH_CONFLICT';
  readonly retryable = false;
}

export class BranchNotFoundError extends CodedError {
  readonly code = 'BRANCH_NOT_FOUND';
  readonly retryable = false;
}

/** A decision never changes. Nothing happened. */
export class RulingContradictsDecisionError extends CodedError {
  readonly code = 'RULING_CONTRADICTS_DECISION';
  readonly retryable = false;
}

/** The ruling needs `force`. Nothing happened. */
export class RulingNeedsForceError extends CodedError {
  readonly code = 'RULING_NEEDS_FORCE';
  readonly retryable = false;
}

/** The state of the transaction does not allow the ruling, even with `force`. Nothing happened. */
export class RulingNotPossibleError extends CodedError {
  readonly code = 'RULING_NOT_POSSIBLE';
  readonly retryable = false;
}

/** The transaction would have too many branches or operations. */
export class TooManyBranchesError extends CodedError {
  readonly code = 'TOO_MANY_BRANCHES';
  readonly retryable = false;
}

/** The operations of the transaction together would be too large. */
export class PayloadTooLargeError extends CodedError {
  readonly code = 'PAYLOAD_TOO_LARGE';
  readonly retryable = false;
}

/** The key was used with another request. */
export class IdempotencyKeyReusedError extends CodedError {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';
  readonly retryable = false;
}

export class UnknownParticipantError extends CodedError {
  readonly code = 'UNKNOWN_PARTICIPANT';
  readonly retryable = false;
}

export class UnknownOperationError extends CodedError {
  readonly code = 'UNKNOWN_OPERATION';
  readonly retryable = false;
}

/** A bounded queue is full. Nothing happened. */
export class OverloadedError extends CodedError {
  readonly code = 'OVERLOADED';
  readonly retryable = true;
}
