import type { SnapshotRemainder } from './decision-state-snapshot.js';
import type { TransactionState } from './transaction-state.js';

/**
 * The state as it was at one index of the log, while the log goes on (but for the archive, which has a snapshot of
 * its own). Freezing costs two lists of references. A transaction is copied when it changes for the first time
 * afterwards; the others are read where they are. May be walked through any number of times, with the same result.
 */
export class FrozenState {
  private readonly preserved = new Map<TransactionState, TransactionState>();

  /**
   * @param index of the last record that is in it
   * @param onRelease called when nobody will read it any more
   */
  constructor(
    private readonly index: number,
    private readonly openThen: readonly TransactionState[],
    private readonly unpublishedThen: readonly TransactionState[],
    readonly remainder: SnapshotRemainder,
    private readonly onRelease: (frozen: FrozenState) => void,
  ) {}

  /** Transactions that were copied, for those who measure. */
  get copiedCount(): number {
    return this.preserved.size;
  }

  /** In the order in which they began, more or less. */
  open(): Iterable<TransactionState> {
    return this.asThen(this.openThen);
  }

  /** Ended, but not known to be published; in the order in which they ended. */
  unpublished(): Iterable<TransactionState> {
    return this.asThen(this.unpublishedThen);
  }

  /** To be told of every transaction before it changes. */
  beforeChange(transaction: TransactionState): void {
    if (transaction.logIndex > this.index || this.preserved.has(transaction)) return; // began or was copied since
    this.preserved.set(transaction, copyOf(transaction));
  }

  release(): void {
    this.onRelease(this);
  }

  private *asThen(transactions: readonly TransactionState[]): Iterable<TransactionState> {
    for (const transaction of transactions) yield this.preserved.get(transaction) ?? transaction;
  }
}

/** A copy of everything that is changed in place; what lies deeper is only replaced. */
function copyOf(transaction: TransactionState): TransactionState {
  return {
    ...transaction,
    claims: [...transaction.claims],
    branches: transaction.branches.map((branch) => ({ ...branch })),
    ...(transaction.rulings && { rulings: [...transaction.rulings] }),
  };
}
