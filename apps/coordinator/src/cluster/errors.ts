import { codedError } from '@concordat/foundation';

export class MemberNotFoundError extends codedError('MEMBER_NOT_FOUND') {}

/** The request contradicts the group: other addresses or another role, or another member has these addresses. */
export class MemberConflictError extends codedError('MEMBER_CONFLICT') {}

/** The addresses do not answer with the certificate of this node and cluster. Nothing happened. */
export class MemberNotVerifiedError extends codedError('MEMBER_NOT_VERIFIED') {}

/** The change would leave the group without a voter. */
export class LastVoterError extends codedError('LAST_VOTER') {}

/** Another membership change is in progress. Nothing happened. */
export class MembershipChangingError extends codedError('MEMBERSHIP_CHANGING', { retryable: true }) {}

/** The node is a learner now, but lags too far behind to vote. */
export class MemberNotCaughtUpError extends codedError('MEMBER_NOT_CAUGHT_UP', { retryable: true }) {}

/** The node cannot lead: it is a learner, leaves the group, or is no member. */
export class NotAVoterError extends codedError('NOT_A_VOTER') {}

/** A leadership transfer is in progress. Nothing happened. */
export class TransferInProgressError extends codedError('TRANSFER_IN_PROGRESS', { retryable: true }) {}

/** The node did not become leader; the old leader or a third node leads. */
export class TransferFailedError extends codedError('TRANSFER_FAILED', { retryable: true }) {}
