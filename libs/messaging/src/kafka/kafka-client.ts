import {
  backoffMs,
  type Clock,
  errorMessage,
  guarded,
  type Logger,
  type Random,
  withTimeLimit,
  sleep,
} from '@concordat/foundation';
import type { Cluster, Consumer, Kafka, KafkaConfig, LogEntry, Message, Producer, TopicMessages } from 'kafkajs';
import type { ConsumerEvents, GroupConsumer, TopicPartition, TopicPartitionOffset } from './kafka-subscription.js';
import type { MessageAuthenticity, MessageSender } from '../contract/authenticity.js';
import type { NamespaceOptions } from '../contract/namespace.js';
import { describeBrokerFault, sentenceOf, settingFault } from './broker-fault.js';
import { kafkajs } from './kafkajs.js';
import { withAnswerToToken } from './oauth-bearer.js';
import { createPartitioner } from './partitioner.js';
import type { EncodedMessage } from '../contract/codec.js';
import { type SendQueueLimits, SendRefusedError } from '../send-queue.js';

/** Settings of the Kafka bus. Times in milliseconds. */
export interface KafkaMessageBusOptions extends NamespaceOptions {
  /** `host:port` of some brokers of the cluster */
  readonly brokers: readonly string[];
  /**
   * Names this process: unique among live ones, the same after a restart. A restarted process ends the group
   * memberships of its predecessor at once; without a name (the default) the group waits for `sessionTimeoutMs` after a
   * crash.
   */
  readonly clientId?: string;
  readonly ssl?: KafkaConfig['ssl'];
  readonly sasl?: KafkaConfig['sasl'];
  /**
   * who this process is: then it is looked at whether it may read and write the topics as it will, where the broker tells.
   * Default: a missing right shows when it is needed
   */
  readonly role?: MessageSender;
  /** signs what is published and checks what is read; default: neither */
  readonly signatures?: MessageAuthenticity;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly queueLimits?: Partial<SendQueueLimits>;
  /** partitions of topics created by `ensureTopics`, default 1: the maximum of instances of a participant */
  readonly partitions?: number;
  /** copies of topics created by `ensureTopics`, default -1: the broker's own default */
  readonly replicationFactor?: number;
  /** a member that is silent this long is dead to its group, default 6,000 (the broker's default minimum) */
  readonly sessionTimeoutMs?: number;
  /** a consumer without an answer for this long is rebuilt, default 15,000 */
  readonly stallTimeoutMs?: number;
  /** interval of offset commits in the background, default 1,000 */
  readonly commitIntervalMs?: number;
  /** how long the broker holds an idle fetch, default 500; messages arrive at once anyway */
  readonly fetchWaitMs?: number;
  /** how long `start` and `subscribe` wait for the broker before they continue in the background, default 5,000 */
  readonly standingTimeoutMs?: number;
}

export type KafkaSettings = Required<
  Omit<KafkaMessageBusOptions, keyof NamespaceOptions | 'ssl' | 'sasl' | 'queueLimits' | 'signatures' | 'role'>
> &
  Pick<KafkaMessageBusOptions, 'ssl' | 'sasl' | 'queueLimits' | 'signatures' | 'role'>;

const CONNECTION_TIMEOUT_MS = 3_000;
export const REQUEST_TIMEOUT_MS = 10_000;
const SEND_LIMIT_MS = 25_000;
export const DISCONNECT_LIMIT_MS = 3_000;
export const RECONNECT = { baseMs: 100, capMs: 2_000 };
/** A producer that failed this often in a row is rebuilt: it may hold connections to brokers that are gone. */
const FAILURES_BEFORE_REBUILD = 10;

/** Creates missing topics, by their names on the broker; rejects when one of them cannot be used. */
export type EnsureTopics = (topics: readonly string[]) => Promise<void>;

/** Told of each request to the broker, by its kind. */
export type CountRequest = (kind: string) => void;

