import type { AbortReason } from '@concordat/commit-protocol';
import { markdownTable } from '@concordat/foundation/testing';
import type { GlobalErrorCode } from '@concordat/participant';
import { PROBLEMS, type ProblemCode, type ProblemDefinition } from '../problems.js';

/** What a client can do about each problem. A code without an advice does not compile. */
const PROBLEM_ADVICE: Readonly<Record<ProblemCode, string>> = {
  INVALID_JSON: 'Send one JSON object in UTF-8.',
  NESTED_TOO_DEEPLY: 'Flatten the payload: at most 64 levels.',
  FORBIDDEN_KEY: 'Rename the field: `__proto__`, and `constructor` around a `prototype`, are refused everywhere.',
  INVALID_NUMBER: 'Numbers beyond 2^53-1 would be rounded; send them as strings.',
  INVALID_TEXT: 'Leave out NUL (`\\u0000`) and lone surrogates (`\\ud800`); send bytes as base64.',
  INVALID_REQUEST: '`errors` names each field and what is wrong with it.',
  UNKNOWN_FIELD: '`errors` names the fields; remove them or correct their spelling.',
  UNKNOWN_PARAMETER: '`errors` names the parameters; remove them or correct their spelling.',
  INVALID_PARAMETER: '`errors` names the parameter and what it may be.',
  INVALID_ID: 'Use the `id` of a transaction as it was answered (lower case, with hyphens).',
  INVALID_LOCK_NAME:
    'Use 1 to 100 letters, digits and `. _ : @ ~ -`, beginning with a letter or a digit; hash a longer name.',
  INVALID_NODE_ID: 'Use the `nodeId` of a member: a whole number from 1 to 999,999,999.',
  INVALID_IDEMPOTENCY_KEY: 'Send the header once, with 1 to 255 visible ASCII characters.',
  INVALID_EVENT_ID: 'Send the `id` of an event as it was received.',
  INVALID_FAILPOINT: 'The answer to `GET /debug/failpoints` lists the names.',
  MALFORMED_HTTP: 'Check the request line, the headers and the encoding of the path.',
  TOO_MANY_BRANCHES: 'At most 64 branches (`CONCORDAT_MAX_BRANCHES`) and 256 operations; split the transaction.',
  UNKNOWN_PARTICIPANT: 'Check the name; a participant announces itself when it starts.',
  UNKNOWN_OPERATION:
    'Check the name. In a rolling update, an operation is known while all live processes of its participant serve it, old and new ones.',
  UNAUTHENTICATED:
    'Send a valid token as `Authorization: Bearer …`. `detail` says more where the sender may know; the log of the node always does ([security](security.md)).',
  FORBIDDEN:
    'Nothing happened. `detail` names the roles that the call needs ([security](security.md#who-may-call-what)), or says that a page of another origin may not call a node that asks nobody who is there.',
  TRANSACTION_NOT_FOUND: 'Check the id, and with authentication whether this sender began the transaction.',
  BRANCH_NOT_FOUND: 'Nothing happened; `GET /v1/transactions/{id}` lists the branches.',
  MEMBER_NOT_FOUND: 'Nothing happened; `GET /v1/cluster` lists the members.',
  ROUTE_NOT_FOUND: 'Check method and path against `/openapi.json`.',
  REQUEST_TIMEOUT: 'Send the whole request within `CONCORDAT_REQUEST_TIMEOUT_MS` (30 s).',
  TRANSACTION_ABORTED: 'Nothing happened anywhere. `reason`, `branchId`, `participant` and `participantCode` say why.',
  TRANSACTION_COMMITTED: 'It cannot be aborted any more.',
  TRANSACTION_MIXED: 'Somebody ended a prepared branch by hand; read the transaction and repair the data.',
  TRANSACTION_DECIDED: 'Branches can no longer be added; begin another transaction.',
  TRANSACTION_CLOSED: 'Branches can no longer be added; begin another transaction.',
  BRANCH_CONFLICT: 'The branchId is enlisted with another vote, instance or participant; use a new branchId.',
  NOT_ADDRESSABLE:
    'Nothing happened. Over Kafka alone no process can be addressed: prepare the branch and enlist it with its `vote`, or run the coordinators and the service with `CONCORDAT_LINK=both` or `direct`.',
  RULING_CONTRADICTS_DECISION:
    'Nothing happened. A decision never changes. A single branch in doubt can be ended against the decision: send its `branchId` and `"force": true`.',
  RULING_NEEDS_FORCE: 'Nothing happened. `detail` says what the ruling gives up; to confirm, send `"force": true`.',
  RULING_NOT_POSSIBLE: 'Nothing happened; `detail` says why. `GET /v1/in-doubt` lists the rulings that are possible.',
  LOCK_HELD:
    'Nothing happened; `holder` says who has it and until when at the earliest. Send `waitMs` to wait in order, or ask again later.',
  LOCK_NOT_HELD:
    'Stop the guarded work: the lock was released or has expired, and another may have it. Acquire it again. After a repeated release it means that the lock is released.',
  MEMBER_CONFLICT:
    'Nothing happened. The group has other addresses for this node, or another node has these addresses; `GET /v1/cluster` shows them. A node that moves to another address needs a new id.',
  MEMBER_NOT_VERIFIED:
    'Nothing happened. With TLS, start the node first, with its own certificate ([security](security.md#tls)); `detail` says what answers at the address, or what to set so that it can be seen.',
  MEMBERSHIP_CHANGING: 'Nothing happened; repeat the request when `changing` in `GET /v1/cluster` is false.',
  LAST_VOTER: 'Nothing happened; add another voter first.',
  NOT_A_VOTER:
    'Only a voter can lead. To make a learner a voter, use `POST /v1/cluster/members` with the role `voter`.',
  TRANSFER_IN_PROGRESS: 'Nothing happened; repeat the request.',
  TRANSACTION_EXPIRED:
    'Ended transactions are kept for `CONCORDAT_RETENTION_MS` (24 hours), at most `CONCORDAT_RETENTION_COUNT` of them (1,000,000).',
  BODY_TOO_LARGE: 'At most 1 MiB; split the transaction.',
  METADATA_TOO_LARGE: 'At most 16 KiB of JSON; store larger data elsewhere and send a reference.',
  PAYLOAD_TOO_LARGE:
    'At most 256 KiB for the payload of an operation and 1 MiB for all operations of a transaction; store larger data elsewhere and send a reference.',
  URI_TOO_LONG: 'Check the id.',
  UNSUPPORTED_MEDIA_TYPE: 'Send `Content-Type: application/json`.',
  IDEMPOTENCY_KEY_REUSED: 'Use a new key for a new request; nothing happened.',
  RATE_LIMITED: 'Nothing happened; repeat the request after `Retry-After`. `CONCORDAT_RATE_LIMIT` is the limit.',
  HEADERS_TOO_LARGE: 'At most 16 KiB of headers.',
  INTERNAL:
    "The node's log has the cause. The request may have taken effect: read the transaction, or repeat the request with the same Idempotency-Key.",
  NO_LEADER: 'Nothing happened; repeat the request.',
  TOO_MANY_LOCKS: 'Nothing happened; at most 100,000 locks are held at a time. Repeat the request later.',
  TOO_MANY_WAITERS:
    'Nothing happened; at most 1,000 clients wait for one lock and 10,000 for all. Repeat the request later.',
  OVERLOADED: 'Nothing happened; repeat the request later.',
  HANDING_OVER: 'Nothing happened; repeat the request.',
  DISK_FULL:
    'Nothing happened. Free space on the disk of the leader, or transfer the leadership (`POST /v1/cluster/leader`). The leader continues by itself when the disk has room.',
  NOT_A_MEMBER:
    'Nothing happened; repeat the request at another node. To add this node, send `POST /v1/cluster/members` there.',
  MEMBER_NOT_CAUGHT_UP:
    'The node is a learner of the group. `detail` says what to check; repeat the request to continue.',
  AUTHENTICATION_UNAVAILABLE:
    'Nothing happened; repeat the request. The node cannot read the keys of the issuer (`CONCORDAT_AUTH_JWKS_URL`); its log says why.',
  TRANSFER_FAILED: 'Repeat the request when `GET /v1/cluster` shows the node as healthy and close behind the leader.',
  SHUTTING_DOWN: 'Nothing happened; repeat the request at another node.',
  OUTCOME_UNKNOWN: 'Read the transaction, or repeat the request with the same Idempotency-Key.',
};

