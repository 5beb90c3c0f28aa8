import type { AbortReason } from '@concordat/commit-protocol';
import { CodedError, type CodedErrorOptions } from '@concordat/foundation';
import type { LogUnavailableReason } from '../decision-log/decision-log.js';
import { LogUnavailableError, RecordTooLargeError } from '../transactions/errors.js';

export interface ProblemDefinition {
  readonly status: number;
  /** short and the same for every occurrence */
  readonly title: string;
  /** what the client can do; printed in `docs/errors.md` */
  readonly advice: string;
  /** seconds, sent as `Retry-After` */
  readonly retryAfterSeconds?: number;
}

/**
 * Every `code` of the REST interface, with status and title. `docs/errors.md` is generated from it. Clients compare the
 * codes: they may be added, never changed.
 */
export const PROBLEMS = {
  INVALID_JSON: {
    status: 400,
    title: 'The body is not valid JSON',
    advice: 'Send one JSON object in UTF-8.',
  },
  NESTED_TOO_DEEPLY: {
    status: 400,
    title: 'The body is nested too deeply',
    advice: 'Flatten the payload: at most 64 levels.',
  },
  FORBIDDEN_KEY: {
    status: 400,
    title: 'The body contains a forbidden key',
    advice: 'Rename the field: `__proto__`, and `constructor` around a `prototype`, are refused everywhere.',
  },
  INVALID_NUMBER: {
    status: 400,
    title: 'A number cannot be stored exactly',
    advice: 'Numbers beyond 2^53-1 would be rounded; send them as strings.',
  },
  INVALID_TEXT: {
    status: 400,
    title: 'A text cannot be stored exactly',
    advice: 'Leave out NUL (`\\u0000`) and lone surrogates (`\\ud800`); send bytes as base64.',
  },
  INVALID_REQUEST: {
    status: 400,
    title: 'The request is not valid',
    advice: '`errors` names each field and what is wrong with it.',
  },
  UNKNOWN_FIELD: {
    status: 400,
    title: 'The body has an unknown field',
    advice: '`errors` names the fields; remove them or correct their spelling.',
  },
  UNKNOWN_PARAMETER: {
    status: 400,
    title: 'The query has an unknown parameter',
    advice: '`errors` names the parameters; remove them or correct their spelling.',
  },
  INVALID_PARAMETER: {
    status: 400,
    title: 'A parameter of the query is not valid',
    advice: '`errors` names the parameter and what it may be.',
  },
  INVALID_ID: {
    status: 400,
    title: 'The id is not a UUID',
    advice: 'Use the `id` of a transaction as it was answered (lower case, with hyphens).',
  },
  INVALID_NODE_ID: {
    status: 400,
    title: 'The id of the node is not valid',
    advice: 'Use the `nodeId` of a member: a whole number from 1 to 999,999,999.',
  },
  INVALID_IDEMPOTENCY_KEY: {
    status: 400,
    title: 'The Idempotency-Key is not valid',
    advice: 'Send the header once, with 1 to 255 visible ASCII characters.',
  },
  INVALID_EVENT_ID: {
    status: 400,
    title: 'The Last-Event-ID is not valid',
    advice: 'Send the `id` of an event as it was received.',
  },
  INVALID_FAILPOINT: {
    status: 400,
    title: 'The failpoint is not known',
    advice: 'The answer to `GET /debug/failpoints` lists the names.',
  },
  MALFORMED_HTTP: {
    status: 400,
    title: 'The request is not valid HTTP',
    advice: 'Check the request line, the headers and the encoding of the path.',
  },
  TOO_MANY_BRANCHES: {
    status: 400,
    title: 'The transaction has too many branches or operations',
    advice: 'At most 64 branches (`CONCORDAT_MAX_BRANCHES`) and 256 operations; split the transaction.',
  },
  UNKNOWN_PARTICIPANT: {
    status: 400,
    title: 'The participant is not known',
    advice: 'Check the name; a participant announces itself when it starts.',
  },
  UNKNOWN_OPERATION: {
    status: 400,
    title: 'The operation is not known',
    advice:
      'Check the name. In a rolling update, an operation is known while all live processes of its participant serve it, old and new ones.',
  },
  TRANSACTION_NOT_FOUND: {
    status: 404,
    title: 'The transaction does not exist',
    advice: 'Check the id.',
  },
  BRANCH_NOT_FOUND: {
    status: 404,
    title: 'The transaction has no such branch',
    advice: 'Nothing happened; `GET /v1/transactions/{id}` lists the branches.',
  },
  MEMBER_NOT_FOUND: {
    status: 404,
    title: 'The node is not a member of the group',
    advice: 'Nothing happened; `GET /v1/cluster` lists the members.',
  },
  ROUTE_NOT_FOUND: {
    status: 404,
    title: 'No such route',
    advice: 'Check method and path against `/openapi.json`.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    title: 'The request did not arrive in time',
    advice: 'Send the whole request within `CONCORDAT_REQUEST_TIMEOUT_MS` (30 s).',
  },
  TRANSACTION_ABORTED: {
    status: 409,
    title: 'The transaction was aborted',
    advice: 'Nothing happened anywhere. `reason`, `branchId`, `participant` and `participantCode` say why.',
  },
  TRANSACTION_COMMITTED: {
    status: 409,
    title: 'The transaction is committed',
    advice: 'It cannot be aborted any more.',
  },
  TRANSACTION_MIXED: {
    status: 409,
    title: 'The branches of the transaction ended differently',
    advice: 'Somebody ended a prepared branch by hand; read the transaction and repair the data.',
  },
  TRANSACTION_DECIDED: {
    status: 409,
    title: 'The transaction is decided',
    advice: 'Branches can no longer be added; begin another transaction.',
  },
  TRANSACTION_CLOSED: {
    status: 409,
    title: 'The commit was requested',
    advice: 'Branches can no longer be added; begin another transaction.',
  },
  BRANCH_CONFLICT: {
    status: 409,
    title: 'The branch is enlisted differently',
    advice: 'The branchId is enlisted with another vote or participant; use a new branchId.',
  },
  RULING_CONTRADICTS_DECISION: {
    status: 409,
    title: 'The ruling contradicts the decision',
    advice:
      'Nothing happened. A decision never changes. A single branch in doubt can be ended against the decision: send its `branchId` and `"force": true`.',
  },
  RULING_NEEDS_FORCE: {
    status: 409,
    title: 'The ruling is possible only by force',
    advice: 'Nothing happened. `detail` says what the ruling gives up; to confirm, send `"force": true`.',
  },
  RULING_NOT_POSSIBLE: {
    status: 409,
    title: 'The transaction does not allow the ruling',
    advice: 'Nothing happened; `detail` says why. `GET /v1/in-doubt` lists the rulings that are possible.',
  },
  MEMBER_CONFLICT: {
    status: 409,
    title: 'The member has other addresses',
    advice:
      'Nothing happened. The group has other addresses for this node, or another node has these addresses; `GET /v1/cluster` shows them. A node that moves to another address needs a new id.',
  },
  MEMBERSHIP_CHANGING: {
    status: 409,
    title: 'Another membership change is in progress',
    advice: 'Nothing happened; repeat the request when `changing` in `GET /v1/cluster` is false.',
    retryAfterSeconds: 1,
  },
  LAST_VOTER: {
    status: 409,
    title: 'The group would be left without a voter',
    advice: 'Nothing happened; add another voter first.',
  },
  NOT_A_VOTER: {
    status: 409,
    title: 'The node cannot lead',
    advice: 'Only a voter can lead. To make a learner a voter, use `POST /v1/cluster/members` with the role `voter`.',
  },
  TRANSFER_IN_PROGRESS: {
    status: 409,
    title: 'The leadership is being handed over to another node',
    advice: 'Nothing happened; repeat the request.',
    retryAfterSeconds: 1,
  },
  TRANSACTION_EXPIRED: {
    status: 410,
    title: 'The transaction is no longer kept',
    advice:
      'Ended transactions are kept for `CONCORDAT_RETENTION_MS` (24 hours), at most `CONCORDAT_RETENTION_COUNT` of them (1,000,000).',
  },
  BODY_TOO_LARGE: {
    status: 413,
    title: 'The body is too large',
    advice: 'At most 1 MiB; split the transaction.',
  },
  METADATA_TOO_LARGE: {
    status: 413,
    title: 'The metadata is too large',
    advice: 'At most 16 KiB of JSON; store larger data elsewhere and send a reference.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    title: 'A payload is too large',
    advice:
      'At most 256 KiB for the payload of an operation and 1 MiB for all operations of a transaction; store larger data elsewhere and send a reference.',
  },
  URI_TOO_LONG: {
    status: 414,
    title: 'The path is too long',
    advice: 'Check the id.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    title: 'The content type is not supported',
    advice: 'Send `Content-Type: application/json`.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    title: 'The Idempotency-Key was used with another request',
    advice: 'Use a new key for a new request; nothing happened.',
  },
  HEADERS_TOO_LARGE: {
    status: 431,
    title: 'The headers are too large',
    advice: 'At most 16 KiB of headers.',
  },
  INTERNAL: {
    status: 500,
    title: 'Internal error',
    advice:
      "The node's log has the cause. The request may have taken effect: read the transaction, or repeat the request with the same Idempotency-Key.",
  },
  NO_LEADER: {
    status: 503,
    title: 'The group has no leader now',
    advice: 'Nothing happened; repeat the request.',
    retryAfterSeconds: 1,
  },
  OVERLOADED: {
    status: 503,
    title: 'The coordinator is overloaded',
    advice: 'Nothing happened; repeat the request later.',
    retryAfterSeconds: 1,
  },
  HANDING_OVER: {
    status: 503,
    title: 'The leadership is being handed over',
    advice: 'Nothing happened; repeat the request.',
    retryAfterSeconds: 1,
  },
  DISK_FULL: {
    status: 503,
    title: 'The disk of the leader is full',
    advice:
      'Nothing happened. Free space on the disk of the leader, or transfer the leadership (`POST /v1/cluster/leader`). The leader continues by itself when the disk has room.',
    retryAfterSeconds: 5,
  },
  NOT_A_MEMBER: {
    status: 503,
    title: 'This node does not belong to the group',
    advice:
      'Nothing happened; repeat the request at another node. To add this node, send `POST /v1/cluster/members` there.',
    retryAfterSeconds: 5,
  },
  MEMBER_NOT_CAUGHT_UP: {
    status: 503,
    title: 'The node is a learner and has not caught up',
    advice: 'The node is a learner of the group. `detail` says what to check; repeat the request to continue.',
    retryAfterSeconds: 5,
  },
  TRANSFER_FAILED: {
    status: 503,
    title: 'The node did not take over the leadership',
    advice: 'Repeat the request when `GET /v1/cluster` shows the node as healthy and close behind the leader.',
    retryAfterSeconds: 1,
  },
  SHUTTING_DOWN: {
    status: 503,
    title: 'The node is stopping',
    advice: 'Nothing happened; repeat the request at another node.',
    retryAfterSeconds: 1,
  },
  OUTCOME_UNKNOWN: {
    status: 503,
    title: 'It is not known whether the request took effect',
    advice: 'Read the transaction, or repeat the request with the same Idempotency-Key.',
    retryAfterSeconds: 1,
  },
} as const satisfies Record<string, ProblemDefinition>;

