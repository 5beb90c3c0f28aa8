import type { TransactionId } from '@concordat/commit-protocol';
import { invariant } from '@concordat/foundation';

interface Change {
  readonly logIndex: number;
  readonly transactionId: TransactionId;
}

/**
 * The latest changes of transactions by log index, for subscribers that missed some. A ring of fixed size: a subscriber
 * that was away longer must read everything again.
 */
export class EventHistory {
  private readonly ring: Change[] = [];
  private next = 0;
  /** every change with this log index or a higher one is kept */
  private completeFrom: number;

  /**
   * @param capacity number of changes kept
   * @param sinceIndex changes after this log index will be recorded
   */
  constructor(
    private readonly capacity: number,
    sinceIndex: number,
  ) {
    this.completeFrom = sinceIndex + 1;
  }

  record(logIndex: number, transactionId: TransactionId): void {
    const latest = this.ring.at(this.next - 1);
    invariant(latest === undefined || latest.logIndex <= logIndex, 'changes are recorded in the order of the log');
    const forgotten = this.ring[this.next];
    if (forgotten) this.completeFrom = forgotten.logIndex + 1;
    this.ring[this.next] = { logIndex, transactionId };
    this.next = (this.next + 1) % this.capacity;
  }

  /** Drops everything: changes up to this index may have been missed (a snapshot replaced the state). */
  restart(sinceIndex: number): void {
    this.ring.length = 0;
    this.next = 0;
    this.completeFrom = sinceIndex + 1;
  }

  /**
   * The transactions that changed at this index or later, with the index of their last change; undefined when some of
   * that is gone. The index itself is included: one entry may change several transactions, of which the subscriber may
   * have seen only some.
   */
  changedSince(logIndex: number): Map<TransactionId, number> | undefined {
    if (logIndex < this.completeFrom) return undefined;
    const changed = new Map<TransactionId, number>();
    for (const change of this.ring) {
      if (change.logIndex < logIndex) continue;
      changed.set(change.transactionId, Math.max(change.logIndex, changed.get(change.transactionId) ?? 0));
    }
    return changed;
  }
}