/** The reasons of an aborted transaction (`reason` beside the code `TRANSACTION_ABORTED`). */
const ABORT_REASON_ADVICE: Readonly<Record<AbortReason, string>> = {
  PARTICIPANT_REFUSED:
    'A participant voted no; `participantCode` is its reason, such as `INSUFFICIENT_FUNDS`; `INSTANCE_GONE`: the process that held the session of a branch is gone.',
  INVALID_PAYLOAD: "A payload does not fit the participant's schema; correct it.",
  LOCK_TIMEOUT: 'A branch could not get its locks in time; repeat the transaction.',
  DEADLINE_EXCEEDED: 'Not every vote arrived before the deadline (`timeoutMs`).',
  ADMISSION_TIMEOUT: 'The transaction waited for its `keys` until its deadline.',
  CLIENT_ABORTED: 'A client aborted the transaction.',
  OPERATOR: 'An operator ruled to abort.',
  BRANCHES_DECIDED: 'In `3pc`, the branches decided among themselves while no coordinator answered.',
};

/** The errors of global transactions in services, of `@concordat/nestjs` and `@concordat/participant`. */
const SDK_ADVICE: Readonly<Record<GlobalErrorCode, readonly [meaning: string, advice: string]>> = {
  NOT_JOINED: [
    'A called service on `propagateTo` did not prove that it had joined, or gave no answer',
    'Mark its handler with `@JoinGlobalTransaction()`, or take the destination off `propagateTo`.',
  ],
  TRANSACTION_REQUIRED: [
    'The propagation is `MANDATORY`, and there is no transaction',
    'Call it from a `@GlobalTransaction()` method; put the service on the `propagateTo` of its caller.',
  ],
  TRANSACTION_FORBIDDEN: [
    'The propagation is `NEVER`, and there is a transaction',
    'Call it after the transaction, or with another propagation.',
  ],
  INVALID_CONTEXT: [
    'The context of a call is malformed, forged, or made for another service',
    'Give all services the same `contextKey`; behind a proxy, set `audiences`.',
  ],
  CONTEXT_EXPIRED: [
    'The deadline of the caller’s transaction has passed',
    'Give it a longer `timeoutMs`; check the clocks of both services.',
  ],
  ROLLBACK_ONLY: [
    'The method returned, and something had doomed its transaction',
    '`doom` says who and why. Let the error through, or handle it outside the transaction.',
  ],
  HANDLE_CLOSED: ['A statement came after its method had returned', 'An `await` is missing.'],
  TRANSACTION_ABORTED: [
    'The coordinators aborted the transaction',
    'Nothing happened anywhere; `reason`, `participant` and `participantCode` say why.',
  ],
  NOT_BEGUN: [
    'No coordinator has begun the transaction: they are down, cannot be reached, or have no leader',
    'Nothing happened. Start them, or wait, and repeat the method.',
  ],
  OUTCOME_UNKNOWN: [
    'The commit was requested, and no coordinator says how it ended',
    'Read the transaction by its id before you repeat the work.',
  ],
  TRANSACTION_MIXED: [
    'The transaction is decided, and a branch ended against the decision',
    'Do not repeat the work: `decision` holds for all other branches. Repair the data of `branches`, and let an operator [rule](operations.md#ruling).',
  ],
  GLOBAL_CONFIGURATION: ['An option is wrong', 'The message says what to set.'],
};

