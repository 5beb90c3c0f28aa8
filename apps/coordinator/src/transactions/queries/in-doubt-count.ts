import type { TransactionId, TransactionState } from '@concordat/commit-protocol';
import type { Clock } from '@concordat/foundation';

/** Up to this many are counted on the spot; ten thousand take a few milliseconds. */
export const EXACT_COUNT_LIMIT = 10_000;

export interface InDoubtCountSources {
  readonly clock: Clock;
  readonly openCount: () => number;
  /** open transactions by ascending id, after the given one */
  readonly openAbove: (transactionId: TransactionId | undefined) => Iterable<TransactionState>;
  /** number of its branches in doubt now */
  readonly countOf: (transaction: TransactionState) => number;
}

/**
 * The number of branches in doubt, for metrics. Exact for few open transactions. For many it is the last count; each
 * call starts a new count in slices, and the next call returns its result.
 *
 * States: idle ⇄ counting.
 */
export class InDoubtCount {
  private latest = 0;
  private counting = false;

  constructor(private readonly sources: InDoubtCountSources) {}

  read(): number {
    const { openCount, openAbove, countOf } = this.sources;
    if (openCount() <= EXACT_COUNT_LIMIT) {
      let count = 0;
      for (const transaction of openAbove(undefined)) count += countOf(transaction);
      this.latest = count;
    } else if (!this.counting) {
      this.counting = true;
      this.goOn(undefined, 0);
    }
    return this.latest;
  }

  private goOn(above: TransactionId | undefined, countBefore: number): void {
    let [last, looked, count] = [above, 0, countBefore];
    for (const transaction of this.sources.openAbove(above)) {
      if (looked++ === EXACT_COUNT_LIMIT) {
        const from = last;
        this.sources.clock.setTimer(0, () => this.goOn(from, count));
        return;
      }
      last = transaction.transactionId;
      count += this.sources.countOf(transaction);
    }
    this.latest = count;
    this.counting = false;
  }
}
