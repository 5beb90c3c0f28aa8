import { InvalidRequestError } from './errors/errors.js';
import { jsonFault, type JsonValue } from './model/json.js';
import type { Protocol, RulingAction, TransactionStatus, Vote } from './model/transaction.js';
import type { OperationWork } from './contracts/operation.js';
import { inRange, type CallOptions } from './transport/options.js';

export interface TransactionOptions {
  /** default `2pc` */
  readonly protocol?: Protocol | undefined;
  /** milliseconds until the transaction is aborted if it is not decided: 100 to 3,600,000, default 30,000 */
  readonly timeoutMs?: number | undefined;
  /** data of the caller, kept with the transaction; at most 16 KiB */
  readonly metadata?: Readonly<Record<string, JsonValue>> | undefined;
}

/** Work that was prepared already, under the branch's gid, by the participant's own database user. */
export interface PreparedBranch {
  readonly participant: string;
  /** a UUID that the caller chose */
  readonly branchId: string;
  readonly vote: Vote;
}

/** A branch whose local transaction is open in one process of the participant, which will be asked to prepare it. */
export interface HeldBranch {
  readonly participant: string;
  /** a UUID that the caller chose */
  readonly branchId: string;
  /** the process, as it announces itself on its direct stream */
  readonly instance: string;
}

export interface KeyOptions extends CallOptions {
  /**
   * names the request, so that a repetition has no further effect: 1 to 255 visible ASCII characters. Default: a new
   * random one for each call. null sends none; then a request that may have taken effect is never repeated
   */
  readonly idempotencyKey?: string | null | undefined;
}

export interface WaitOptions extends CallOptions {
  /** how long the coordinator waits for the decision, in milliseconds: 0 to 60,000, default 30,000 */
  readonly waitMs?: number | undefined;
  /**
   * what the answer waits for; default `decided`. `reported`: every branch has reported its end, so that a read right
   * after sees all of it; `ended`: that is in the coordinators' log, too
   */
  readonly wait?: 'decided' | 'reported' | 'ended' | undefined;
}

export interface BeginOptions extends TransactionOptions {
  /**
   * answers before the transaction is in the log. If the leader fails before it is, nobody knows the transaction, and it
   * counts as aborted. Sends no key by itself, and may be repeated all the same. Default false
   */
  readonly deferred?: boolean | undefined;
  /**
   * the process that will request the commit, by its name on its direct stream: when that is away for five seconds
   * before the request, the transaction is aborted. Default: only the deadline ends it
   */
  readonly beginner?: { readonly participant: string; readonly instance: string } | undefined;
  /** one that was reserved with an earlier begin; a repeat is answered with the transaction. Default: a new one */
  readonly id?: string | undefined;
  /**
   * ids to reserve for transactions to come, 1 to 256: `reserved` of the answer; default none. Each may be used once, for half
   * a minute, and only while the coordinator leads that has reserved it
   */
  readonly reserve?: number | undefined;
}

export interface EndOptions extends WaitOptions {
  /** branches that the request enlists, unless they are already; default none */
  readonly branches?: readonly (PreparedBranch | HeldBranch)[] | undefined;
}

export interface CommitOptions extends EndOptions {
  /** begins the transaction with the request, if nobody knows it; its id must be reserved. Default: it has begun */
  readonly begin?: TransactionOptions | undefined;
}

export interface ReadOptions extends CallOptions {
  /** `stale` is answered by any coordinator from what it has; default `linearizable` */
  readonly consistency?: 'linearizable' | 'stale' | undefined;
}

export interface PageQuery {
  /** items of a page: 1 to 500 */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before */
  readonly cursor?: string | undefined;
}

export interface ListQuery extends PageQuery {
  readonly status?: TransactionStatus | undefined;
  /** with a branch of this participant */
  readonly participant?: string | undefined;
}

export interface RulingRequest {
  readonly action: RulingAction;
  /** default: the whole transaction */
  readonly branchId?: string | undefined;
  /** for the audit: one line, at most 1,000 characters */
  readonly reason: string;
  /** for the audit: the name of the operator; default `unnamed` */
  readonly operator?: string | undefined;
  /** confirms a ruling that breaks a promise, or gives up a branch */
  readonly force?: boolean | undefined;
}

export const DEFAULT_WAIT_MS = 30_000;
export const MAXIMUM_WAIT_MS = 60_000;

/** The query of a call; undefined values are left out. */
export function queryOf(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, String(value));
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** @throws ClientOptionError */
export function waitMsOf(waitMs: number | undefined): number {
  return Math.floor(inRange('waitMs', waitMs ?? DEFAULT_WAIT_MS, 0, MAXIMUM_WAIT_MS));
}

/** A part of a path. @throws InvalidRequestError `INVALID_ID` */
export function idOf(id: string): string {
  if (typeof id === 'string' && /^[0-9a-f-]{36}$/.test(id)) return id;
  throw new InvalidRequestError('INVALID_ID', 'a transaction id must be a UUID in lower case, as it was answered');
}

/** The body of a request, without undefined fields. @throws InvalidRequestError `INVALID_VALUE`, with the place */
export function bodyOf(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const body = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  for (const [name, value] of Object.entries(body)) {
    const fault = jsonFault(value, name);
    if (fault !== undefined) throw new InvalidRequestError('INVALID_VALUE', fault);
  }
  return body;
}

/** Without the contract that made it. */
export function workBody({ participant, operation, payload, keys }: OperationWork): Readonly<Record<string, unknown>> {
  // A handler without a payload gets null: JSON has no undefined.
  return { participant, operation, payload: payload === undefined ? null : payload, ...(keys && { keys }) };
}

/** @throws InvalidRequestError `INVALID_IDEMPOTENCY_KEY` */
export function keyOf({ idempotencyKey }: KeyOptions): string | undefined {
  if (idempotencyKey === null) return undefined;
  if (idempotencyKey === undefined) return randomName();
  if (/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) return idempotencyKey;
  throw new InvalidRequestError(
    'INVALID_IDEMPOTENCY_KEY',
    'an idempotency key must have 1 to 255 visible ASCII characters, without spaces',
  );
}

/** 128 random bits. `crypto.randomUUID` would need a secure context in browsers. */
export function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
