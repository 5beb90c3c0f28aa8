import { CodedError } from '@concordat/foundation';

export class MemberNotFoundError extends CodedError {
  readonly code = 'MEMBER_NOT_FOUND';
  readonly retryable = false;
}

/** The request contradicts the group: other addresses or another role, or another member has these addresses. */
export class MemberConflictError extends CodedError {
  readonly code = 'MEMBER_CONFLICT';
  readonly retryable = false;
}

/** The change would leave the group without a voter. */
export class LastVoterError extends CodedError {
  readonly code = 'LAST_VOTER';
  readonly retryable = false;
}

/** Another membership change is in progress. Nothing happened. */
export class MembershipChangingError extends CodedError {
  readonly code = 'MEMBERSHIP_CHANGING';
  readonly retryable = true;
}

/** The node is a learner now, but lags too far behind to vote. */
export class MemberNotCaughtUpError extends CodedError {
  readonly code = 'MEMBER_NOT_CAUGHT_UP';
  readonly retryable = true;
}

/** The node cannot lead: it is a learner, leaves the group, or is no member. */
export class NotAVoterError extends CodedError {
  readonly code = 'NOT_A_VOTER';
  readonly retryable = false;
}

/** A leadership transfer is in progress. Nothing happened. */
export class TransferInProgressError extends CodedError {
  readonly code = 'TRANSFER_IN_PROGRESS';
  readonly retryable = true;
}

/** The node did not become leader; the old leader or a third node leads. */
export class TransferFailedError extends CodedError {
  readonly code = 'TRANSFER_FAILED';
  readonly retryable = true;
}
