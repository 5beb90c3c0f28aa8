import type { ProtocolMessage } from '@concordat/commit-protocol';
import { errorMessage, silentLogger, type Clock, type Logger } from '@concordat/foundation';
import type {
  InstanceStreams,
  MessageBus,
  OutgoingMessage,
  PublishOptions,
  Subscription,
  SubscriptionOptions,
} from '../bus.js';
import { encodeMessage } from '../contract/codec.js';
import type { DeadLetter } from '../contract/dead-letter.js';
import {
  MessageBusError,
  MessageEncodeError,
  UnsendableMessagesError,
  type UnsendableMessage,
} from '../contract/errors.js';
import { MessageIntake, type DeadLetterCounts, type ReceivedRecord } from '../contract/intake.js';
import { Namespace, type NamespaceOptions } from '../contract/namespace.js';
import type { Topic } from '../contract/topics.js';
import { DirectInbox } from './inbox.js';
import {
  DEFAULT_STREAM_LIMITS,
  DirectStream,
  untilAllAreWritten,
  type AttachSocket,
  type StreamEvents,
  type StreamLimits,
} from './stream.js';
import type { StreamMessage } from './frames.js';

export interface DirectBusOptions extends NamespaceOptions {
  readonly clock: Clock;
  readonly logger?: Logger;
  readonly limits?: Partial<StreamLimits>;
  /** runs `action` at the end of the current turn; default `setImmediate` */
  readonly defer?: (action: () => void) => void;
}

/** Events for a bus with a second route. */
export interface DirectNotices {
  /** messages of a closed stream that were not acknowledged, and may have arrived or not */
  readonly onLost?: (messages: readonly OutgoingMessage[]) => void;
  /** an invalid message, for the dead-letter topic */
  readonly onDeadLetter?: (letter: DeadLetter) => void;
}

/**
 * The common part of both ends of the direct link: streams instead of topics on a broker. A message is sent over an
 * open stream or dropped; the protocol sends it again. Nothing is kept for an absent receiver, and a subscription
 * begins with the next message.
 *
 * States: new → started → stopped.
 */
export abstract class DirectBus implements MessageBus {
  protected readonly logger: Logger;
  protected readonly clock: Clock;
  protected readonly namespace: Namespace;
  protected readonly streams = new Set<DirectStream>();
  protected stopped = false;
  private notices: DirectNotices = {};
  private readonly inbox: DirectInbox;
  private readonly intake: MessageIntake;
  private readonly limits: StreamLimits;
  private readonly defer: (action: () => void) => void;
  private heardAt: number;
  private sent = 0;
  private received = 0;

  protected constructor(options: DirectBusOptions) {
    this.clock = options.clock;
    this.logger = options.logger ?? silentLogger;
    this.namespace = new Namespace(options);
    this.limits = { ...DEFAULT_STREAM_LIMITS, ...options.limits };
    this.defer = options.defer ?? ((action) => void setImmediate(action));
    this.heardAt = this.clock.monotonic();
    this.intake = new MessageIntake(this.namespace, (letter) => this.notices.onDeadLetter?.(letter), this.logger);
    this.inbox = new DirectInbox({
      clock: this.clock,
      logger: this.logger,
      onFull: (isFull) => this.setReading(!isFull),
      idleMs: () => (this.isConnected() ? 0 : this.clock.monotonic() - this.heardAt),
    });
  }

  /** Must be called before `start`. */
  observe(notices: DirectNotices): void {
    this.notices = notices;
  }

  /** Messages sent and received over streams since the start. */
  get traffic(): { readonly sent: number; readonly received: number } {
    return { sent: this.sent, received: this.received };
  }

  /** Whether messages can be exchanged with at least one other end. */
  get hasStream(): boolean {
    return !this.stopped && [...this.streams].some(({ isOpen }) => isOpen);
  }

  /** Undefined at the end that addresses no instance. */
  readonly instances: InstanceStreams | undefined = undefined;

  abstract start(): Promise<void>;
  abstract isConnected(): boolean;
  abstract obstacle(): string | undefined;

  /** Streams need no topics. */
  async ensureTopics(): Promise<void> {
    return undefined;
  }

