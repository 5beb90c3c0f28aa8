/** A lock that is held. Never changes: a renewal replaces it. */
export interface LockLease {
  readonly name: string;
  readonly owner: string;
  /** who took it, where senders are known; undefined: nobody was asked, or a former release granted it */
  readonly principal?: string;
  /** index of the record that granted the lock: no later holder of any lock has a lower one */
  readonly fencingToken: number;
  /** index of the record that granted the lease or renewed it last */
  readonly renewedIndex: number;
  readonly ttlMs: number;
  /** in log time; the lease never ends before, and lasts until a record ends it */
  readonly expiresAt: number;
}

/** Why the lock table refused a record. Nothing has changed. */
export type LockRefusal =
  /** another owner has the lock */
  | 'LOCK_HELD'
  /** the lock is free, or held by another owner, or under another token */
  | 'LOCK_NOT_HELD'
  | 'TOO_MANY_LOCKS';
