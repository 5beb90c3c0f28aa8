import type { ProtocolMessage } from '@concordat/commit-protocol';
import type {
  DeadLetterCounts,
  MessageBus,
  OutgoingMessage,
  PublishOptions,
  Subscription,
  SubscriptionOptions,
  Topic,
} from '@concordat/messaging';

export interface BusWatcher {
  /** before the handler sees it */
  delivered(message: ProtocolMessage): void;
  published(message: ProtocolMessage, topic: string): void;
  /** something was published that no reader would take, or dropped */
  failed(error: unknown): void;
}

/** Tells of everything that goes in and out of a bus. */
export class WatchedBus implements MessageBus {
  constructor(
    private readonly bus: MessageBus,
    private readonly watcher: BusWatcher,
  ) {}

  start(): Promise<void> {
    return this.bus.start();
  }

  ensureTopics(topics: readonly Topic[]): Promise<void> {
    return this.bus.ensureTopics(topics);
  }

  async publish(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<void> {
    for (const { message, topic } of messages) this.watcher.published(message, topic);
    try {
      await this.bus.publish(messages, options);
    } catch (error) {
      this.watcher.failed(error);
      throw error;
    }
  }

  subscribe(options: SubscriptionOptions): Promise<Subscription> {
    return this.bus.subscribe({
      ...options,
      onMessage: (message) => {
        this.watcher.delivered(message);
        return options.onMessage(message);
      },
    });
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
}
