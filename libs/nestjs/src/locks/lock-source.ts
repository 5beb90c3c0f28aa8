/** A lock while a method has it; `HeldLock` of `@concordat/client` is one. */
export interface MethodLock {
  readonly name: string;
  /** higher than that of every holder before: pass it to the store that you change, and let the store refuse lower ones */
  readonly fencingToken: number;
  /** aborted when the lock is lost */
  readonly signal: AbortSignal;
  /** @throws when the lock is lost */
  throwIfLost(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface MethodLockOptions {
  /** length of the lease in milliseconds, which is renewed while the method runs; default that of the client */
  readonly ttlMs?: number;
  /** how long a call waits while another has the lock, in milliseconds; default: not at all */
  readonly waitMs?: number;
}

/** What gives locks: a `ConcordatClient` of `@concordat/client`. */
export interface LockSource {
  readonly locks: { acquire(name: string, options: MethodLockOptions): Promise<MethodLock> };
}
