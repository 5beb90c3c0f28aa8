import type { ProtocolMessage } from '@concordat/commit-protocol';
import {
  noDeadLetters,
  type DeadLetterCounts,
  type InstanceStreams,
  type MessageBus,
  type OutgoingMessage,
  type PublishOptions,
  type Subscription,
  type SubscriptionOptions,
  type Topic,
} from '@concordat/messaging';

type MessageOf<Type extends ProtocolMessage['type']> = Extract<ProtocolMessage, { type: Type }>;

/** A message bus that remembers what was published; the test plays the other side. */
export class RecordingBus implements MessageBus {
  readonly sent: OutgoingMessage[] = [];
  readonly topics: Topic[] = [];
  readonly subscriptions: (SubscriptionOptions & { stopped: boolean })[] = [];
  connected = true;
  /** undefined: over Kafka alone */
  instances: InstanceStreams | undefined;
  /** while set, everything published is dropped with this error */
  failure: Error | undefined;
  /** sees every publication before it is acknowledged */
  onPublish: (messages: readonly OutgoingMessage[], options: PublishOptions) => void = () => undefined;

  start(): Promise<void> {
    return this.failure ? Promise.reject(this.failure) : Promise.resolve();
  }

  ensureTopics(topics: readonly Topic[]): Promise<void> {
    this.topics.push(...topics);
    return Promise.resolve();
  }

  publish(messages: readonly OutgoingMessage[], options: PublishOptions = {}): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    this.onPublish(messages, options);
    this.sent.push(...messages);
    return Promise.resolve();
  }

  subscribe(options: SubscriptionOptions): Promise<Subscription> {
    const subscription = { ...options, stopped: false };
    this.subscriptions.push(subscription);
    return Promise.resolve({
      pause: () => undefined,
      resumeFromLatest: () => undefined,
      idleMs: () => 0,
      stop: () => {
        subscription.stopped = true;
        return Promise.resolve();
      },
    });
  }

  isConnected(): boolean {
    return this.connected;
  }

  obstacle(): string | undefined {
    return this.connected ? undefined : 'the broker cannot be reached';
  }

  deadLetters(): DeadLetterCounts {
    return noDeadLetters();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  /** Messages of one type, in the order in which they were published. */
  of<Type extends ProtocolMessage['type']>(type: Type): MessageOf<Type>[] {
    return this.sent
      .map(({ message }) => message)
      .filter((message): message is MessageOf<Type> => message.type === type);
  }

  forget(): void {
    this.sent.length = 0;
  }
}