export type ProblemCode = keyof typeof PROBLEMS;

/** The reasons of an aborted transaction (`reason` beside the code `TRANSACTION_ABORTED`). */
export const ABORT_REASON_ADVICE = {
  PARTICIPANT_REFUSED: 'A participant voted no; `participantCode` is its reason, such as `INSUFFICIENT_FUNDS`.',
  INVALID_PAYLOAD: "A payload does not fit the participant's schema; correct it.",
  LOCK_TIMEOUT: 'A branch could not get its locks in time; repeat the transaction.',
  DEADLINE_EXCEEDED: 'Not every vote arrived before the deadline (`timeoutMs`).',
  ADMISSION_TIMEOUT: 'The transaction waited for its `keys` until its deadline.',
  CLIENT_ABORTED: 'A client aborted the transaction.',
  OPERATOR: 'An operator ruled to abort.',
  BRANCHES_DECIDED: 'In `3pc`, the branches decided among themselves while no coordinator answered.',
} as const satisfies Record<AbortReason, string>;

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

const FRAMEWORK_DETAILS: Partial<Record<ProblemCode, string>> = {
  BODY_TOO_LARGE: 'the body has more than 1 MiB (1,048,576 bytes)',
  UNSUPPORTED_MEDIA_TYPE: 'the body must be JSON: send "Content-Type: application/json"',
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
