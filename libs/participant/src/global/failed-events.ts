import type { Clock } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';
import { RollbackOnlyError, type Doom } from './errors.js';

interface Failure {
  readonly doom: Doom;
  /** monotonic */
  readonly endsAt: number;
}

/**
 * Transactions in which the handler of a message has failed here, until their deadline. Nobody waits for the answer to
 * such a message, so its failure aborts the transaction: what the broker delivers again, or later, changes nothing, and
 * its handler does not run.
 */
export class FailedEvents {
  private readonly failures = new Map<TransactionId, Failure>();

  constructor(private readonly clock: Clock) {}

  /** The first reason counts. */
  note({ transactionId, leftMs }: { transactionId: TransactionId; leftMs: number }, doom: Doom): void {
    const now = this.clock.monotonic();
    for (const [id, { endsAt }] of this.failures) if (endsAt <= now) this.failures.delete(id);
    if (!this.failures.has(transactionId)) this.failures.set(transactionId, { doom, endsAt: now + leftMs });
  }

  /** @throws RollbackOnlyError when a handler has failed in the transaction */
  refuse(transactionId: TransactionId): void {
    const failure = this.failures.get(transactionId);
    if (failure) throw new RollbackOnlyError(transactionId, failure.doom);
  }
}
