import { CodedError } from '@concordat/foundation';

/** No member of the group has this id. */
export class MemberNotFoundError extends CodedError {
  readonly code = 'MEMBER_NOT_FOUND';
  readonly retryable = false;
}

/** The request contradicts what the group knows of a member: its addresses, its role, or who has them. */
export class MemberConflictError extends CodedError {
  readonly code = 'MEMBER_CONFLICT';
  readonly retryable = false;
}

/** Nobody would be left to vote. */
export class LastVoterError extends CodedError {
  readonly code = 'LAST_VOTER';
  readonly retryable = false;
}

/** Another change of the group is under way: nothing happened. */
export class MembershipChangingError extends CodedError {
  readonly code = 'MEMBERSHIP_CHANGING';
  readonly retryable = true;
}

/** The node is a learner of the group now, but lags too far behind to vote. */
export class MemberNotCaughtUpError extends CodedError {
  readonly code = 'MEMBER_NOT_CAUGHT_UP';
  readonly retryable = true;
}

/** The node cannot lead: it is a learner, about to leave, or no member at all. */
export class NotAVoterError extends CodedError {
  readonly code = 'NOT_A_VOTER';
  readonly retryable = false;
}

/** Leadership is being handed over to another node: nothing happened. */
export class TransferInProgressError extends CodedError {
  readonly code = 'TRANSFER_IN_PROGRESS';
  readonly retryable = true;
}

/** The node did not take over; the leader leads on, or another one does. */
export class TransferFailedError extends CodedError {
  readonly code = 'TRANSFER_FAILED';
  readonly retryable = true;
}
