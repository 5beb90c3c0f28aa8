import type { ProtocolMessage, TransactionId } from '@concordat/commit-protocol';
import { errorMessage, silentLogger, type Logger } from '@concordat/foundation';
import type {
  BrokerBus,
  InstanceStreams,
  MessageBus,
  OutgoingMessage,
  PublishOptions,
  Subscription,
  SubscriptionOptions,
} from './bus.js';
import { MESSAGE_REFUSALS, MessageEncodeError } from './contract/errors.js';
import type { MessageSender } from './contract/authenticity.js';
import type { DeadLetterCounts } from './contract/intake.js';
import { DEAD_LETTER_TOPIC, OUTCOMES_TOPIC, type Topic } from './contract/topics.js';
import type { DirectBus } from './direct/direct-bus.js';
import { untilAllAreWritten, type DirectStream } from './direct/stream.js';
import { noDeadLetters } from './contract/intake.js';

/** The routes between coordinators and participants: Kafka, direct streams, or both. */
export const LINKS = ['kafka', 'direct', 'both'] as const;
export type Link = (typeof LINKS)[number];

/** Transactions remembered because their messages were sent again. */
const MAXIMUM_REPEATED = 16_384;

/**
 * Direct streams and a broker as one bus (link.md). The first sending of a message takes a stream if one is open,
 * otherwise the broker. A repeated message takes both, and so does its answer: a stream that loses messages costs one
 * interval of the resend timer. What only the holder of a branch can answer takes its stream alone. Unacknowledged
 * messages of a broken stream go to the broker at once, and so do the dead letters of streams. The protocol tolerates
 * loss, repetition and reordering on each, so the routes may be mixed message by message.
 *
 * It works as long as one of the two does.
 */
export class BothRoads implements MessageBus {
  private readonly logger: Logger;
  private readonly repeated = new Set<TransactionId>();
  private stopped = false;

  constructor(
    private readonly direct: DirectBus,
    private readonly broker: BrokerBus,
    logger?: Logger,
  ) {
    this.logger = logger ?? silentLogger;
    direct.observe({
      onLost: (messages) => this.publishLater(messages),
      onDeadLetter: (letter) => broker.publishDeadLetter(letter),
    });
  }

  async start(): Promise<void> {
    this.inBackground('the broker', this.broker.start());
    await this.direct.start();
  }

  /** Does not wait for the broker: streams need no topics. */
  async ensureTopics(topics: readonly Topic[]): Promise<void> {
    this.inBackground('the topics', this.broker.ensureTopics(topics));
  }

