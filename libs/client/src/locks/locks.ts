import { LockHeldError, LockLostError, LockNotHeldError } from '../errors/errors.js';
import { MAXIMUM_WAIT_MS, randomName } from '../requests.js';
import { inRange, type CallOptions } from '../transport/options.js';
import { Scope } from '../transport/scope.js';
import type { Transport } from '../transport/transport.js';
import { HeldLock, isFresh, isRunning } from './held-lock.js';
import { LockCalls, ttlMsOf, type Leased } from './lock-calls.js';

export interface AcquireOptions extends CallOptions {
  /**
   * length of the lease in milliseconds, 100 to 3,600,000; default 30,000. Renewed after a third of it; when the holder
   * dies, the lock becomes free after it
   */
  readonly ttlMs?: number | undefined;
  /**
   * how long to wait for a lock that another holds, in milliseconds; default 0. Who waits gets it in order of arrival;
   * a wait above 60,000 is asked for again, and then queues anew
   */
  readonly waitMs?: number | undefined;
  /** equal owners are one, so they may take the lock again. Default: a new random one for each acquisition */
  readonly owner?: string | undefined;
}

const DEFAULT_TTL_MS = 30_000;
const MAXIMUM_TOTAL_WAIT_MS = 2 ** 31 - 1;

/** Locks with a lease, in the log of the coordinators. */
export class Locks {
  /** the single calls, for a program that renews by itself */
  readonly calls: LockCalls;

  constructor(private readonly transport: Transport) {
    this.calls = new LockCalls(transport);
  }

  /**
   * Takes a lock and keeps it until it is released:
   *
   *     await using lock = await client.locks.acquire('invoice-7', { waitMs: 5_000 });
   *     await work({ signal: lock.signal, fencingToken: lock.fencingToken });
   *
   * @throws LockHeldError when another holds it, also after `waitMs`
   */
  async acquire(name: string, options: AcquireOptions = {}): Promise<HeldLock> {
    const { owner = randomName(), ...callOptions } = options;
    const request = { owner, ttlMs: ttlMsOf(options.ttlMs ?? DEFAULT_TTL_MS) };
    const { clock } = this.transport.settings;
    const waitMs = inRange('waitMs', options.waitMs ?? 0, 0, MAXIMUM_TOTAL_WAIT_MS);
    const waiting = new Scope(clock, undefined, waitMs);
    try {
      for (;;) {
        const leased = await this.tryOnce(name, { ...request, waitMs: waiting.remainingMs }, callOptions);
        if (leased !== undefined) return new HeldLock(this.calls, clock, request, leased);
      }
    } finally {
      waiting.dispose();
    }
  }

  /**
   * Runs work under a lock, and gives the lock back. For programs without `await using`.
   *
   *     await client.locks.run('invoice-7', { waitMs: 5_000 }, (lock) => pay(lock.fencingToken, lock.signal));
   *
   * @throws LockHeldError when another holds it, also after `waitMs`; what `work` rejects with; LockLostError when the
   *   lock was lost before `work` had ended: then others may have run beside it
   */
  async run<Result>(
    name: string,
    options: AcquireOptions,
    work: (lock: HeldLock) => Result | Promise<Result>,
  ): Promise<Result> {
    const lock = await this.acquire(name, options);
    try {
      const result = await work(lock);
      lock.throwIfLost();
      return result;
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  /** @returns undefined when it is worth to ask again */
  private async tryOnce(
    name: string,
    request: { readonly owner: string; readonly ttlMs: number; readonly waitMs: number },
    options: CallOptions,
  ): Promise<Leased | undefined> {
    const { clock } = this.transport.settings;
    const waitMs = Math.min(request.waitMs, MAXIMUM_WAIT_MS);
    try {
      const leased = await this.calls.lease(name, { ...request, waitMs }, options);
      // After a long wait nobody knows when the lease began: a renewal tells.
      if (isFresh(leased, request.ttlMs, clock.monotonic())) return leased;
      const { owner, ttlMs } = request;
      const { fencingToken } = leased.lock;
      const prolonged = await this.calls.prolong(name, { owner, ttlMs, fencingToken }, options);
      if (isRunning(prolonged, ttlMs, clock.monotonic())) return prolonged;
      const said = `answers take so long that a lease of ${ttlMs} ms may be over when it is known; use a longer ttlMs`;
      throw new LockLostError(name, said);
    } catch (error) {
      const isWorthAsking = error instanceof LockHeldError || error instanceof LockNotHeldError;
      if (isWorthAsking && request.waitMs > waitMs) return undefined;
      if (error instanceof LockNotHeldError && request.waitMs > 0) return undefined;
      throw error;
    }
  }
}
