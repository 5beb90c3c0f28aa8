import { ConcordatError, LockLostError, LockNotHeldError } from '../errors/errors.js';
import type { ClientClock, ClientTimer } from '../transport/clock.js';
import { Scope } from '../transport/scope.js';
import type { LeaseRequest, Leased, LockCalls } from './lock-calls.js';

/**
 * The part of the lease that the holder counts on. The rest is for clocks that run at different speeds, and for what it
 * takes to notice the end.
 */
const COUNTED_SHARE = 0.9;
/** A renewal begins when this share of the lease has passed, so that two more may fail. */
const RENEWAL_SHARE = 1 / 3;
/** Pause between renewals that fail, as a share of the lease. */
const RETRY_SHARE = 1 / 20;

/** Whether so little of the lease has passed that it need not be renewed yet. */
export function isFresh({ sentAtMs }: Leased, ttlMs: number, nowMs: number): boolean {
  return nowMs - sentAtMs <= ttlMs * RENEWAL_SHARE;
}

/** Whether a holder may still count on the lease. */
export function isRunning({ sentAtMs }: Leased, ttlMs: number, nowMs: number): boolean {
  return nowMs - sentAtMs < ttlMs * COUNTED_SHARE;
}

/**
 * A lock that this process holds and renews by itself until it is released.
 *
 * States: held; lost (`signal` is aborted: another may hold it now); released. Whether the lock is still held is judged
 * by the local monotonic clock, from the moment at which the request for the lease was sent: so `signal` is aborted
 * before the lease can have ended, unless this process itself stood still. Only the fencing token protects against
 * that: pass it to the store that you change, and let the store refuse lower ones.
 */
export class HeldLock {
  /** aborted, with a `LockLostError`, when the lock is lost or could not be renewed in time */
  readonly signal: AbortSignal;
  private readonly lost = new AbortController();
  private readonly keeping: Scope;
  private endsAtMs = 0;
  private expiry: ClientTimer | undefined;
  private released: Promise<void> | undefined;
  /** why the last renewal failed */
  private failure: unknown;

  constructor(
    private readonly calls: LockCalls,
    private readonly clock: ClientClock,
    private readonly request: LeaseRequest,
    private leased: Leased,
  ) {
    this.signal = this.lost.signal;
    this.keeping = new Scope(clock);
    this.count(leased);
    void this.keep();
  }

  get name(): string {
    return this.leased.lock.name;
  }

  get owner(): string {
    return this.leased.lock.owner;
  }

  /** higher than that of every holder before, of any lock */
  get fencingToken(): number {
    return this.leased.lock.fencingToken;
  }

  /** For how long the lock is certainly held, in milliseconds, if no renewal succeeds. 0: it is lost or released. */
  get remainingMs(): number {
    if (this.signal.aborted || this.released !== undefined) return 0;
    return Math.max(0, this.endsAtMs - this.clock.monotonic());
  }

  /** For a step that must not be done without the lock. @throws LockLostError */
  throwIfLost(): void {
    // The timer may be late: this process may have stood still.
    if (this.released === undefined && this.clock.monotonic() >= this.endsAtMs) this.lose(this.notRenewed());
    this.signal.throwIfAborted();
  }

  /**
   * Stops renewing and gives the lock back. A lock that was lost is given back too, in case its lease still runs.
   *
   * @throws LockNotHeldError when the lease had ended although `signal` was not aborted; otherwise what the call throws:
   *   then the lock becomes free when its lease ends
   */
  release(): Promise<void> {
    this.released ??= this.giveBack();
    return this.released;
  }

  /** For `await using`. A lock that cannot be given back becomes free by itself, so that throws nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.release();
    } catch (error) {
      if (error instanceof LockNotHeldError || !(error instanceof ConcordatError)) throw error;
    }
  }

  private async giveBack(): Promise<void> {
    const wasLost = this.signal.aborted;
    this.stop();
    const { owner, fencingToken } = this;
    try {
      await this.calls.release(this.name, { owner, fencingToken });
    } catch (error) {
      if (wasLost && error instanceof LockNotHeldError) return;
      throw error;
    }
  }

  private count(leased: Leased): void {
    this.leased = leased;
    this.endsAtMs = leased.sentAtMs + this.request.ttlMs * COUNTED_SHARE;
    this.expiry?.cancel();
    this.expiry = this.clock.setTimer(Math.max(0, this.endsAtMs - this.clock.monotonic()), () => {
      this.lose(this.notRenewed());
    });
  }

  /** Renews until the lock is released or lost; both end `keeping`. Never rejects. */
  private async keep(): Promise<void> {
    const { ttlMs } = this.request;
    const { signal } = this.keeping;
    let delayMs = this.leased.sentAtMs + ttlMs * RENEWAL_SHARE - this.clock.monotonic();
    try {
      for (;;) {
        await this.keeping.pause(Math.max(0, delayMs));
        const isRenewed = await this.renew(signal);
        signal.throwIfAborted();
        const next = this.leased.sentAtMs + ttlMs * RENEWAL_SHARE - this.clock.monotonic();
        delayMs = isRenewed ? next : ttlMs * RETRY_SHARE;
      }
    } catch (error) {
      if (!signal.aborted) this.lose(this.lostBy(error));
    }
  }

  /** @returns whether it was; a failure that may pass is no error. @throws LockNotHeldError, and for good reasons */
  private async renew(signal: AbortSignal): Promise<boolean> {
    const { owner, fencingToken, request } = this;
    const timeoutMs = Math.max(1, this.endsAtMs - this.clock.monotonic());
    const attemptTimeoutMs = Math.max(1, Math.min(timeoutMs, request.ttlMs * RENEWAL_SHARE));
    try {
      const proof = { owner, fencingToken, ttlMs: request.ttlMs };
      const leased = await this.calls.prolong(this.name, proof, { signal, timeoutMs, attemptTimeoutMs });
      // An answer after the end does not undo that the holder was told of it.
      if (signal.aborted) return false;
      this.count(leased);
      this.failure = undefined;
      return true;
    } catch (error) {
      if (error instanceof LockNotHeldError) throw error;
      this.failure = error;
      return false;
    }
  }

  private lose(error: LockLostError): void {
    this.stop();
    this.lost.abort(error);
  }

  private stop(): void {
    this.expiry?.cancel();
    this.keeping.abort(new DOMException('the lock is no longer kept', 'AbortError'));
    this.keeping.dispose();
  }

  private notRenewed(): LockLostError {
    const said = 'could not be renewed in time, so its lease may end and another may take it';
    return new LockLostError(this.name, `the lock ${this.name} ${said}`, { cause: this.failure });
  }

  private lostBy(cause: unknown): LockLostError {
    return new LockLostError(this.name, `the lock ${this.name} is no longer held by ${this.owner}`, { cause });
  }
}