/** The producer: reconnects for ever, and is rebuilt when it keeps failing. */
export class KafkaSender {
  isConnected = false;
  /** why the last attempt to connect has failed, and what to do, if TLS or SASL is the reason */
  fault: string | undefined;
  private producer: Producer | undefined;
  private failures = 0;
  private ended = false;

  constructor(
    private readonly settings: KafkaSettings,
    private readonly ensureTopics: EnsureTopics,
    private readonly countRequest: CountRequest,
  ) {}

  /** Resolves with true when connected, with false when `disconnect` came first. */
  async connect(): Promise<boolean> {
    const { clock, logger, random } = this.settings;
    const told = new Set<string>();
    for (let attempt = 0; !this.ended; attempt++) {
      try {
        await this.connectedProducer();
        return true;
      } catch (error) {
        const fault = describeBrokerFault(error, this.settings);
        if (!told.has(fault)) logger.warn(`cannot reach Kafka yet, trying again: ${fault}`);
        told.add(fault); // each broker may have another
      }
      await sleep(clock, backoffMs(attempt, RECONNECT, random));
    }
    return false;
  }

  /** @throws SendRefusedError when a retry is useless; any other error may be retried */
  async send(batch: readonly EncodedMessage[]): Promise<void> {
    const topicMessages = messagesByTopic(batch);
    try {
      const producer = await this.connectedProducer();
      this.countRequest('Produce');
      const sent = producer.sendBatch({ acks: -1, timeout: REQUEST_TIMEOUT_MS, topicMessages });
      await withTimeLimit(this.settings.clock, SEND_LIMIT_MS, 'a send', sent);
      this.failures = 0;
      this.isConnected = true;
    } catch (error) {
      await this.afterFailure(
        error,
        topicMessages.map(({ topic }) => topic),
      );
      throw error;
    }
  }

  async disconnect(): Promise<void> {
    this.ended = true;
    await this.giveUpProducer();
  }

  private async afterFailure(error: unknown, topics: readonly string[]): Promise<void> {
    const types = errorTypes(error);
    if (types.some((type) => REFUSALS.has(type)))
      throw new SendRefusedError(describeRefusal(error, types), { cause: error });
    if (types.includes('UNKNOWN_TOPIC_OR_PARTITION')) return this.ensureTopics(topics);
    this.isConnected = false;
    if (++this.failures % FAILURES_BEFORE_REBUILD === 0) await this.giveUpProducer();
  }

  private async connectedProducer(): Promise<Producer> {
    if (this.producer) return this.producer;
    const producer = createClient(this.settings).producer({
      createPartitioner,
      allowAutoTopicCreation: false,
      retry: { retries: 0 }, // the queue retries for ever
    });
    try {
      await withTimeLimit(this.settings.clock, REQUEST_TIMEOUT_MS, 'the connection', producer.connect());
    } catch (error) {
      void producer.disconnect().catch(() => undefined); // one that connects late would have no owner
      const fault = settingFault(error, this.settings);
      this.fault = fault && sentenceOf(fault);
      throw error;
    }
    this.producer = producer;
    this.fault = undefined;
    this.isConnected = true;
    return producer;
  }

  private async giveUpProducer(): Promise<void> {
    const { producer } = this;
    this.producer = undefined;
    this.isConnected = false;
    if (!producer) return;
    const { clock } = this.settings;
    await withTimeLimit(clock, DISCONNECT_LIMIT_MS, 'the disconnection', producer.disconnect()).catch(() => undefined);
  }
}

/** One kafkajs consumer; see `GroupConsumer`. */
export class KafkaGroupConsumer implements GroupConsumer {
  private readonly consumer: Consumer;
  /** kafkajs passes its own view of the cluster to the partition assigner */
  private cluster: Cluster | undefined;

