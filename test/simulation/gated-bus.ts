import type { ProtocolMessage } from '@concordat/commit-protocol';
import {
  UnsendableMessagesError,
  type InstanceStreams,
  type MessageBus,
  type OutgoingMessage,
  type PublishOptions,
  type Subscription,
  type SubscriptionOptions,
  type Topic,
  type DeadLetterCounts,
} from '@concordat/messaging';
import type { SimulatedProcess } from '@concordat/foundation/testing';
import type { MortalBus } from './roads.js';

/** Messages that a process has been handed and that do not count as consumed yet, by transaction. */
export class UnfinishedMessages {
  private readonly counts = new Map<string, number>();

  has(transactionId: string): boolean {
    return (this.counts.get(transactionId) ?? 0) > 0;
  }

  count(message: ProtocolMessage, change: 1 | -1): void {
    if (!('transactionId' in message)) return;
    const { transactionId } = message;
    const count = (this.counts.get(transactionId) ?? 0) + change;
    if (count > 0) this.counts.set(transactionId, count);
    else this.counts.delete(transactionId);
  }
}

/**
 * The message bus of one simulated process: what arrives and what is acknowledged waits while the process is
 * stopped, and dies with it.
 */
export class GatedBus implements MessageBus {
  readonly unfinished = new UnfinishedMessages();
  /** told of every message when the process takes it up */
  onReceived: (message: ProtocolMessage) => void = () => undefined;
  /** told when the process says what no message can be made of */
  onUnsendable: (error: UnsendableMessagesError) => void = () => undefined;

  /** @param observe sees every message when it is handed to the bus, which is before it can reach anybody */
  constructor(
    private readonly bus: MortalBus,
    private readonly process: SimulatedProcess,
    private readonly observe: (message: ProtocolMessage) => void,
  ) {
    process.onDeath(() => bus.crash());
  }

  start(): Promise<void> {
    return this.bus.start();
  }

  ensureTopics(topics: readonly Topic[]): Promise<void> {
    return this.bus.ensureTopics(topics);
  }

  publish(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<void> {
    if (!this.process.isAlive) return new Promise(() => undefined); // its code has ended right there
    for (const { message } of messages) this.observe(message);
    const published = this.bus.publish(messages, options);
    published.catch((error: unknown) => {
      if (error instanceof UnsendableMessagesError) this.onUnsendable(error);
    });
    return this.process.hear(published);
  }

  subscribe(options: SubscriptionOptions): Promise<Subscription> {
    return this.bus.subscribe({ ...options, onMessage: (message) => this.receive(options, message) });
  }

  get instances(): InstanceStreams | undefined {
    return this.bus.instances;
  }

  isConnected(): boolean {
    return this.bus.isConnected();
  }

  obstacle(): string | undefined {
    return this.bus.obstacle();
  }

  deadLetters(): DeadLetterCounts {
    return this.bus.deadLetters();
  }

  stop(): Promise<void> {
    return this.bus.stop();
  }

  private receive({ onMessage }: SubscriptionOptions, message: ProtocolMessage): void | Promise<void> {
    let handled: void | Promise<void> = undefined;
    let done = false;
    let finish: (() => void) | undefined;
    this.process.enter(() => {
      done = true;
      this.unfinished.count(message, 1);
      this.onReceived(message);
      handled = onMessage(message);
      const consumed = (): void => this.unfinished.count(message, -1);
      if (handled) handled.then(consumed, consumed);
      else consumed();
      if (finish) Promise.resolve(handled).then(finish, finish);
    });
    return done ? handled : new Promise((resolve) => (finish = resolve));
  }
}
