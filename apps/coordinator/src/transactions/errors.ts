import { CodedError } from '@concordat/foundation';

export { LogUnavailableError, OutcomeUnknownError, RecordTooLargeError } from '../decision-log/decision-log.js';

/** No transaction has this id. */
export class TransactionNotFoundError extends CodedError {
  readonly code = 'TRANSACTION_NOT_FOUND';
  readonly retryable = false;
}

/** The transaction ended so long ago that it was dropped, or its id lies before the retention. */
export class TransactionExpiredError extends CodedError {
  readonly code = 'TRANSACTION_EXPIRED';
  readonly retryable = false;
}

/** The transaction is decided: nothing can be added to it. */
export class TransactionDecidedError extends CodedError {
  readonly code = 'TRANSACTION_DECIDED';
  readonly retryable = false;
}

/** The commit was requested: the set of branches is closed. */
export class TransactionClosedError extends CodedError {
  readonly code = 'TRANSACTION_CLOSED';
  readonly retryable = false;
}

/** A branch with this id is enlisted already, with another vote or for another participant. */
export class BranchConflictError extends CodedError {
  readonly code = 'BRANCH_CONFLICT';
  readonly retryable = false;
}

/** The transaction has no branch of this id. */
export class BranchNotFoundError extends CodedError {
  readonly code = 'BRANCH_NOT_FOUND';
  readonly retryable = false;
}

/** The decision never changes: nothing happened. */
export class RulingContradictsDecisionError extends CodedError {
  readonly code = 'RULING_CONTRADICTS_DECISION';
  readonly retryable = false;
}

/** The ruling is possible only for somebody who says that it is meant: nothing happened. */
export class RulingNeedsForceError extends CodedError {
  readonly code = 'RULING_NEEDS_FORCE';
  readonly retryable = false;
}

/** The state of the transaction does not allow the ruling, by force or not: nothing happened. */
export class RulingNotPossibleError extends CodedError {
  readonly code = 'RULING_NOT_POSSIBLE';
  readonly retryable = false;
}

/** The transaction has as many branches or operations as are allowed. */
export class TooManyBranchesError extends CodedError {
  readonly code = 'TOO_MANY_BRANCHES';
  readonly retryable = false;
}

/** The operations of the transaction together are larger than is allowed. */
export class PayloadTooLargeError extends CodedError {
  readonly code = 'PAYLOAD_TOO_LARGE';
  readonly retryable = false;
}

/** The key was used with another request. */
export class IdempotencyKeyReusedError extends CodedError {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';
  readonly retryable = false;
}

/** No participant of this name has announced itself. */
export class UnknownParticipantError extends CodedError {
  readonly code = 'UNKNOWN_PARTICIPANT';
  readonly retryable = false;
}

/** The participant has announced no such operation. */
export class UnknownOperationError extends CodedError {
  readonly code = 'UNKNOWN_OPERATION';
  readonly retryable = false;
}

/** A bounded queue is full: nothing happened. */
export class OverloadedError extends CodedError {
  readonly code = 'OVERLOADED';
  readonly retryable = true;
}