  async publish(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<void> {
    const forBroker: OutgoingMessage[] = [];
    const streams = new Set<DirectStream>();
    let onStreams = 0;
    for (const outgoing of messages) {
      const road = this.roadOf(outgoing);
      const taken = road !== 'broker' && this.offer(outgoing);
      if (taken !== false && taken !== true) streams.add(taken);
      if (taken !== false) onStreams++;
      if (road === 'both' || (taken === false && road !== 'stream-only')) forBroker.push(outgoing);
    }
    if (options?.atOnce === true) for (const stream of streams) stream.flush();
    const direct = untilAllAreWritten(streams);
    if (forBroker.length === 0) return direct;
    const published = this.broker.publish(forBroker, options);
    // callers pace their sending by this: an unavailable broker must not delay the streams
    if (onStreams === 0) return published;
    if (this.broker.isConnected()) {
      await Promise.all([published, direct]);
      return;
    }
    this.inBackground('messages', published);
    return direct;
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    const onMessage = (message: ProtocolMessage, sender?: MessageSender): void | Promise<void> => {
      if ('attempt' in message && message.attempt > 0) this.remember(message.transactionId);
      return options.onMessage(message, sender);
    };
    const shared = { ...options, onMessage };
    return new BothSubscriptions(await this.direct.subscribe(shared), this.broker.subscribe(shared), (error) => {
      if (!this.stopped) this.logger.error(`nothing is consumed from the broker: ${errorMessage(error)}`, error);
    });
  }

  isConnected(): boolean {
    return this.direct.hasStream || this.broker.isConnected();
  }

  /** A coordinator without a stream reaches nobody, although streams alone would not call that an obstacle. */
  obstacle(): string | undefined {
    const broker = this.broker.obstacle();
    if (broker === undefined || this.direct.hasStream) return undefined;
    return `${this.direct.obstacle() ?? 'no participant is connected directly'}; ${broker}`;
  }

  deadLetters(): DeadLetterCounts {
    const counts = noDeadLetters();
    for (const bus of [this.direct, this.broker]) {
      const some = bus.deadLetters();
      for (const reason of MESSAGE_REFUSALS) counts[reason] += some[reason];
    }
    return counts;
  }

  signatureWarnings(): DeadLetterCounts {
    return this.broker.signatureWarnings?.() ?? noDeadLetters();
  }

  brokerRequests(): Readonly<Record<string, number>> {
    return this.broker.brokerRequests?.() ?? {};
  }

  get instances(): InstanceStreams | undefined {
    return this.direct.instances;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all([this.direct.stop(), this.broker.stop()]);
  }

  private roadOf({ topic, message }: OutgoingMessage): 'broker' | 'stream' | 'both' | 'stream-only' {
    if (topic === OUTCOMES_TOPIC || topic === DEAD_LETTER_TOPIC) return 'broker';
    if (isForHolder(message)) return 'stream-only';
    switch (message.type) {
      case 'termination-due': // one process of the participant must handle it
        return 'broker';
      case 'inquiry':
      case 'announce':
      case 'ballot-request':
      case 'branches-decided':
        return 'both';
      case 'ballot-answer':
        return message.proposer || this.repeated.has(message.transactionId) ? 'both' : 'stream';
      case 'vote':
      case 'done':
        return this.repeated.has(message.transactionId) ? 'both' : 'stream';
      default:
        return 'attempt' in message && message.attempt > 0 ? 'both' : 'stream';
    }
  }

  /** A message that cannot be encoded goes to the broker's bus, which reports it to the publisher. */
  private offer(outgoing: OutgoingMessage): ReturnType<DirectBus['offer']> {
    try {
      return this.direct.offer(outgoing);
    } catch (error) {
      if (error instanceof MessageEncodeError) return false;
      throw error;
    }
  }

  private remember(transactionId: TransactionId): void {
    this.repeated.add(transactionId);
    if (this.repeated.size <= MAXIMUM_REPEATED) return;
    const [oldest] = this.repeated;
    this.repeated.delete(oldest!);
  }

  private publishLater(lost: readonly OutgoingMessage[]): void {
    const messages = lost.filter(({ message }) => !isForHolder(message));
    if (this.stopped || messages.length === 0) return;
    this.inBackground(`${messages.length} messages of a broken stream`, this.broker.publish(messages));
  }

  private inBackground(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!this.stopped) this.logger.debug(`${what}: ${errorMessage(error)}`);
    });
  }
}

/** No process but the holder can answer it, and the broker cannot address one. The leader repeats a lost one. */
function isForHolder(message: ProtocolMessage): boolean {
  return message.type === 'prepare' && message.heldBy !== undefined;
}

/** The same subscription on both routes. The broker's may be established later. */
class BothSubscriptions implements Subscription {
  private onBroker: Subscription | undefined;
  private state: 'running' | 'paused' | 'stopped' = 'running';
  private readonly standing: Promise<void>;

  constructor(
    private readonly onStreams: Subscription,
    onBroker: Promise<Subscription>,
    onFailure: (error: unknown) => void,
  ) {
    this.standing = onBroker.then((subscription) => {
      this.onBroker = subscription;
      if (this.state === 'paused') subscription.pause();
    }, onFailure);
  }

  pause(): void {
    if (this.state === 'stopped') return;
    this.state = 'paused';
    this.onStreams.pause();
    this.onBroker?.pause();
  }

  resumeFromLatest(): void {
    if (this.state === 'stopped') return;
    this.state = 'running';
    this.onStreams.resumeFromLatest();
    this.onBroker?.resumeFromLatest();
  }

  /** Of the route with the latest message. */
  idleMs(): number {
    const onStreams = this.onStreams.idleMs();
    return this.onBroker ? Math.min(onStreams, this.onBroker.idleMs()) : onStreams;
  }

  async stop(): Promise<void> {
    this.state = 'stopped';
    await this.onStreams.stop();
    await this.standing;
    await this.onBroker?.stop();
  }
}
