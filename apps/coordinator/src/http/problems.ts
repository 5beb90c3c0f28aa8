import { CodedError, type CodedErrorOptions } from '@concordat/foundation';
import type { LogUnavailableReason } from '../decision-log/decision-log.js';
import { LogUnavailableError, RecordTooLargeError } from '../transactions/errors.js';

export interface ProblemDefinition {
  readonly status: number;
  /** short and the same for every occurrence */
  readonly title: string;
  /** seconds, sent as `Retry-After` */
  readonly retryAfterSeconds?: number;
}

/**
 * Every `code` of the REST interface, with status and title. `docs/errors.md` is generated from it. Clients compare the
 * codes: they may be added, never changed.
 */
export const PROBLEMS = {
  INVALID_JSON: { status: 400, title: 'The body is not valid JSON' },
  NESTED_TOO_DEEPLY: { status: 400, title: 'The body is nested too deeply' },
  FORBIDDEN_KEY: { status: 400, title: 'The body contains a forbidden key' },
  INVALID_NUMBER: { status: 400, title: 'A number cannot be stored exactly' },
  INVALID_TEXT: { status: 400, title: 'A text cannot be stored exactly' },
  INVALID_REQUEST: { status: 400, title: 'The request is not valid' },
  UNKNOWN_FIELD: { status: 400, title: 'The body has an unknown field' },
  UNKNOWN_PARAMETER: { status: 400, title: 'The query has an unknown parameter' },
  INVALID_PARAMETER: { status: 400, title: 'A parameter of the query is not valid' },
  INVALID_ID: { status: 400, title: 'The id is not a UUID' },
  INVALID_LOCK_NAME: { status: 400, title: 'The name of the lock is not valid' },
  INVALID_NODE_ID: { status: 400, title: 'The id of the node is not valid' },
  INVALID_IDEMPOTENCY_KEY: { status: 400, title: 'The Idempotency-Key is not valid' },
  INVALID_EVENT_ID: { status: 400, title: 'The Last-Event-ID is not valid' },
  INVALID_FAILPOINT: { status: 400, title: 'The failpoint is not known' },
  MALFORMED_HTTP: { status: 400, title: 'The request is not valid HTTP' },
  TOO_MANY_BRANCHES: { status: 400, title: 'The transaction has too many branches or operations' },
  UNKNOWN_PARTICIPANT: { status: 400, title: 'The participant is not known' },
  UNKNOWN_OPERATION: { status: 400, title: 'The operation is not known' },
  UNAUTHENTICATED: { status: 401, title: 'The sender has not shown who it is' },
  FORBIDDEN: { status: 403, title: 'The sender may not do this' },
  TRANSACTION_NOT_FOUND: { status: 404, title: 'The transaction does not exist' },
  BRANCH_NOT_FOUND: { status: 404, title: 'The transaction has no such branch' },
  MEMBER_NOT_FOUND: { status: 404, title: 'The node is not a member of the group' },
  ROUTE_NOT_FOUND: { status: 404, title: 'No such route' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time' },
  TRANSACTION_ABORTED: { status: 409, title: 'The transaction was aborted' },
  TRANSACTION_COMMITTED: { status: 409, title: 'The transaction is committed' },
  TRANSACTION_MIXED: { status: 409, title: 'The branches of the transaction ended differently' },
  TRANSACTION_DECIDED: { status: 409, title: 'The transaction is decided' },
  TRANSACTION_CLOSED: { status: 409, title: 'The commit was requested' },
  BRANCH_CONFLICT: { status: 409, title: 'The branch is enlisted differently' },
  NOT_ADDRESSABLE: { status: 409, title: 'No process of the participant can be addressed' },
  RULING_CONTRADICTS_DECISION: { status: 409, title: 'The ruling contradicts the decision' },
  RULING_NEEDS_FORCE: { status: 409, title: 'The ruling is possible only by force' },
  RULING_NOT_POSSIBLE: { status: 409, title: 'The transaction does not allow the ruling' },
  LOCK_HELD: { status: 409, title: 'The lock is held by another owner' },
  LOCK_NOT_HELD: { status: 409, title: 'The lock is not held by this owner under this token' },
  MEMBER_CONFLICT: { status: 409, title: 'The member has other addresses' },
  MEMBER_NOT_VERIFIED: { status: 409, title: 'The addresses do not answer as the node' },
  MEMBERSHIP_CHANGING: { status: 409, title: 'Another membership change is in progress', retryAfterSeconds: 1 },
  LAST_VOTER: { status: 409, title: 'The group would be left without a voter' },
  NOT_A_VOTER: { status: 409, title: 'The node cannot lead' },
  TRANSFER_IN_PROGRESS: {
    status: 409,
    title: 'The leadership is being handed over to another node',
    retryAfterSeconds: 1,
  },
  TRANSACTION_EXPIRED: { status: 410, title: 'The transaction is no longer kept' },
  BODY_TOO_LARGE: { status: 413, title: 'The body is too large' },
  METADATA_TOO_LARGE: { status: 413, title: 'The metadata is too large' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'A payload is too large' },
  URI_TOO_LONG: { status: 414, title: 'The path is too long' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The content type is not supported' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'The Idempotency-Key was used with another request' },
  RATE_LIMITED: { status: 429, title: 'The sender sends too many requests', retryAfterSeconds: 1 },
  HEADERS_TOO_LARGE: { status: 431, title: 'The headers are too large' },
  INTERNAL: { status: 500, title: 'Internal error' },
  NO_LEADER: { status: 503, title: 'The group has no leader now', retryAfterSeconds: 1 },
  OVERLOADED: { status: 503, title: 'The coordinator is overloaded', retryAfterSeconds: 1 },
  TOO_MANY_LOCKS: { status: 503, title: 'Too many locks are held', retryAfterSeconds: 5 },
  TOO_MANY_WAITERS: { status: 503, title: 'Too many clients wait for locks', retryAfterSeconds: 1 },
  HANDING_OVER: { status: 503, title: 'The leadership is being handed over', retryAfterSeconds: 1 },
  DISK_FULL: { status: 503, title: 'The disk of the leader is full', retryAfterSeconds: 5 },
  NOT_A_MEMBER: { status: 503, title: 'This node does not belong to the group', retryAfterSeconds: 5 },
  MEMBER_NOT_CAUGHT_UP: { status: 503, title: 'The node is a learner and has not caught up', retryAfterSeconds: 5 },
  AUTHENTICATION_UNAVAILABLE: {
    status: 503,
    title: 'The credential cannot be verified now',
    retryAfterSeconds: 1,
  },
  TRANSFER_FAILED: { status: 503, title: 'The node did not take over the leadership', retryAfterSeconds: 1 },
  SHUTTING_DOWN: { status: 503, title: 'The node is stopping', retryAfterSeconds: 1 },
  OUTCOME_UNKNOWN: { status: 503, title: 'It is not known whether the request took effect', retryAfterSeconds: 1 },
} as const satisfies Record<string, ProblemDefinition>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface FieldError {
  /** such as `branches[2].payload`; empty for the whole */
  readonly path: string;
  readonly message: string;
}

/** A request that is refused before anything has happened. */
export class RequestRefusedError extends CodedError {
  readonly retryable = false;

  constructor(
    readonly code: ProblemCode,
    message: string,
    readonly errors: readonly FieldError[] = [],
    options: CodedErrorOptions = {},
  ) {
    super(message, options);
  }
}

/** RFC 9457, section 3; further members are extensions. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ProblemCode;
  readonly detail: string;
  readonly instance: string;
  readonly errors?: readonly FieldError[];
  readonly [extension: string]: unknown;
}

export function isProblemCode(code: unknown): code is ProblemCode {
  return typeof code === 'string' && Object.hasOwn(PROBLEMS, code);
}

export function problemDefinition(code: ProblemCode): ProblemDefinition {
  return PROBLEMS[code];
}

/**
 * @param instance path of the request
 * @param extensions further members; the standard ones cannot be overridden by them
 */
export function makeProblem(
  code: ProblemCode,
  detail: string,
  instance: string,
  extensions: Readonly<Record<string, unknown>> = {},
): Problem {
  const { status, title } = problemDefinition(code);
  const type = `urn:concordat:problem:${code.toLowerCase().replaceAll('_', '-')}`;
  return { ...extensions, type, title, status, code, detail, instance };
}

/** What a client sees when the decision log rejects records. */
export const LOG_UNAVAILABLE = {
  'no-leader': 'NO_LEADER',
  overloaded: 'OVERLOADED',
  'disk-full': 'DISK_FULL',
  'handing-over': 'HANDING_OVER',
} as const satisfies Record<LogUnavailableReason, ProblemCode>;

function codeOf(error: CodedError): ProblemCode | undefined {
  if (error instanceof LogUnavailableError) return LOG_UNAVAILABLE[error.reason];
  if (error instanceof RecordTooLargeError) return 'PAYLOAD_TOO_LARGE';
  return isProblemCode(error.code) ? error.code : undefined;
}

/** The problem of any thrown value. An error not meant for clients becomes `INTERNAL` without its message. */
export function problemOf(error: unknown, instance: string): Problem {
  if (error instanceof RequestRefusedError) {
    const extensions = error.errors.length > 0 ? { ...error.details, errors: error.errors } : error.details;
    return makeProblem(error.code, error.message, instance, extensions);
  }
  const code = error instanceof CodedError ? codeOf(error) : undefined;
  if (error instanceof CodedError && code) return makeProblem(code, error.message, instance, error.details);
  return frameworkProblem(error, instance) ?? makeProblem('INTERNAL', 'something failed inside the node', instance);
}

const FRAMEWORK_CODES: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'MALFORMED_HTTP',
  FST_ERR_BAD_URL: 'MALFORMED_HTTP',
  FST_ERR_MAX_PARAM_LENGTH: 'URI_TOO_LONG',
  FST_ERR_NOT_FOUND: 'ROUTE_NOT_FOUND',
};

export const UNSUPPORTED_MEDIA_TYPE_DETAIL = 'the body must be JSON: send "Content-Type: application/json"';
const FRAMEWORK_DETAILS: Partial<Record<ProblemCode, string>> = {
  BODY_TOO_LARGE: 'the body has more than 1 MiB (1,048,576 bytes)',
  UNSUPPORTED_MEDIA_TYPE: UNSUPPORTED_MEDIA_TYPE_DETAIL,
  MALFORMED_HTTP: 'the path or the length of the body is not valid',
  URI_TOO_LONG: 'a part of the path is longer than any id',
  ROUTE_NOT_FOUND: 'there is no such method and path; /openapi.json lists all',
};

/** Errors of Fastify and of Nest's router, recognised by code and status, never by message. */
function frameworkProblem(error: unknown, instance: string): Problem | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, statusCode, status } = error as Error & { code?: unknown; statusCode?: unknown; status?: unknown };
  let known = typeof code === 'string' ? FRAMEWORK_CODES[code] : undefined;
  if (!known && (status === 404 || statusCode === 404)) known = 'ROUTE_NOT_FOUND';
  if (!known && (status === 413 || statusCode === 413)) known = 'BODY_TOO_LARGE';
  if (!known && (status === 415 || statusCode === 415)) known = 'UNSUPPORTED_MEDIA_TYPE';
  if (!known && (isClientError(status) || isClientError(statusCode))) known = 'MALFORMED_HTTP';
  return known && makeProblem(known, FRAMEWORK_DETAILS[known] ?? PROBLEMS[known].title, instance);
}

function isClientError(status: unknown): boolean {
  return typeof status === 'number' && status >= 400 && status < 500;
}
