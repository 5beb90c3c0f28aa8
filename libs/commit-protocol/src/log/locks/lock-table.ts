import { invariant, unreachable } from '@concordat/foundation';
import type { ApplyResult } from '../apply-result.js';
import { LIMITS } from '../../vocabulary/limits.js';
import type { LockLease, LockRefusal } from './lock-lease.js';
import type {
  LockAcquireRecord,
  LockExpireRecord,
  LockRecord,
  LockReleaseRecord,
  LockRenewRecord,
} from './lock-records.js';

/**
 * Part of the replicated state: the locks that are held. Only records change it, and no clock does: a lease lasts until
 * a record ends it.
 *
 * Invariants: a lock has at most one lease. Fencing tokens are indices of the log: each is granted once, and each is
 * higher than all before it. Leases stand in the order of their tokens.
 */
export class LockTable {
  private readonly leases = new Map<string, LockLease>();
  private latestToken = 0;

  get size(): number {
    return this.leases.size;
  }

  get(name: string): LockLease | undefined {
    return this.leases.get(name);
  }

  /** By ascending fencing token. */
  all(): Iterable<LockLease> {
    return this.leases.values();
  }

  /** @param now log time, which this record has advanced */
  apply(record: LockRecord, index: number, now: number): ApplyResult {
    switch (record.type) {
      case 'lock-acquire':
        return this.applyAcquire(record, index, now);
      case 'lock-renew':
        return this.applyRenew(record, index, now);
      case 'lock-release':
        return this.applyRelease(record);
      case 'lock-expire':
        return this.applyExpire(record, now);
      default:
        return unreachable(record, 'lock record');
    }
  }

  restore(leases: readonly LockLease[]): void {
    this.leases.clear();
    this.latestToken = 0;
    for (const lease of leases) {
      this.checkNewToken(lease.fencingToken);
      invariant(!this.leases.has(lease.name), 'a lock has at most one lease');
      this.leases.set(lease.name, lease);
      this.latestToken = lease.fencingToken;
    }
  }

  private applyAcquire({ name, owner, principal, ttlMs }: LockAcquireRecord, index: number, now: number): ApplyResult {
    const held = this.leases.get(name);
    if (held && held.owner !== owner) return refused('LOCK_HELD', held);
    if (held) return this.renew(held, ttlMs, index, now);
    if (this.leases.size >= LIMITS.locks) return refused('TOO_MANY_LOCKS');
    this.checkNewToken(index);
    this.latestToken = index;
    const lease = {
      name,
      owner,
      ...(principal !== undefined && { principal }),
      fencingToken: index,
      renewedIndex: index,
      ttlMs,
      expiresAt: now + ttlMs,
    };
    this.leases.set(name, lease);
    return { transactions: [], lock: lease };
  }

  private applyRenew(record: LockRenewRecord, index: number, now: number): ApplyResult {
    const held = this.leaseOf(record);
    return held ? this.renew(held, record.ttlMs, index, now) : refused('LOCK_NOT_HELD', this.leases.get(record.name));
  }

  private applyRelease(record: LockReleaseRecord): ApplyResult {
    const held = this.leaseOf(record);
    const { unrenewedSince = Infinity } = record;
    if (!held || held.renewedIndex > unrenewedSince) return refused('LOCK_NOT_HELD', this.leases.get(record.name));
    this.leases.delete(record.name);
    return { transactions: [], endedLocks: [held] };
  }

  private applyExpire({ leases }: LockExpireRecord, now: number): ApplyResult {
    const ended: LockLease[] = [];
    for (const { name, renewedIndex } of leases) {
      const held = this.leases.get(name);
      if (!held || held.renewedIndex !== renewedIndex || now < held.expiresAt) continue;
      this.leases.delete(name);
      ended.push(held);
    }
    return { transactions: [], endedLocks: ended };
  }

  /** The lease under this owner and token. */
  private leaseOf({ name, owner, fencingToken }: LockRenewRecord | LockReleaseRecord): LockLease | undefined {
    const held = this.leases.get(name);
    return held?.owner === owner && held.fencingToken === fencingToken ? held : undefined;
  }

  private renew(held: LockLease, ttlMs: number, index: number, now: number): ApplyResult {
    invariant(index > held.renewedIndex, 'a renewal comes after what it renews');
    const lease = { ...held, renewedIndex: index, ttlMs, expiresAt: now + ttlMs };
    this.leases.set(held.name, lease); // keeps its place in the order
    return { transactions: [], lock: lease };
  }

  private checkNewToken(token: number): void {
    invariant(token > this.latestToken, 'a fencing token is higher than all before it');
  }
}

function refused(refusal: LockRefusal, standing?: LockLease): ApplyResult {
  return { refusal, transactions: [], ...(standing && { lock: standing }) };
}
