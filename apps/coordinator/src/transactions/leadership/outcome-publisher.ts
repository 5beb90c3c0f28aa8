import {
  backoffMs,
  errorMessage,
  invariant,
  type Clock,
  type Logger,
  type Random,
  type Timer,
} from '@concordat/foundation';
import type { DecisionState, OutcomeMessage, TransactionState } from '@concordat/commit-protocol';
import { OUTCOMES_TOPIC, UnsendableMessagesError, type MessageBus } from '@concordat/messaging';

/** Maximum number of outcomes in one publication. */
const MAXIMUM_BATCH = 500;

export interface OutcomePublisherDependencies {
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
  /** called when a publication failed */
  readonly onUnsent: (error: unknown) => boolean;
}

/**
 * Publishes the outcome of every ended transaction at least once, also across a change of leader: the log keeps an
 * ended transaction until a record says that its outcome is published (`publishedIndex`).
 */
export class OutcomePublisher {
  private published = 0;
  private busy = false;
  private failures = 0;
  private retryTimer: Timer | undefined;
  private closed = false;

  constructor(
    private readonly dependencies: OutcomePublisherDependencies,
    private readonly state: DecisionState,
    private readonly onPublished: () => void,
  ) {}

  /** The outcomes of everything that ended by this log index are published. */
  get publishedIndex(): number {
    return this.published;
  }

  /** Publishes what has ended. One publication at a time; the next takes what ended in between. */
  publish(): void {
    if (this.busy || this.closed) return;
    const batch = this.nextBatch();
    const last = batch.at(-1);
    if (!last) return;
    this.busy = true;
    const through = last.logIndex;
    this.dependencies.bus
      .publish(batch.map((transaction) => ({ topic: OUTCOMES_TOPIC, message: outcomeMessage(transaction) })))
      .then(
        () => this.advance(through),
        (error: unknown) => {
          this.dependencies.onUnsent(error);
          // The others have arrived; these never will, and must not block all later ones.
          if (error instanceof UnsendableMessagesError) this.advance(through);
          else this.retryLater(error);
        },
      );
  }

  private advance(through: number): void {
    invariant(through > this.published, 'outcomes are published in the order of the log');
    this.published = through;
    this.failures = 0;
    this.onPublished();
    this.goOn();
  }

  close(): void {
    this.closed = true;
    this.retryTimer?.cancel();
  }

  private goOn(): void {
    this.busy = false;
    this.publish();
  }

  private retryLater(error: unknown): void {
    const { clock, logger, random } = this.dependencies;
    if (this.closed) return;
    logger.debug(`outcomes could not be published yet: ${errorMessage(error)}`);
    const delayMs = backoffMs(this.failures++, { baseMs: 100, capMs: 5_000 }, random);
    this.retryTimer = clock.setTimer(delayMs, () => this.goOn());
  }

  /** Takes whole log entries only: transactions that ended with the same record stay together. */
  private nextBatch(): TransactionState[] {
    const batch: TransactionState[] = [];
    for (const transaction of this.state.unpublishedTransactions()) {
      if (transaction.logIndex <= this.published) continue;
      if (batch.length >= MAXIMUM_BATCH && transaction.logIndex !== batch.at(-1)?.logIndex) break;
      batch.push(transaction);
    }
    return batch;
  }
}

function outcomeMessage(transaction: TransactionState): OutcomeMessage {
  const { transactionId, outcome, decidedAt, endedAt, branches } = transaction;
  return {
    type: 'outcome',
    transactionId,
    outcome: outcome!,
    decidedAt: decidedAt!,
    endedAt: endedAt!,
    participants: [...new Set(branches.map(({ participant }) => participant))],
  };
}
