import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { LIMITS } from '@concordat/commit-protocol';
import {
  canonicalJson,
  isUuid,
  jsonSizeBound,
  type JsonValue,
  formatAddress,
  parseAddress,
  type Address,
} from '@concordat/foundation';
import type { z } from 'zod';
import type { MemberRequest } from '../cluster/cluster.api.js';
import { scopedKey } from '../transactions/idempotency-scope.js';
import { TooManyBranchesError } from '../transactions/errors.js';
import type {
  BeginRequest,
  CommitOptions,
  EnlistRequest,
  ExecuteRequest,
  Idempotency,
  NamedBranchRequest,
} from '../transactions/transactions.api.js';
import { formatPath } from './json-body.js';
import { RequestRefusedError, type FieldError, type ProblemCode } from './problems.js';
import {
  beginSchema,
  commitSchema,
  endSchema,
  executeSchema,
  heldBranchSchema,
  LOCK_NAME_PATTERN,
  MAXIMUM_NODE_ID,
  memberSchema,
  preparedBranchSchema,
  workBranchSchema,
} from './schemas.js';

/** Bounds the answer to a hostile body. */
const MAXIMUM_ERRORS = 20;
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;
const LOCK_NAME = new RegExp(LOCK_NAME_PATTERN);

/** "expected array, received undefined" is no sentence for who has forgotten a field. */
const WORDING: z.core.ParseContext<z.core.$ZodIssue> = {
  error: ({ code, input }) =>
    input === undefined && (code === 'invalid_type' || code === 'invalid_value') ? 'is missing' : undefined,
};

/** @throws RequestRefusedError `INVALID_REQUEST`, or `UNKNOWN_FIELD` if nothing else is wrong */
export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const result = schema.safeParse(body, WORDING);
  if (result.success) return result.data;
  throw refusal(result.error, 'INVALID_REQUEST', 'UNKNOWN_FIELD', 'field');
}

/** @throws RequestRefusedError `INVALID_PARAMETER`, or `UNKNOWN_PARAMETER` if nothing else is wrong */
export function parseQuery<Schema extends z.ZodType>(schema: Schema, query: unknown): z.output<Schema> {
  const result = schema.safeParse(query, WORDING);
  if (result.success) return result.data;
  throw refusal(result.error, 'INVALID_PARAMETER', 'UNKNOWN_PARAMETER', 'query parameter');
}

function refusal(error: z.ZodError, invalid: ProblemCode, unknown: ProblemCode, noun: string): RequestRefusedError {
  const errors: FieldError[] = [];
  let onlyUnknown = true;
  for (const issue of error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        errors.push({ path: formatPath([...issue.path, key]), message: `is not a ${noun} of this call` });
      }
    } else {
      onlyUnknown = false;
      errors.push({ path: formatPath(issue.path), message: issue.message });
    }
  }
  const shown = errors.slice(0, MAXIMUM_ERRORS);
  const sentence = shown.map(({ path, message }) => `${path || 'the body'}: ${message}`).join('; ');
  return new RequestRefusedError(onlyUnknown ? unknown : invalid, sentence, shown);
}

/** @throws RequestRefusedError `INVALID_ID` */
export function parseTransactionId(id: unknown): string {
  if (typeof id === 'string' && isUuid(id)) return id;
  const message = 'must be a UUID in lower case with hyphens';
  throw new RequestRefusedError('INVALID_ID', `the transaction id ${message}`, [{ path: 'id', message }]);
}

/** The id of a node in a path. @throws RequestRefusedError `INVALID_NODE_ID` */
export function parseNodeId(text: unknown): number {
  if (typeof text === 'string' && /^[1-9]\d{0,8}$/.test(text)) return Number(text);
  const message = `must be a whole number from 1 to ${MAXIMUM_NODE_ID.toLocaleString('en')}`;
  throw new RequestRefusedError('INVALID_NODE_ID', `the id of the node ${message}`, [{ path: 'nodeId', message }]);
}

/** The name of a lock in a path. @throws RequestRefusedError `INVALID_LOCK_NAME` */
export function parseLockName(text: unknown): string {
  if (typeof text === 'string' && LOCK_NAME.test(text)) return text;
  const message =
    `must have 1 to ${LIMITS.lockNameLength} characters: letters, digits and . _ : @ ~ -, ` +
    'of which the first is a letter or a digit';
  throw new RequestRefusedError('INVALID_LOCK_NAME', `the name of the lock ${message}`, [{ path: 'name', message }]);
}

/**
 * @param isOverTls whether the request came over TLS: only then this node can call others so
 * @throws RequestRefusedError `INVALID_REQUEST`, `UNKNOWN_FIELD`
 */
