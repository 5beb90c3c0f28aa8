import { type Logger, silentLogger } from '@concordat/foundation';
import type { BrokerBus, OutgoingMessage, PublishOptions, Subscription, SubscriptionOptions } from '../bus.js';
import type { MessageAuthenticity } from '../contract/authenticity.js';
import { MessageBusError } from '../contract/errors.js';
import { MessageIntake, type DeadLetterCounts } from '../contract/intake.js';
import type { MemoryBroker } from './memory-broker.js';
import { MemorySubscription } from './memory-subscription.js';
import type { DeadLetter } from '../contract/dead-letter.js';
import { Namespace, type NamespaceOptions } from '../contract/namespace.js';
import { SendQueue, type SendQueueLimits } from '../send-queue.js';
import type { EncodedMessage } from '../contract/codec.js';
import { publishEach, signBatch } from '../contract/publishing.js';
import { DEAD_LETTER_TOPIC, type Topic } from '../contract/topics.js';

export interface MemoryMessageBusOptions extends NamespaceOptions {
  readonly logger?: Logger;
  /** as of the Kafka bus */
  readonly signatures?: MessageAuthenticity;
  readonly queueLimits?: Partial<SendQueueLimits>;
}

const DRAIN_MS = 5_000;

/**
 * The message bus of one process on a `MemoryBroker`, for tests and simulations: the semantics of the Kafka bus (order
 * per key, groups with offsets, at least once, bounded buffers), with real encoding, and only the broker's clock.
 */
export class MemoryMessageBus implements BrokerBus {
  private readonly logger: Logger;
  private readonly queue: SendQueue;
  private readonly namespace: Namespace;
  private readonly intake: MessageIntake;
  private readonly subscriptions = new Set<MemorySubscription>();
  private state: 'new' | 'started' | 'stopped' = 'new';

  constructor(
    private readonly broker: MemoryBroker,
    private readonly options: MemoryMessageBusOptions,
  ) {
    this.logger = options.logger ?? silentLogger;
    this.namespace = new Namespace(options);
    this.intake = new MessageIntake(
      this.namespace,
      (letter) => this.publishDeadLetter(letter),
      this.logger,
      options.signatures,
    );
    this.queue = new SendQueue({
      send: (batch) => this.send(batch),
      addedBytes: options.signatures?.maximumHeaderBytes ?? 0,
      defer: (action) => void broker.clock.setTimer(0, action),
      clock: broker.clock,
      random: broker.random,
      logger: this.logger,
      ...(options.queueLimits && { limits: options.queueLimits }),
    });
  }

  async start(): Promise<void> {
    this.state = 'started';
    this.queue.open();
  }

  async ensureTopics(topics: readonly Topic[]): Promise<void> {
    for (const topic of topics) this.broker.createTopic(this.namespace.topic(topic));
  }

  async publish(messages: readonly OutgoingMessage[], { atOnce = false }: PublishOptions = {}): Promise<void> {
    return publishEach(this.namespace, messages, (entries) => this.queue.publish(entries, atOnce));
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    if (this.state === 'stopped') throw new MessageBusError('BUS_STOPPED', 'the message bus was stopped');
    const subscription = new MemorySubscription(
      this.broker,
      {
        ...options,
        group: this.namespace.group(options.group),
        topics: options.topics.map((topic) => this.namespace.topic(topic)),
      },
      this.intake,
      this.logger,
      () => this.subscriptions.delete(subscription),
    );
    this.subscriptions.add(subscription);
    return subscription;
  }

  isConnected(): boolean {
    return this.state === 'started' && this.broker.isUp;
  }

  obstacle(): string | undefined {
    return this.isConnected() ? undefined : 'the broker cannot be reached';
  }

  deadLetters(): DeadLetterCounts {
    return this.intake.deadLetters;
  }

  signatureWarnings(): DeadLetterCounts {
    return this.intake.signatureWarnings;
  }

  async stop(): Promise<void> {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    await Promise.all([...this.subscriptions].map((subscription) => subscription.stop()));
    await this.queue.close(DRAIN_MS);
  }

  /**
   * The process dies, as by kill -9: unsent messages are lost, uncommitted ones come again to the next member. Running
   * handlers are not stopped; the caller must ignore them.
   */
  crash(): void {
    this.state = 'stopped';
    for (const subscription of this.subscriptions) subscription.crash();
    this.subscriptions.clear();
    void this.queue.close(0);
  }

  private async send(batch: readonly EncodedMessage[]): Promise<void> {
    this.broker.append(signBatch(this.options.signatures, batch));
  }

  publishDeadLetter(letter: DeadLetter): void {
    const topic = this.namespace.topic(DEAD_LETTER_TOPIC);
    this.queue
      .publish([{ ...letter, topic }])
      .catch((error: unknown) => this.logger.error('a dead letter was lost', error));
  }
}
