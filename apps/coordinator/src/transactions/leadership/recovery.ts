import type { TransactionState } from '@concordat/commit-protocol';
import { invariant } from '@concordat/foundation';

/**
 * The order in which a new leader takes over what is open: first those that wait for their keys or hold them, in the
 * order of the log, so that keys are held by who came first; then those that are decided, whose branches hold locks;
 * those that only wait for their clients last.
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

  /** Whether some that contend for keys are still to come: who begins now comes behind them. */
  get contends(): boolean {
    return this.position < this.contenders;
  }

  get isOver(): boolean {
    return this.position === this.ordered.length;
  }

  /** At most so many. */
  next(count: number): readonly TransactionState[] {
    invariant(count > 0, 'a slice of the recovery is not empty');
    const slice = this.ordered.slice(this.position, this.position + count);
    this.position += slice.length;
    return slice;
  }
}
