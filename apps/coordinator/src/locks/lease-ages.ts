import type { LockLease } from '@concordat/commit-protocol';
import type { Clock } from '@concordat/foundation';

interface Measured {
  readonly renewedIndex: number;
  /** monotonic milliseconds of this node */
  readonly since: number;
}

/**
 * How long this node has seen each lease, by its monotonic clock, which nobody can set. A node applies a record after
 * its holder asked for it, so it never counts more than has passed: on the leader, on a follower, and on one that has
 * just been started, which begins at 0.
 */
export class LeaseAges {
  private readonly byName = new Map<string, Measured>();

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  /** A record has granted or renewed the lease. */
  begin({ name, renewedIndex }: LockLease): void {
    this.byName.set(name, { renewedIndex, since: this.clock.monotonic() });
  }

  end({ name }: LockLease): void {
    this.byName.delete(name);
  }

  /** A snapshot replaced the state: what it has that is not known begins now. */
  replace(leases: Iterable<LockLease>): void {
    const known = new Map(this.byName);
    this.byName.clear();
    for (const lease of leases) {
      const measured = known.get(lease.name);
      if (measured?.renewedIndex === lease.renewedIndex) this.byName.set(lease.name, measured);
      else this.begin(lease);
    }
  }

  /** Milliseconds until the whole length of the lease has passed; 0 or less: it has. */
  remainingMs(lease: LockLease): number {
    const measured = this.byName.get(lease.name);
    if (measured?.renewedIndex !== lease.renewedIndex) this.begin(lease);
    const { since } = this.byName.get(lease.name)!;
    return since + lease.ttlMs - this.clock.monotonic();
  }
}
