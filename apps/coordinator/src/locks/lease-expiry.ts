import { LIMITS, type LockLease, type RunOutLease } from '@concordat/commit-protocol';
import type { Clock, Timer } from '@concordat/foundation';
import type { LeaseAges } from './lease-ages.js';

/** Leases that a new leader begins to watch in one turn: a thousand take about a millisecond. */
const WATCHED_PER_TURN = 1_000;
/** Between two looks at a lease that has run out by one clock and not by the other. */
const MINIMUM_LOOK_MS = 10;
/** After this a lease that should have ended is proposed again: the log was full, say. */
const RETRY_MS = 500;

export interface LeaseExpiryPorts {
  /** its `now` is the time that records carry */
  readonly clock: Clock;
  readonly ages: LeaseAges;
  readonly find: (name: string) => LockLease | undefined;
  /** proposes the record that ends them; may fail without telling */
  readonly expire: (leases: readonly RunOutLease[]) => void;
}

interface Watch {
  readonly timer: Timer;
  /** monotonic milliseconds */
  readonly firesAt: number;
}

/**
 * While the node leads: proposes to end the leases that have run out, some at a time. A lease has run out when this node
 * has seen it for its whole length by its monotonic clock, and the time of the records has passed `expiresAt`. Neither
 * alone is enough: the first cannot be set, and the second is what the holder was told.
 */
export class LeaseExpiry {
  private readonly watches = new Map<string, Watch>();
  private due: RunOutLease[] = [];
  private flushing: Timer | undefined;
  private closed = false;

  constructor(private readonly ports: LeaseExpiryPorts) {}

  /** Watches what an earlier leader has granted, in slices. */
  watchAll(leases: Iterator<LockLease>): void {
    if (this.closed) return;
    for (let count = 0; count < WATCHED_PER_TURN; count++) {
      const next = leases.next();
      if (next.done === true) return;
      this.watch(next.value);
    }
    this.ports.clock.setTimer(0, () => this.watchAll(leases));
  }

  /** A lease was granted or renewed. A watch that ends earlier stays: it looks again. */
  watch(lease: LockLease): void {
    const delayMs = this.remainingMs(lease);
    const watch = this.watches.get(lease.name);
    if (!watch) return this.arm(lease.name, delayMs);
    if (watch.firesAt <= this.ports.clock.monotonic() + delayMs) return;
    watch.timer.cancel();
    this.arm(lease.name, delayMs);
  }

  forget(name: string): void {
    this.watches.get(name)?.timer.cancel();
    this.watches.delete(name);
  }

  close(): void {
    this.closed = true;
    for (const { timer } of this.watches.values()) timer.cancel();
    this.watches.clear();
    this.flushing?.cancel();
  }

  private remainingMs(lease: LockLease): number {
    const { ages, clock } = this.ports;
    return Math.max(ages.remainingMs(lease), lease.expiresAt - clock.now());
  }

  private arm(name: string, delayMs: number): void {
    const delay = Math.max(Math.ceil(delayMs), MINIMUM_LOOK_MS);
    const timer = this.ports.clock.setTimer(delay, () => this.look(name));
    this.watches.set(name, { timer, firesAt: this.ports.clock.monotonic() + delay });
  }

  private look(name: string): void {
    this.watches.delete(name);
    const lease = this.ports.find(name);
    if (!lease || this.closed) return;
    const remainingMs = this.remainingMs(lease);
    if (remainingMs > 0) return this.arm(name, remainingMs);
    this.due.push({ name, renewedIndex: lease.renewedIndex });
    this.arm(name, RETRY_MS);
    this.flushing ??= this.ports.clock.setTimer(0, () => this.flush());
  }

  /** All that ran out in one turn end together. */
  private flush(): void {
    this.flushing = undefined;
    const due = this.due.splice(0);
    for (let from = 0; from < due.length; from += LIMITS.lockExpiriesPerRecord) {
      this.ports.expire(due.slice(from, from + LIMITS.lockExpiriesPerRecord));
    }
  }
}
