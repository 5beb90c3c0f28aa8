import type { Clock, Timer } from '@concordat/foundation';
import { DatabaseError } from './database-error.js';

interface Waiter {
  readonly owner: number;
  readonly timer: Timer;
  readonly grant: () => void;
  readonly refuse: (error: DatabaseError) => void;
}

interface Lock {
  owner: number;
  /** monotonic time, in milliseconds */
  since: number;
  readonly waiters: Waiter[];
}

/** Exclusive locks of transactions, first come first served, with a timeout instead of deadlock detection. */
export class LockTable {
  private readonly locks = new Map<string, Lock>();

  constructor(private readonly clock: Clock) {}

  get heldCount(): number {
    return this.locks.size;
  }

  /** Whoever has held a lock since before a time, in words. */
  heldSinceBefore(time: number): string | undefined {
    for (const [key, { owner, since }] of this.locks) {
      if (since < time) return `transaction ${owner} holds ${key} since ${since.toFixed(0)}`;
    }
    return undefined;
  }

  keysOf(owner: number): string[] {
    return [...this.locks].filter(([, lock]) => lock.owner === owner).map(([key]) => key);
  }

  tryAcquire(owner: number, key: string): boolean {
    const lock = this.locks.get(key);
    if (!lock) this.locks.set(key, { owner, since: this.clock.monotonic(), waiters: [] });
    return !lock || lock.owner === owner;
  }

  /** @throws DatabaseError `lock_not_available` after the timeout, `connection_lost` when released meanwhile */
  acquire(owner: number, key: string, timeoutMs: number): Promise<void> {
    if (this.tryAcquire(owner, key)) return Promise.resolve();
    const lock = this.locks.get(key)!;
    return new Promise((resolve, reject) => {
      const timer = this.clock.setTimer(timeoutMs, () => {
        lock.waiters.splice(lock.waiters.indexOf(waiter), 1);
        reject(new DatabaseError('lock_not_available', `${key} is locked`));
      });
      const waiter: Waiter = { owner, timer, grant: resolve, refuse: reject };
      lock.waiters.push(waiter);
    });
  }

  /** Frees all that a transaction holds, and ends its waiting. */
  release(owner: number): void {
    for (const [key, lock] of this.locks) {
      for (const waiter of lock.waiters.filter((candidate) => candidate.owner === owner)) {
        lock.waiters.splice(lock.waiters.indexOf(waiter), 1);
        waiter.timer.cancel();
        waiter.refuse(new DatabaseError('connection_lost', 'the transaction has ended'));
      }
      if (lock.owner !== owner) continue;
      const next = lock.waiters.shift();
      if (!next) {
        this.locks.delete(key);
        continue;
      }
      next.timer.cancel();
      lock.owner = next.owner;
      lock.since = this.clock.monotonic();
      next.grant();
    }
  }
}
