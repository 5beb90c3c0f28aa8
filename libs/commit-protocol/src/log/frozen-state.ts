import type { SnapshotRemainder } from './decision-state-snapshot.js';
import type { LockLease } from './locks/lock-lease.js';
import type { TransactionState } from './transaction-state.js';

/**
 * The state at one index of the log, unchanged while the log goes on (without the archive, which has its own snapshot).
 * Freezing copies two lists of references. A transaction is copied at its first change afterwards. Can be read any
 * number of times with the same result.
 */
export class FrozenState {
  private readonly preserved = new Map<TransactionState, TransactionState>();

  /**
   * @param index of the last record in it
   * @param onRelease called by `release`
   */
  constructor(
    private readonly index: number,
    private readonly openAtFreeze: readonly TransactionState[],
    private readonly unpublishedAtFreeze: readonly TransactionState[],
    readonly remainder: SnapshotRemainder,
    /** by ascending fencing token; a lease never changes */
    readonly locks: readonly LockLease[],
    private readonly onRelease: (frozen: FrozenState) => void,
  ) {}

  /** Number of copied transactions, for measurements. */
  get copiedCount(): number {
    return this.preserved.size;
  }

  /** Roughly in the order in which they began. */
  open(): Iterable<TransactionState> {
    return this.asFrozen(this.openAtFreeze);
  }

  /** Ended, but not known to be published; by the order of their ends. */
  unpublished(): Iterable<TransactionState> {
    return this.asFrozen(this.unpublishedAtFreeze);
  }

  /** Must be called with every transaction before it changes. */
  beforeChange(transaction: TransactionState): void {
    // it began, or was copied, after the freeze
    if (transaction.logIndex > this.index || this.preserved.has(transaction)) return;
    this.preserved.set(transaction, copyOf(transaction));
  }

  release(): void {
    this.onRelease(this);
  }

  private *asFrozen(transactions: readonly TransactionState[]): Iterable<TransactionState> {
    for (const transaction of transactions) yield this.preserved.get(transaction) ?? transaction;
  }
}

/** Copies everything that changes in place; deeper values are only replaced. */
function copyOf(transaction: TransactionState): TransactionState {
  return {
    ...transaction,
    claims: [...transaction.claims],
    branches: transaction.branches.map((branch) => ({ ...branch })),
    ...(transaction.rulings && { rulings: [...transaction.rulings] }),
  };
}
