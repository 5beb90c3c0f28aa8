import type { ProtocolMessage } from '@concordat/commit-protocol';
import { errorMessage, silentLogger, type Clock, type Logger } from '@concordat/foundation';
import type { MessageBus, OutgoingMessage, Subscription, SubscriptionOptions } from '../bus.js';
import { encodeMessage, type EncodedMessage } from '../contract/codec.js';
import {
  MessageBusError,
  MessageEncodeError,
  UnsendableMessagesError,
  type UnsendableMessage,
} from '../contract/errors.js';
import { MessageIntake, type DeadLetterCounts } from '../contract/intake.js';
import { Namespace, type NamespaceOptions } from '../contract/namespace.js';
import type { Topic } from '../contract/topics.js';
import { DirectInbox } from './inbox.js';
import {
  DEFAULT_STREAM_LIMITS,
  DirectStream,
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

/** What a second road wants to know of this one. */
export interface DirectNotices {
  /** what was sent over a stream that has ended, and may or may not have arrived */
  readonly onLost?: (messages: readonly OutgoingMessage[]) => void;
  /** what was no message, for the dead-letter topic */
  readonly onDeadLetter?: (entry: EncodedMessage) => void;
}

/**
 * What both ends of the direct link have in common: streams instead of topics on a broker. A message goes over a stream
 * that stands, or not at all; the protocol sends it again. Nothing is kept for who is away, and a subscription begins
 * with what comes from now on.
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
    this.intake = new MessageIntake(this.namespace, (entry) => this.notices.onDeadLetter?.(entry), this.logger);
    this.inbox = new DirectInbox({
      clock: this.clock,
      logger: this.logger,
      onFull: (isFull) => this.setReading(!isFull),
      idleMs: () => (this.isConnected() ? 0 : this.clock.monotonic() - this.heardAt),
    });
  }

  /** To be called before `start`. */
  observe(notices: DirectNotices): void {
    this.notices = notices;
  }

  /** Messages that went over streams since the start, and came. */
  get traffic(): { readonly sent: number; readonly received: number } {
    return { sent: this.sent, received: this.received };
  }

  abstract start(): Promise<void>;
  abstract isConnected(): boolean;
  abstract obstacle(): string | undefined;

  /** There are no topics to be made. */
  async ensureTopics(): Promise<void> {
    return undefined;
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<void> {
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
    const rooms = [...streams].flatMap((stream) => stream.room() ?? []);
    if (rooms.length > 0) await Promise.all(rooms);
    if (dropped > 0)
      throw new MessageBusError('BUS_NO_STREAM', `no stream takes ${dropped} of ${messages.length} messages`);
    if (refused.length > 0) throw new UnsendableMessagesError(refused);
  }

  /**
   * Hands a message to a stream: that stream, or true when it goes nowhere and need not, or false when none takes it.
   *
   * @throws MessageEncodeError when no reader would take it
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

  /** The process dies, as by kill -9: nothing more is sent, received or told. */
  crash(): void {
    this.stopped = true;
    for (const stream of [...this.streams]) stream.close('this end has died');
  }

  /** Sends an encoded message where it belongs; as `offer`. */
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

  /** Messages of a stream that has ended: another stream may take them, otherwise the other road. */
  protected resendLost(lost: readonly OutgoingMessage[]): void {
    if (this.stopped || lost.length === 0) return;
    if (this.notices.onLost) return this.notices.onLost(lost);
    for (const outgoing of lost) this.offer(outgoing);
  }

  /** Decodes what came over a stream; undefined when it was put aside. */
  protected decode({ topic, value }: StreamMessage, from: string): ProtocolMessage | undefined {
    this.heardAt = this.clock.monotonic();
    this.received++;
    return this.intake.take({ topic: `${from}:${topic}`, partition: 0, offset: '0', key: null, value });
  }

  protected deliver(topic: string, message: ProtocolMessage): void {
    this.inbox.deliver(topic, message);
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