  constructor(
    private readonly settings: KafkaSettings,
    private readonly group: string,
    private readonly topics: readonly string[],
    private readonly events: ConsumerEvents,
    private readonly ensureTopics: EnsureTopics,
    private readonly countRequest: CountRequest,
  ) {
    const { sessionTimeoutMs, fetchWaitMs } = settings;
    const { roundRobin } = kafkajs().PartitionAssigners;
    // a client of its own: kafkajs shares remembered offsets between the consumers of one client
    this.consumer = createClient(settings).consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: Math.floor(sessionTimeoutMs / 4),
      rebalanceTimeout: Math.max(sessionTimeoutMs, 10_000),
      minBytes: 1,
      maxWaitTimeInMs: fetchWaitMs,
      allowAutoTopicCreation: false,
      retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000, restartOnFailure: async () => false },
      partitionAssigners: [
        (config) => {
          this.cluster = config.cluster;
          return roundRobin(config);
        },
      ],
    });
  }

  async connect(): Promise<void> {
    await this.consumer.connect();
    try {
      await this.consumer.subscribe({ topics: [...this.topics], fromBeginning: true });
    } catch (error) {
      if (!errorTypes(error).includes('UNKNOWN_TOPIC_OR_PARTITION')) throw error;
      await this.ensureTopics(this.topics);
      await this.consumer.subscribe({ topics: [...this.topics], fromBeginning: true });
    }
  }

  async evictPredecessor(): Promise<void> {
    const { clientId, logger } = this.settings;
    const { groups } = groupDescriptions(
      await (
        await this.knownCluster().findGroupCoordinator({ groupId: this.group })
      ).describeGroups({
        groupIds: [this.group],
      }),
    );
    const broker = await this.knownCluster().findGroupCoordinator({ groupId: this.group });
    for (const { memberId } of groups.flatMap(({ members }) => members).filter((one) => one.clientId === clientId)) {
      logger.info(`${this.group}: removes the group member that an earlier ${clientId} left behind`);
      await leaveGroup(broker, this.group, memberId);
    }
  }

  async endOffsets(): Promise<TopicPartitionOffset[]> {
    const cluster = this.knownCluster();
    const ends = await cluster.fetchTopicsOffset(
      this.topics.map((topic) => ({
        topic,
        partitions: cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ partition: partitionId })),
        fromBeginning: false,
      })),
    );
    return ends.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) })),
    );
  }

  async run(): Promise<void> {
    const { consumer, events } = this;
    const crashed = (error: unknown): void => events.onCrashed(error);
    const { CRASH, REQUEST, GROUP_JOIN } = consumer.events;
    consumer.on(
      CRASH,
      guarded(({ payload }) => events.onCrashed(payload.error), crashed),
    );
    consumer.on(
      REQUEST,
      guarded(({ payload }) => {
        this.countRequest(payload.apiName);
        events.onAnswered();
      }, crashed),
    );
    consumer.on(
      GROUP_JOIN,
      guarded(({ payload }) => events.onJoined(assignmentOf(payload.memberAssignment)), crashed),
    );
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: this.partitionCount(),
      eachBatch: (payload) =>
        events.onBatch({
          topic: payload.batch.topic,
          partition: payload.batch.partition,
          messages: payload.batch.messages,
          heartbeat: () => payload.heartbeat(),
          isWanted: () => payload.isRunning() && !payload.isStale(),
          resolve: (offset) => payload.resolveOffset(offset),
        }),
    });
  }

  pause(): void {
    this.consumer.pause(this.topics.map((topic) => ({ topic })));
  }

  seek({ topic, partition, offset }: TopicPartitionOffset): void {
    this.consumer.seek({ topic, partition, offset: String(offset) });
  }

  async commit(positions: readonly TopicPartitionOffset[]): Promise<void> {
    await this.consumer.commitOffsets(
      positions.map(({ topic, partition, offset }) => ({ topic, partition, offset: String(offset) })),
    );
  }

  disconnect(): Promise<void> {
    return this.consumer.disconnect();
  }

  private partitionCount(): number {
    const cluster = this.knownCluster();
    const counts = this.topics.map((topic) => cluster.findTopicPartitionMetadata(topic).length);
    return Math.max(
      1,
      counts.reduce((sum, count) => sum + count, 0),
    );
  }

  private knownCluster(): Cluster {
    if (!this.cluster) throw new Error('kafkajs has not made its view of the cluster known');
    return this.cluster;
  }
}