  async publish(messages: readonly OutgoingMessage[], { atOnce = false }: PublishOptions = {}): Promise<void> {
    if (this.stopped) throw new MessageBusError('BUS_STOPPED', 'the message bus was stopped');
    const refused: UnsendableMessage[] = [];
    const streams = new Set<DirectStream>();
    let dropped = 0;
    for (const outgoing of messages) {
      try {
        const taken = this.offer(outgoing);
        if (taken === false) dropped++;
        else if (taken !== true) streams.add(taken);
      } catch (error) {
        if (!(error instanceof MessageEncodeError)) throw error;
        refused.push({ ...outgoing, error });
      }
    }
    if (atOnce) for (const stream of streams) stream.flush();
    await untilAllAreWritten(streams);
    if (dropped > 0)
      throw new MessageBusError(
        'BUS_NO_STREAM',
        `${dropped} of ${messages.length} messages found nobody connected who takes them`,
      );
    if (refused.length > 0) throw new UnsendableMessagesError(refused);
  }

  /**
   * Gives a message to a stream. Returns the stream, true when the message needs none, or false when none accepts it.
   *
   * @throws MessageEncodeError when no reader would accept it
   */
  offer(outgoing: OutgoingMessage): DirectStream | boolean {
    const value = encodeMessage(this.namespace.cluster, outgoing.message);
    const taken = this.route(outgoing, value);
    if (taken !== false) this.sent++;
    return taken;
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    if (this.stopped) throw new MessageBusError('BUS_STOPPED', 'the message bus was stopped');
    return this.inbox.subscribe(options);
  }

  deadLetters(): DeadLetterCounts {
    return this.intake.deadLetters;
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    await this.inbox.stop();
    for (const stream of [...this.streams]) stream.end('this end stops');
  }

  /** The process dies, as by kill -9: nothing more is sent, received or reported. */
  crash(): void {
    this.stopped = true;
    for (const stream of [...this.streams]) stream.close('this end has died');
  }

  /** Sends an encoded message to its stream; like `offer`. */
  protected abstract route(outgoing: OutgoingMessage, value: Buffer): DirectStream | boolean;

  protected createStream(attach: AttachSocket, events: StreamEvents): DirectStream {
    const { clock, defer, limits } = this;
    const stream: DirectStream = new DirectStream(
      attach,
      { clock, defer, limits },
      {
        ...events,
        onClosed: (reason, lost) => {
          this.streams.delete(stream);
          events.onClosed(reason, lost);
        },
      },
    );
    this.streams.add(stream);
    if (this.inbox.isFull) stream.pause();
    return stream;
  }

  /** Messages of a closed stream: another stream may send them, otherwise the other route. */
  protected resendLost(lost: readonly OutgoingMessage[]): void {
    if (this.stopped || lost.length === 0) return;
    if (this.notices.onLost) return this.notices.onLost(lost);
    for (const outgoing of lost) this.offer(outgoing);
  }

  /** Decodes a message of a stream; undefined for a dead letter. */
  protected decode({ topic, value }: StreamMessage, from: string): ProtocolMessage | undefined {
    this.heardAt = this.clock.monotonic();
    this.received++;
    return this.intake.take(recordOf(from, topic, value))?.message;
  }

  /** A message that the other end may not say: counted as a dead letter, and not delivered. */
  protected disbelieve({ topic, value }: StreamMessage, from: string, message: string): void {
    this.intake.refuse(recordOf(from, topic, value), { reason: 'NOT_ALLOWED_TO_SAY', message });
  }

  protected deliver(topic: string, message: ProtocolMessage): void {
    this.inbox.deliver(topic, message);
  }

  protected noteNewLeader(): void {
    if (!this.stopped) this.inbox.newLeader();
  }

  protected isSubscribed(topic: Topic): boolean {
    return this.inbox.has(topic);
  }

  protected deferDelivery(topic: Topic, message: ProtocolMessage): void {
    this.defer(() => {
      if (!this.stopped) this.inbox.deliver(topic, message);
    });
  }

  protected failed(what: string, error: unknown): void {
    this.logger.error(`${what}: ${errorMessage(error)}`, error);
  }

  private setReading(reading: boolean): void {
    for (const stream of this.streams) {
      if (reading) stream.resume();
      else stream.pause();
    }
  }
}

/** A stream is no topic, but dead letters name the place where they come from. */
function recordOf(from: string, topic: string, value: Buffer): ReceivedRecord {
  return { topic: `${from}:${topic}`, partition: 0, offset: '0', key: null, value };
}
