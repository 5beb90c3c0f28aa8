import { codedError } from '@concordat/foundation';

export { LogUnavailableError, OutcomeUnknownError, RecordTooLargeError } from '../decision-log/decision-log.js';

export class TransactionNotFoundError extends codedError('TRANSACTION_NOT_FOUND') {}

/** The transaction ended and was dropped, or its id is older than the retention. */
export class TransactionExpiredError extends codedError('TRANSACTION_EXPIRED') {}

/** The transaction is decided. Nothing can be added to it. */
export class TransactionDecidedError extends codedError('TRANSACTION_DECIDED') {}

/** The commit was requested. The set of branches is closed. */
export class TransactionClosedError extends codedError('TRANSACTION_CLOSED') {}

/** A branch with this id is enlisted, with another vote or instance, or for another participant. */
export class BranchConflictError extends codedError('BRANCH_CONFLICT') {}

/** The coordinators have no direct streams, so no instance can be asked to prepare what it holds. */
export class NotAddressableError extends codedError('NOT_ADDRESSABLE') {}

export class BranchNotFoundError extends codedError('BRANCH_NOT_FOUND') {}

/** A decision never changes. Nothing happened. */
export class RulingContradictsDecisionError extends codedError('RULING_CONTRADICTS_DECISION') {}

/** The ruling needs `force`. Nothing happened. */
export class RulingNeedsForceError extends codedError('RULING_NEEDS_FORCE') {}

/** The state of the transaction does not allow the ruling, even with `force`. Nothing happened. */
export class RulingNotPossibleError extends codedError('RULING_NOT_POSSIBLE') {}

/** The transaction would have too many branches or operations. */
export class TooManyBranchesError extends codedError('TOO_MANY_BRANCHES') {}

/** The operations of the transaction together would be too large. */
export class PayloadTooLargeError extends codedError('PAYLOAD_TOO_LARGE') {}

/** The key was used with another request. */
export class IdempotencyKeyReusedError extends codedError('IDEMPOTENCY_KEY_REUSED') {}

export class UnknownParticipantError extends codedError('UNKNOWN_PARTICIPANT') {}

export class UnknownOperationError extends codedError('UNKNOWN_OPERATION') {}

/** A bounded queue is full. Nothing happened. */
export class OverloadedError extends codedError('OVERLOADED', { retryable: true }) {}
