import { errorMessage, type Logger } from '@concordat/foundation';
import type { CoordinatorMessage } from '@concordat/commit-protocol';
import { decideTopic, prepareTopic, type MessageBus, type OutgoingMessage } from '@concordat/messaging';

export interface OutgoingMessagesDependencies {
  readonly bus: MessageBus;
  readonly logger: Logger;
  /** called when a publication failed; returns true when its messages can never be sent, which it then reports */
  readonly onUnsent: (error: unknown) => boolean;
}

/**
 * Messages to participants. Those of one event are published together: a decision, and the work of the transaction that
 * gets its keys, are one flight. The timer of a transaction sends lost messages again.
 */
export class OutgoingMessages {
  private unpublished: OutgoingMessage[] = [];
  private latestPublication: Promise<unknown> = Promise.resolve();
  private isAwaited = false;
  private closed = false;

  constructor(private readonly dependencies: OutgoingMessagesDependencies) {}

  /** Settled when the latest publication is; never rejects. */
  get published(): Promise<unknown> {
    return this.latestPublication;
  }

  add(message: CoordinatorMessage): void {
    const { bus } = this.dependencies;
    if (message.type === 'prepare' && message.heldBy !== undefined && !bus.instances) return; // nobody else may get it
    const work = message.type === 'prepare' || message.type === 'commit-one-phase';
    const topic = work ? prepareTopic(message.participant) : decideTopic(message.participant);
    this.unpublished.push({ topic, message });
  }

  /** A queue of transactions waits for what is flushed next: it leaves before anything else that this turn does. */
  hurry(): void {
    this.isAwaited = true;
  }

  flush(): void {
    const atOnce = this.isAwaited;
    this.isAwaited = false;
    if (this.unpublished.length === 0 || this.closed) return;
    const messages = this.unpublished;
    this.unpublished = [];
    const { bus, logger, onUnsent } = this.dependencies;
    this.latestPublication = bus.publish(messages, { atOnce }).catch((error: unknown) => {
      if (!onUnsent(error)) logger.debug(`messages were dropped and will be sent again: ${errorMessage(error)}`);
    });
  }

  close(): void {
    this.closed = true;
    this.unpublished = [];
  }
}
