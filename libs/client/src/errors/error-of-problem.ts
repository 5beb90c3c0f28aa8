import { isRecord, mismatch } from '../model/shape.js';
import { problemShape, type Problem } from '../model/shapes.js';
import {
  BranchConflictError,
  ClusterChangeRefusedError,
  ConcordatError,
  ForbiddenError,
  InvalidAnswerError,
  InvalidRequestError,
  LockHeldError,
  LockNotHeldError,
  NoLeaderError,
  NotAddressableError,
  OutcomeUnknownError,
  OverloadedError,
  RateLimitedError,
  RulingRefusedError,
  TransactionAbortedError,
  TransactionClosedError,
  TransactionCommittedError,
  TransactionExpiredError,
  TransactionMixedError,
  TransactionNotFoundError,
  UnauthenticatedError,
  UnavailableError,
  type ConcordatErrorOptions,
} from './errors.js';

/** A problem with all its members, and what the client knows beside it. */
interface Answered {
  readonly problem: Problem;
  readonly members: Readonly<Record<string, unknown>>;
  /** the transaction of the call, for problems that do not name it */
  readonly transactionId: string | undefined;
  readonly options: ConcordatErrorOptions;
}

type Plain = new (code: string, message: string, options: ConcordatErrorOptions) => ConcordatError;
type OfTransaction = new (
  code: string,
  message: string,
  transactionId: string | undefined,
  options: ConcordatErrorOptions,
) => ConcordatError;
type Make = (answered: Answered) => ConcordatError;

const plain =
  (ErrorClass: Plain): Make =>
  ({ problem, options }) =>
    new ErrorClass(problem.code, problem.detail, options);

const ofTransaction =
  (ErrorClass: OfTransaction): Make =>
  ({ problem, members, transactionId, options }) =>
    new ErrorClass(problem.code, problem.detail, textOf(members, 'transactionId') ?? transactionId, options);

const refused: Make = ({ problem, options }) =>
  new InvalidRequestError(problem.code, problem.detail, problem.errors, options);

/** Codes with a class of their own, or of their kind. Others are known by their status. */
const BY_CODE: ReadonlyMap<string, Make> = new Map([
  ['TRANSACTION_ABORTED', aborted],
  ['TRANSACTION_COMMITTED', ofTransaction(TransactionCommittedError)],
  ['TRANSACTION_MIXED', ofTransaction(TransactionMixedError)],
  ['TRANSACTION_DECIDED', ofTransaction(TransactionClosedError)],
  ['TRANSACTION_CLOSED', ofTransaction(TransactionClosedError)],
  ['TRANSACTION_NOT_FOUND', ofTransaction(TransactionNotFoundError)],
  ['TRANSACTION_EXPIRED', ofTransaction(TransactionExpiredError)],
  ['UNAUTHENTICATED', plain(UnauthenticatedError)],
  ['FORBIDDEN', plain(ForbiddenError)],
  ['RATE_LIMITED', plain(RateLimitedError)],
  ['AUTHENTICATION_UNAVAILABLE', plain(UnavailableError)],
  ['BRANCH_CONFLICT', plain(BranchConflictError)],
  ['NOT_ADDRESSABLE', plain(NotAddressableError)],
  ['BRANCH_NOT_FOUND', plain(RulingRefusedError)],
  ['RULING_CONTRADICTS_DECISION', plain(RulingRefusedError)],
  ['RULING_NEEDS_FORCE', plain(RulingRefusedError)],
  ['RULING_NOT_POSSIBLE', plain(RulingRefusedError)],
  ['MEMBER_NOT_FOUND', plain(ClusterChangeRefusedError)],
  ['MEMBER_CONFLICT', plain(ClusterChangeRefusedError)],
  ['MEMBER_NOT_VERIFIED', plain(ClusterChangeRefusedError)],
  ['MEMBERSHIP_CHANGING', plain(ClusterChangeRefusedError)],
  ['LAST_VOTER', plain(ClusterChangeRefusedError)],
  ['NOT_A_VOTER', plain(ClusterChangeRefusedError)],
  ['TRANSFER_IN_PROGRESS', plain(ClusterChangeRefusedError)],
  ['MEMBER_NOT_CAUGHT_UP', plain(ClusterChangeRefusedError)],
  ['TRANSFER_FAILED', plain(ClusterChangeRefusedError)],
  ['NO_LEADER', plain(NoLeaderError)],
  ['OVERLOADED', plain(OverloadedError)],
  ['HANDING_OVER', plain(UnavailableError)],
  ['DISK_FULL', plain(UnavailableError)],
  ['NOT_A_MEMBER', plain(UnavailableError)],
  ['SHUTTING_DOWN', plain(UnavailableError)],
  ['TOO_MANY_LOCKS', plain(OverloadedError)],
  ['TOO_MANY_WAITERS', plain(OverloadedError)],
  ['OUTCOME_UNKNOWN', ({ problem, options }) => new OutcomeUnknownError(problem.detail, options)],
  ['LOCK_HELD', lockHeld],
  ['LOCK_NOT_HELD', plain(LockNotHeldError)],
]);

const BY_STATUS: ReadonlyMap<number, Make> = new Map(
  [400, 404, 405, 413, 414, 415, 422, 431].map((status) => [status, refused]),
);

/**
 * The error of an answer that is not a success.
 *
 * @param body parsed; a body that is no problem makes an `InvalidAnswerError`
 */
export function errorOfProblem(status: number, body: unknown, transactionId?: string): ConcordatError {
  const found = mismatch(problemShape, body, 'the problem');
  if (found !== undefined || !isRecord(body)) {
    const said = `the answer has the status ${status}, but is not one of a coordinator: ${found}; check the addresses in the option "coordinators", and a proxy in between`;
    return new InvalidAnswerError(said, { status, mayHaveTakenEffect: status >= 500 });
  }
  const problem = body as unknown as Problem & Readonly<Record<string, unknown>>;
  const { type: _type, title: _title, status: _status, code, detail, instance: _instance, ...details } = problem;
  const options = { status, details, mayHaveTakenEffect: code === 'INTERNAL' };
  const make = BY_CODE.get(code) ?? BY_STATUS.get(status);
  return make?.({ problem, members: body, transactionId, options }) ?? new ConcordatError(code, detail, options);
}

/** Whether a code has a class of its own, or is known by its status; for the test against the coordinator's list. */
export function isKnownCode(code: string, status: number): boolean {
  return BY_CODE.has(code) || BY_STATUS.has(status) || code === 'INTERNAL' || code === 'REQUEST_TIMEOUT';
}

function aborted({ problem, members, options }: Answered): ConcordatError {
  const transactionId = textOf(members, 'transactionId');
  if (transactionId === undefined)
    return new InvalidAnswerError('TRANSACTION_ABORTED without a transactionId', options);
  const abort = {
    reason: textOf(members, 'reason') ?? null,
    branchId: textOf(members, 'branchId'),
    participant: textOf(members, 'participant'),
    participantCode: textOf(members, 'participantCode'),
  };
  return new TransactionAbortedError(problem.detail, transactionId, abort, options);
}

function lockHeld({ problem, members, options }: Answered): ConcordatError {
  const { holder } = members;
  const owner = isRecord(holder) ? textOf(holder, 'owner') : undefined;
  const expiresAt = isRecord(holder) ? textOf(holder, 'expiresAt') : undefined;
  const known = owner !== undefined && expiresAt !== undefined ? { owner, expiresAt } : undefined;
  return new LockHeldError(problem.detail, known, options);
}

function textOf(members: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = members[name];
  return typeof value === 'string' ? value : undefined;
}