/** `docs/errors.md`: every code a client or a service can see. */
export function renderErrorsDocument(): string {
  const problems = Object.entries(PROBLEMS) as [ProblemCode, ProblemDefinition][];
  const codes = problems.map(([code, { status, title, retryAfterSeconds }]) => {
    const repeat = retryAfterSeconds === undefined ? '' : ` (\`Retry-After: ${retryAfterSeconds}\`)`;
    return [`\`${code}\``, `${status}${repeat}`, title, PROBLEM_ADVICE[code]];
  });
  const reasons = Object.entries(ABORT_REASON_ADVICE).map(([reason, meaning]) => [`\`${reason}\``, meaning]);
  const sdk = Object.entries(SDK_ADVICE).map(([code, words]) => [`\`${code}\``, ...words]);
  return `# Errors of the REST interface

<!-- Generated from apps/coordinator/src/http/problems.ts and testing/errors-document.ts by errors-document.spec.ts; do not edit. -->

Every error is an RFC 9457 problem (\`application/problem+json\`): \`type\`, \`title\`, \`status\`, \`code\`, \`detail\` (a
sentence for people), \`instance\` (the path), and where fields or parameters are wrong \`errors: [{path, message}]\`.
Compare \`code\`; it never changes its meaning.

${markdownTable(['code', 'status', 'meaning', 'what to do'], codes)}

## Reasons of an aborted transaction

\`TRANSACTION_ABORTED\` carries \`transactionId\`, \`reason\` and, where a branch was the cause, \`branchId\`,
\`participant\` and \`participantCode\`.

${markdownTable(['reason', 'meaning'], reasons)}

## Errors of global transactions in services

\`@concordat/nestjs\` and \`@concordat/participant\` throw these. [Propagation](guides/propagation.md) explains them.

${markdownTable(['code', 'meaning', 'what to do'], sdk)}
`;
}
