import type { TransactionState } from '@concordat/commit-protocol';
import { invariant } from '@concordat/foundation';

/**
 * The order in which a new leader recovers open transactions: first those that wait for keys or hold them, in log
 * order, so that the first to come holds the keys; then decided ones, whose branches hold locks; last those that only
 * wait for their clients.
 */
export class Recovery {
  private readonly ordered: readonly TransactionState[];
  private readonly contenders: number;
  private position = 0;

  constructor(open: Iterable<TransactionState>) {
    const [contending, decided, active]: [TransactionState[], TransactionState[], TransactionState[]] = [[], [], []];
    for (const transaction of open) {
      if (transaction.decision) decided.push(transaction);
      else if (transaction.closed) contending.push(transaction);
      else active.push(transaction);
    }
    contending.sort((a, b) => a.logIndex - b.logIndex);
    this.contenders = contending.length;
    this.ordered = [...contending, ...decided, ...active];
  }

  /** Whether transactions that need keys are still to be recovered: new ones queue behind them. */
  get contends(): boolean {
    return this.position < this.contenders;
  }

  get isOver(): boolean {
    return this.position === this.ordered.length;
  }

  /** Returns up to `count` transactions. */
  next(count: number): readonly TransactionState[] {
    invariant(count > 0, 'a slice of the recovery is not empty');
    const slice = this.ordered.slice(this.position, this.position + count);
    this.position += slice.length;
    return slice;
  }
}
