/**
 * Takes a lock for its owner. Granted when the lock is free: the index of this record is the fencing token. The holder
 * itself renews its lease by it and keeps its token.
 */
export interface LockAcquireRecord {
  readonly type: 'lock-acquire';
  readonly name: string;
  readonly owner: string;
  /**
   * who asks, where senders are known. The lease that is granted keeps it; the leader compares it before it proposes (see
   * `LockSession`), so former releases, which do not know it, decide alike
   */
  readonly principal?: string;
  /** length of the lease in milliseconds */
  readonly ttlMs: number;
  readonly at: number;
}

/** Extends the lease of the holder, which proves with its token that it still is the holder. */
export interface LockRenewRecord {
  readonly type: 'lock-renew';
  readonly name: string;
  readonly owner: string;
  readonly fencingToken: number;
  readonly ttlMs: number;
  readonly at: number;
}

/** Gives a lock back. */
export interface LockReleaseRecord {
  readonly type: 'lock-release';
  readonly name: string;
  readonly owner: string;
  readonly fencingToken: number;
  /** only if the lease was not renewed after this index: the client that asked for it has gone away */
  readonly unrenewedSince?: number;
  readonly at: number;
}

/** A lease as the leader saw it when it ran out. */
export interface RunOutLease {
  readonly name: string;
  /** a later renewal saves the lease */
  readonly renewedIndex: number;
}

/**
 * Ends leases that have run out. Nothing else ends a lease against its holder. The leader proposes it when it has
 * measured the whole length of the lease; the log refuses what is early by log time, or was renewed in between.
 */
export interface LockExpireRecord {
  readonly type: 'lock-expire';
  readonly leases: readonly RunOutLease[];
  readonly at: number;
}

export type LockRecord = LockAcquireRecord | LockRenewRecord | LockReleaseRecord | LockExpireRecord;

export function isLockRecord(record: { readonly type: string }): record is LockRecord {
  return record.type.startsWith('lock-');
}