function messagesByTopic(batch: readonly EncodedMessage[]): TopicMessages[] {
  const byTopic = new Map<string, Message[]>();
  for (const { topic, key, value, headers } of batch) {
    const message = headers ? { key, value, headers } : { key, value };
    const known = byTopic.get(topic);
    if (known) known.push(message);
    else byTopic.set(topic, [message]);
  }
  return [...byTopic].map(([topic, messages]) => ({ topic, messages }));
}

/** The broker will give the same answer to every retry. */
const REFUSALS: ReadonlySet<string> = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_RECORD',
  'TOPIC_AUTHORIZATION_FAILED',
]);

/** A kafkajs client with our settings and log levels. */
export function createClient({ brokers, clientId, ssl, sasl, logger, clock }: KafkaSettings): Kafka {
  const { Kafka: NewKafka, logLevel } = kafkajs();
  return new NewKafka({
    brokers: [...brokers],
    clientId,
    ...(ssl !== undefined && { ssl }),
    ...(sasl !== undefined && { sasl: withAnswerToToken(sasl) }),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: { retries: 1, initialRetryTime: 100, maxRetryTime: 1_000 },
    logLevel: logLevel.INFO,
    // nothing is loaded when kafkajs speaks: it does so after its end too, of a connection that it was still opening
    logCreator: () => (entry) => report(logger, clock, entry, logLevel.WARN),
  });
}

const REPEAT_AFTER_MS = 30_000;
/** Parts of kafkajs whose every failure also reaches us as that of a send, a join or a consumer. */
const RETRIED = new Set(['Connection', 'BrokerPool', 'Cluster', 'Producer', 'Consumer', 'ConsumerGroup', 'Runner']);
const reportedAt = new Map<string, number>();

/**
 * kafkajs logs every failed attempt as an error, once per connection; the bus reports what it cannot recover from. So
 * its errors become warnings, each at most once in 30 s, and its other lines debug lines.
 */
function report(logger: Logger, clock: Clock, { level, namespace, log }: LogEntry, warnLevel: LogEntry['level']): void {
  const detail = typeof log.error === 'string' ? ` (${log.error})` : '';
  const text = `kafkajs${namespace ? ` ${namespace}` : ''}: ${log.message}${detail}`;
  if (level > warnLevel || RETRIED.has(namespace)) return logger.debug(text);
  const now = clock.monotonic();
  const last = reportedAt.get(text);
  if (last !== undefined && now - last < REPEAT_AFTER_MS) return logger.debug(text);
  if (reportedAt.size >= 256) reportedAt.clear();
  reportedAt.set(text, now);
  logger.warn(text);
}

/** Names the missing right, if that is the reason. */
function describeRefusal(error: unknown, types: readonly string[]): string {
  const message = errorMessage(error);
  return types.includes('TOPIC_AUTHORIZATION_FAILED') ? `${message}: grant this user Write on the topic` : message;
}

/** The protocol's names of an error and of its causes. */
export function errorTypes(error: unknown): string[] {
  const types: string[] = [];
  for (let next = error, depth = 0; next instanceof Error && depth < 8; next = next.cause, depth++) {
    if ('type' in next && typeof next.type === 'string') types.push(next.type);
  }
  return types;
}

function assignmentOf(assignment: Readonly<Record<string, readonly number[]>>): TopicPartition[] {
  return Object.entries(assignment).flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}

interface GroupDescriptions {
  readonly groups: readonly { readonly members: readonly { readonly memberId: string; readonly clientId: string }[] }[];
}

/** kafkajs has no type for the broker's answer here. */
function groupDescriptions(answer: GroupDescriptions): GroupDescriptions {
  return answer;
}

/** A request of kafkajs that is not in its types; without it the group waits for the session timeout. */
async function leaveGroup(broker: object, groupId: string, memberId: string): Promise<void> {
  const { leaveGroup: leave } = broker as { leaveGroup?: (request: object) => Promise<void> };
  await leave?.call(broker, { groupId, memberId });
}
