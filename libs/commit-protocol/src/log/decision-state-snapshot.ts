import type { LockLease } from './locks/lock-lease.js';
import type { LogTimeSnapshot } from './log-time.js';
import type { OldRuling } from './old-rulings.js';
import type { TransactionState } from './transaction-state.js';

/** The small part of the state, copied at once when it is frozen. */
export interface SnapshotRemainder {
  readonly participants: readonly { readonly name: string; readonly operations: readonly string[] }[];
  readonly watermark: number;
  readonly oldRulings: readonly OldRuling[];
  readonly time: LogTimeSnapshot;
  /** absent before the group's birth */
  readonly bornAt?: number;
}

/** The replicated state without the archive, which has a snapshot of its own. */
export interface DecisionStateSnapshot extends Omit<SnapshotRemainder, 'oldRulings' | 'time'> {
  readonly open: readonly TransactionState[];
  /** ended, but not known to be published; by the order of their ends */
  readonly unpublished: readonly TransactionState[];
  /** by ascending fencing token; absent in snapshots of versions without locks */
  readonly locks?: readonly LockLease[];
  /** absent in snapshots of versions without them */
  readonly oldRulings?: readonly OldRuling[];
  /** absent in snapshots of versions without log time */
  readonly time?: LogTimeSnapshot;
}

/** For snapshots of versions without log time. */
export function latestTimeIn({ open, unpublished, watermark }: DecisionStateSnapshot): number {
  let latest = watermark;
  for (const transactions of [open, unpublished]) {
    for (const { createdAt, decidedAt = 0, endedAt = 0 } of transactions) {
      latest = Math.max(latest, createdAt, decidedAt, endedAt);
    }
  }
  return latest;
}