export function parseMember(body: unknown, isOverTls = false): MemberRequest {
  const { nodeId, raftUrl, httpUrl, role, replaces } = parseBody(memberSchema, body);
  const raft = parseAddress(raftUrl);
  const http = parseAddress(httpUrl.replace(isOverTls ? /^https?:\/\// : /^http:\/\//, ''));
  const errors: FieldError[] = [];
  if (!isReachable(raft)) errors.push({ path: 'raftUrl', message: 'must be host:port, as others reach the node' });
  if (!isReachable(http)) {
    errors.push({ path: 'httpUrl', message: 'must be http://host:port, as others reach the node' });
  } else if (raft && formatAddress(raft) === formatAddress(http!)) {
    errors.push({ path: 'httpUrl', message: 'must be another address than raftUrl' });
  }
  if (replaces === nodeId) errors.push({ path: 'replaces', message: 'must be another node' });
  else if (replaces !== undefined && role !== 'voter') {
    errors.push({ path: 'replaces', message: 'is possible only with the role voter' });
  }
  if (errors.length === 0)
    return { nodeId, raft: raft!, http: http!, role, ...(replaces !== undefined && { replaces }) };
  const sentence = errors.map(({ path, message }) => `${path}: ${message}`).join('; ');
  throw new RequestRefusedError('INVALID_REQUEST', sentence, errors);
}

/** Whether other nodes can connect to it: no wildcard address. */
function isReachable(address: Address | undefined): boolean {
  return address !== undefined && !['0.0.0.0', '::'].includes(address.host);
}

/** @throws RequestRefusedError */
export function parseBegin(body: unknown): BeginRequest {
  const request = parseBody(beginSchema, body ?? {});
  checkMetadata(request.metadata);
  return request;
}

/** @throws RequestRefusedError, TooManyBranchesError */
export function parseExecute(body: unknown, maximumBranches: number): ExecuteRequest {
  refuseTooManyOperations(body);
  const request = parseBody(executeSchema, body);
  const participants = new Set<string>();
  for (const [index, branch] of request.branches.entries()) {
    participants.add(branch.participant);
    checkSize(branch.payload, `branches[${index}].payload`);
  }
  if (participants.size > maximumBranches) {
    throw new TooManyBranchesError(
      `${participants.size} participants make ${participants.size} branches; at most ${maximumBranches} are allowed`,
      { details: { limit: maximumBranches } },
    );
  }
  checkMetadata(request.metadata);
  return request;
}

/** Counts the branches before anything else, so that a long list costs nothing. */
function refuseTooManyOperations(body: unknown): void {
  const branches = typeof body === 'object' && body !== null && 'branches' in body ? body.branches : undefined;
  if (Array.isArray(branches) && branches.length > LIMITS.operations) {
    throw new TooManyBranchesError(
      `${branches.length} operations are too many; at most ${LIMITS.operations} are allowed`,
      { details: { limit: LIMITS.operations } },
    );
  }
}

/**
 * A branch is work to do, work prepared already, or work in a session that a process holds. The fields that only one of
 * them has tell which, so that errors name the right fields.
 *
 * @throws RequestRefusedError
 */
export function parseBranch(body: unknown): EnlistRequest {
  const fields = typeof body === 'object' && body !== null ? body : {};
  if ('instance' in fields && !('vote' in fields)) return parseBody(heldBranchSchema, body);
  if ('vote' in fields || 'branchId' in fields) return parseBody(preparedBranchSchema, body);
  const branch = parseBody(workBranchSchema, body);
  checkSize(branch.payload, 'payload');
  return branch;
}

/** @throws RequestRefusedError */
export function parseEnd(body: unknown): { readonly branches: readonly NamedBranchRequest[] } {
  return parseBody(endSchema, body ?? {});
}

/** @throws RequestRefusedError */
export function parseCommit(body: unknown): Pick<CommitOptions, 'begin'> & ReturnType<typeof parseEnd> {
  const { branches, begin } = parseBody(commitSchema, body ?? {});
  if (begin) checkMetadata(begin.metadata);
  return { branches, begin };
}

function checkSize(payload: JsonValue, path: string): void {
  refuseAbove(LIMITS.payloadBytes, payload, path, 'PAYLOAD_TOO_LARGE');
}

function checkMetadata(metadata: Readonly<Record<string, JsonValue>>): void {
  refuseAbove(LIMITS.metadataBytes, metadata, 'metadata', 'METADATA_TOO_LARGE');
}

function refuseAbove(limit: number, value: JsonValue, path: string, code: ProblemCode): void {
  if (jsonSizeBound(value) <= limit || Buffer.byteLength(JSON.stringify(value)) <= limit) return;
  const message = `has more than ${limit / 1024} KiB (${limit} bytes) of JSON`;
  throw new RequestRefusedError(code, `${path} ${message}`, [{ path, message }]);
}

/**
 * The Idempotency-Key of a request, and the hash of its body. A repeated header arrives joined by a comma and a space,
 * which no key may contain.
 *
 * @param call name of the call, with the id in its path: equal bodies of different calls differ by it
 * @param principal whose key it is; undefined without authentication
 * @throws RequestRefusedError `INVALID_IDEMPOTENCY_KEY`
 */
export function parseIdempotency(
  headers: IncomingHttpHeaders,
  call: 'begin' | 'enlist' | 'execute' | 'resolve',
  body: unknown,
  principal: string | undefined,
  transactionId?: string,
): Idempotency | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !IDEMPOTENCY_KEY.test(key)) {
    const message = 'must be sent once and have 1 to 255 visible ASCII characters';
    throw new RequestRefusedError('INVALID_IDEMPOTENCY_KEY', `Idempotency-Key ${message}`, [
      { path: 'Idempotency-Key', message },
    ]);
  }
  const text = canonicalJson({ call, id: transactionId, body: body ?? {} });
  return { key: scopedKey(key, principal), bodyHash: createHash('sha256').update(text).digest('hex') };
}
