import type { Clock } from '@concordat/foundation';
import type { TransactionId, TransactionState } from '@concordat/commit-protocol';

/** What is waited for: that the commit is requested in the log, that it is decided, that every branch has ended. */
type Milestone = 'closed' | 'decided' | 'ended';

interface Waiter {
  readonly until: Milestone;
  readonly resolve: (transaction: TransactionState | undefined) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Those who wait for a transaction to get somewhere. They live on the node, not on its leadership: what
 * this node applies is true whoever leads, so an answer may well come through a new leader's decision.
 */
export class Waiters {
  private readonly byTransaction = new Map<TransactionId, Set<Waiter>>();

  constructor(private readonly clock: Clock) {}

  /** The transaction as soon as it is there, or undefined when the time is over first. */
  wait(transactionId: TransactionId, until: Milestone, timeoutMs: number): Promise<TransactionState | undefined> {
    return new Promise((resolve, reject) => {
      const waiters = this.byTransaction.get(transactionId) ?? new Set();
      const leave = (): void => {
        timer.cancel();
        waiters.delete(waiter);
        if (waiters.size === 0) this.byTransaction.delete(transactionId);
      };
      const waiter: Waiter = {
        until,
        resolve: (transaction) => (leave(), resolve(transaction)),
        reject: (error) => (leave(), reject(error)),
      };
      const timer = this.clock.setTimer(timeoutMs, () => waiter.resolve(undefined));
      waiters.add(waiter);
      this.byTransaction.set(transactionId, waiters);
    });
  }

  /** Whether somebody waits for the end, so that it should not be put off. */
  awaitsEnd(transactionId: TransactionId): boolean {
    const waiters = this.byTransaction.get(transactionId);
    return waiters !== undefined && [...waiters].some(({ until }) => until === 'ended');
  }

  /** The transactions that somebody waits for. */
  awaited(): TransactionId[] {
    return [...this.byTransaction.keys()];
  }

  /** To be called with every transaction that the log changed. */
  changed(transaction: TransactionState): void {
    const waiters = this.byTransaction.get(transaction.transactionId);
    if (!waiters) return;
    for (const waiter of [...waiters]) {
      if (hasReached(transaction, waiter.until)) waiter.resolve(transaction);
    }
  }

  /** Ends the waiting for one transaction with an error: it is known never to be decided. */
  fail(transactionId: TransactionId, error: Error): void {
    for (const waiter of [...(this.byTransaction.get(transactionId) ?? [])]) waiter.reject(error);
  }

  failAll(error: Error): void {
    for (const transactionId of [...this.byTransaction.keys()]) this.fail(transactionId, error);
  }
}

function hasReached({ closed, decision, endedAt }: TransactionState, milestone: Milestone): boolean {
  if (endedAt !== undefined) return true;
  return milestone === 'closed' ? closed || decision !== undefined : milestone === 'decided' && decision !== undefined;
}
