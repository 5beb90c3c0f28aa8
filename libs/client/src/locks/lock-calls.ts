import { InvalidRequestError } from '../errors/errors.js';
import type { ListedLock, Lock } from '../model/lock.js';
import { lockPageShape, lockShape, type Page } from '../model/shapes.js';
import { pages } from '../pages.js';
import { bodyOf, MAXIMUM_WAIT_MS, queryOf, type PageQuery, type ReadOptions } from '../requests.js';
import { inRange, type CallOptions } from '../transport/options.js';
import { checked, type Call, type Transport } from '../transport/transport.js';

/** What only the holder of a lock knows. */
export interface LockProof {
  readonly owner: string;
  readonly fencingToken: number;
}

/** For operators. */
export interface Forced {
  /** acts for the holder, even if another principal took the lock; audited. Needs the role `operator`. Default: false */
  readonly force?: boolean | undefined;
}

export interface LeaseRequest {
  /** equal owners are one, so the holder itself takes the lock again: 1 to 255 printable ASCII characters */
  readonly owner: string;
  /** length of the lease in milliseconds, 100 to 3,600,000 */
  readonly ttlMs: number;
}

/** A lock, and when the request was sent that got it: the lease cannot have begun before. */
export interface Leased {
  readonly lock: Lock;
  /** on the client's monotonic clock */
  readonly sentAtMs: number;
}

const MINIMUM_TTL_MS = 100;
const MAXIMUM_TTL_MS = 3_600_000;

/**
 * The single calls of locks, for a program that renews by itself. `client.locks.acquire` does more: it keeps a lock and
 * says when it is lost.
 */
export class LockCalls {
  constructor(private readonly transport: Transport) {}

  /**
   * Takes a lock, or renews it for its holder, which keeps its token.
   *
   * @param request `waitMs`: how long to wait for a lock that another holds, in order of arrival; 0 to 60,000, default 0
   * @throws LockHeldError
   */
  async acquire(
    name: string,
    request: LeaseRequest & { readonly waitMs?: number | undefined },
    options: CallOptions = {},
  ): Promise<Lock> {
    return (await this.lease(name, request, options)).lock;
  }

  /** As `acquire`, and says when the lease can have begun. */
  async lease(
    name: string,
    { owner, ttlMs, waitMs = 0 }: LeaseRequest & { readonly waitMs?: number | undefined },
    options: CallOptions = {},
  ): Promise<Leased> {
    const wait = Math.floor(inRange('waitMs', waitMs, 0, MAXIMUM_WAIT_MS));
    const body = bodyOf({ owner, ttlMs: ttlMsOf(ttlMs), waitMs: wait });
    return this.leased({ ...changing('PUT', lockPath(name), body), waitMs: wait }, options);
  }

  /**
   * Extends the lease, counted from now.
   *
   * @throws LockNotHeldError
   */
  async renew(name: string, request: LeaseRequest & LockProof & Forced, options: CallOptions = {}): Promise<Lock> {
    return (await this.prolong(name, request, options)).lock;
  }

  /** As `renew`, and says when the lease can have begun. */
  async prolong(
    name: string,
    { owner, fencingToken, ttlMs, force }: LeaseRequest & LockProof & Forced,
    options: CallOptions = {},
  ): Promise<Leased> {
    const body = bodyOf({ owner, fencingToken, ttlMs: ttlMsOf(ttlMs) });
    return this.leased(changing('POST', `${lockPath(name)}/renew${forcing(force)}`, body), options);
  }

  /**
   * Gives a lock back.
   *
   * @throws LockNotHeldError
   */
  async release(
    name: string,
    { owner, fencingToken, force }: LockProof & Forced,
    options: CallOptions = {},
  ): Promise<void> {
    const path = `${lockPath(name)}${queryOf({ owner, fencingToken, force: force === true ? 'true' : undefined })}`;
    const call = changing('DELETE', path);
    await this.transport.request({ ...call, statuses: [204], codeIfDone: 'LOCK_NOT_HELD' }, options);
  }

  /** One page of the locks that are held; for a client without the right to read all, of those that it has taken. */
  async listPage(query: PageQuery = {}, options: ReadOptions = {}): Promise<Page<ListedLock>> {
    const { limit, cursor } = query;
    const path = `/v1/locks${queryOf({ limit, cursor, consistency: options.consistency })}`;
    const call = { method: 'GET', path, repeatability: 'read', statuses: [200] } as const;
    return this.transport.read(call, lockPageShape, options);
  }

  /** All locks that are held, longest held first. */
  list(query: Omit<PageQuery, 'cursor'> = {}, options: ReadOptions = {}): AsyncGenerator<ListedLock, void, undefined> {
    return pages((cursor) => this.listPage({ ...query, cursor }, options));
  }

  private async leased(call: Call, options: CallOptions): Promise<Leased> {
    const { body, status, sentAtMs } = await this.transport.request(call, options);
    return { lock: checked(lockShape, body, call, status), sentAtMs };
  }
}

function changing(method: 'PUT' | 'POST' | 'DELETE', path: string, body?: unknown): Call {
  return { method, path, body, repeatability: 'idempotent', statuses: [200] };
}

function forcing(force: boolean | undefined): string {
  return force === true ? queryOf({ force: 'true' }) : '';
}

/** @throws ClientOptionError */
export function ttlMsOf(ttlMs: number): number {
  return Math.floor(inRange('ttlMs', ttlMs, MINIMUM_TTL_MS, MAXIMUM_TTL_MS));
}

/** @throws InvalidRequestError */
function lockPath(name: string): string {
  if (typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._:@~-]*$/.test(name)) return `/v1/locks/${name}`;
  throw new InvalidRequestError(
    'INVALID_LOCK_NAME',
    'the name of a lock must begin with a letter or a digit, and have only letters, digits and ._:@~- after it',
  );
}
