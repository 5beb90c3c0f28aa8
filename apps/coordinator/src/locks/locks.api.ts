import type { Consistency, Reading } from '../transactions/transactions.api.js';

/** A lock that is held, as its holder sees it. */
export interface LockView {
  readonly name: string;
  readonly owner: string;
  /** index of the log: higher than the token of every holder before, of any lock */
  readonly fencingToken: number;
  /** ISO 8601, by the clock of the group. The lease never ends before; a holder counts by its own clock */
  readonly expiresAt: string;
}

/** A lock in the list of all. */
export interface ListedLock extends LockView {
  /** who took it; absent where nobody was asked */
  readonly principal?: string;
  /** clients that wait for it; null where it is not known, because this node does not lead */
  readonly waiters: number | null;
}

/** By ascending fencing token: what is held longest comes first. */
export interface LockPage {
  readonly items: readonly ListedLock[];
  /** fencing token after which the next page begins; null at the end */
  readonly nextCursor: number | null;
}

export interface LockQuery {
  /** 1..500 */
  readonly limit: number;
  /** `nextCursor` of the page before */
  readonly cursor?: number;
  /** only those that this principal has taken; absent: all */
  readonly principal?: string;
}

/** Who asks for something about a lock. */
export interface LockSender {
  /** the principal; undefined: nobody is asked who it is, and everybody may do everything */
  readonly principal?: string | undefined;
  /** an operator, who may act for every holder */
  readonly isForced?: boolean | undefined;
}

export interface AcquireRequest extends Pick<LockSender, 'principal'> {
  readonly name: string;
  readonly owner: string;
  /** length of the lease in milliseconds, 100..3,600,000 */
  readonly ttlMs: number;
  /** how long to wait for a lock that is held, in milliseconds; 0: not at all */
  readonly waitMs: number;
}

/** What only the holder of a lock knows, and who shows it. */
export interface LockProof extends LockSender {
  readonly name: string;
  readonly owner: string;
  readonly fencingToken: number;
}

export interface RenewRequest extends LockProof {
  readonly ttlMs: number;
}

/**
 * Locks with a lease and a fencing token. Calls that change something must be made on the leader; other nodes reject
 * with `LogUnavailableError`, and nothing has happened. A call that rejects with `OutcomeUnknownError` may have taken
 * effect: to repeat it is safe.
 *
 * Rejections are `CodedError`s of `errors.ts`; `http/problems.ts` says what a client sees.
 */
export interface LocksApi {
  /**
   * Takes a lock. The holder itself renews its lease and keeps its token. Who waits gets the lock in the order of
   * arrival.
   *
   * @param gone aborted when the client has gone away: it waits no longer, and what it could not be told of is given
   *   back
   * @throws LockHeldError, TooManyLocksError, TooManyWaitersError
   */
  acquire(request: AcquireRequest, gone?: AbortSignal): Promise<LockView>;
  /** @throws LockNotHeldError, LockOfAnotherError */
  renew(request: RenewRequest): Promise<LockView>;
  /** @throws LockNotHeldError, LockOfAnotherError */
  release(proof: LockProof): Promise<void>;
  list(query: LockQuery, consistency: Consistency): Promise<Reading<LockPage>>;
  /** This node stops: who waits must ask another one. */
  endWaits(): void;
}

/** Token of the `LocksApi`. */
export const LOCKS = Symbol('LOCKS');
