import type { Clock } from '@concordat/foundation';
import type { TransactionId, TransactionState } from '@concordat/commit-protocol';

/**
 * The commit is requested in the log; the decision is; every branch has reported its end to the leader; the log has all
 * ends.
 */
type Milestone = 'closed' | 'decided' | 'reported' | 'ended';

interface Waiter {
  readonly until: Milestone;
  readonly resolve: (transaction: TransactionState | undefined) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Clients that wait for a transaction. They belong to the node, not to its leadership: applied records are true under
 * any leader, so the answer may come from a new leader's decision.
 */
export class Waiters {
  private readonly byTransaction = new Map<TransactionId, Set<Waiter>>();
  private endPrompt: () => void = () => undefined;

  /** @param applyPromptly called while clients wait: a former leader applies at once what they wait for */
  constructor(
    private readonly clock: Clock,
    private readonly applyPromptly: () => () => void,
  ) {}

  /** Resolves with the transaction when it reaches `until`, with undefined after the timeout. */
  wait(transactionId: TransactionId, until: Milestone, timeoutMs: number): Promise<TransactionState | undefined> {
    return new Promise((resolve, reject) => {
      const waiters = this.byTransaction.get(transactionId) ?? new Set();
      const leave = (): void => {
        timer.cancel();
        waiters.delete(waiter);
        if (waiters.size === 0) this.byTransaction.delete(transactionId);
        if (this.byTransaction.size === 0) this.endPrompt();
      };
      const waiter: Waiter = {
        until,
        resolve: (transaction) => (leave(), resolve(transaction)),
        reject: (error) => (leave(), reject(error)),
      };
      const timer = this.clock.setTimer(timeoutMs, () => waiter.resolve(undefined));
      waiters.add(waiter);
      if (this.byTransaction.size === 0) this.endPrompt = this.applyPromptly();
      this.byTransaction.set(transactionId, waiters);
    });
  }

  /** Whether a client waits for the end, so that it should be logged at once. */
  awaitsEnd(transactionId: TransactionId): boolean {
    const waiters = this.byTransaction.get(transactionId);
    return waiters !== undefined && [...waiters].some(({ until }) => until === 'ended');
  }

  /** The transactions that clients wait for. */
  awaited(): TransactionId[] {
    return [...this.byTransaction.keys()];
  }

  /** Must be called with every transaction that the log changed. */
  changed(transaction: TransactionState): void {
    const waiters = this.byTransaction.get(transaction.transactionId);
    if (!waiters) return;
    for (const waiter of [...waiters]) {
      if (hasReached(transaction, waiter.until)) waiter.resolve(transaction);
    }
  }

  /** Must be called with every transaction all of whose branches have reported their ends. */
  reported(transaction: TransactionState): void {
    for (const waiter of [...(this.byTransaction.get(transaction.transactionId) ?? [])]) {
      if (waiter.until !== 'ended') waiter.resolve(transaction);
    }
  }

  /** Rejects the waits for a transaction that will never be decided. */
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
