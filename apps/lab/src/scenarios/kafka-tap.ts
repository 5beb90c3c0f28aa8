import { randomUUID } from 'node:crypto';
import {
  Kafka,
  logLevel,
  Partitioners,
  type Admin,
  type Consumer,
  type EachBatchPayload,
  type Producer,
} from 'kafkajs';
import { LabError } from '../lab-error.js';
import type { LocalSecurity } from '../local-system/security/local-security.js';
import { SIGNATURE_HEADER, signatureOf } from '../local-system/security/record-signature.js';
import type { Sender } from '../local-system/security/signing-keys.js';
import { waitUntil } from '../local-system/wait.js';
import type { ScenarioLab } from './scenario-lab.js';
import { Wire } from './wire.js';

/** A message and its position in its topic. */
export interface TappedMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly offset: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** A record to be sent; the key as its bytes. */
export interface OutgoingRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The offset after the last message, by `topic/partition`. */
export type Positions = ReadonlyMap<string, number>;

const READ_TIMEOUT_MS = 60_000;

/**
 * Reads and sends any message of the topics. A client with a group of its own, so it takes no message from the
 * services.
 */
export class KafkaTap {
  private constructor(
    readonly wire: Wire,
    private readonly kafka: Kafka,
    private readonly admin: Admin,
    private readonly producer: Producer,
    /** undefined: nobody signs */
    private readonly security: LocalSecurity | undefined,
  ) {}

  /** Lends one at the broker of a running system. */
  static async use(lab: ScenarioLab, work: (tap: KafkaTap) => Promise<void>): Promise<void> {
    const tap = await KafkaTap.open(lab);
    try {
      await work(tap);
    } finally {
      await tap.producer.disconnect();
      await tap.admin.disconnect();
    }
  }

  private static async open(lab: ScenarioLab): Promise<KafkaTap> {
    const state = lab.state();
    const { security } = lab.context;
    const kafka = new Kafka({
      brokers: state.kafkaBrokers.split(','),
      clientId: 'concordat-lab-tap',
      logLevel: logLevel.NOTHING,
      ...security?.servers.brokerAccess(),
    });
    const admin = kafka.admin();
    const producer = kafka.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      allowAutoTopicCreation: false,
    });
    await admin.connect();
    await producer.connect();
    return new KafkaTap(Wire.of(state), kafka, admin, producer, security);
  }

  /** For topics of a cluster that has ended. */
  async deleteTopics(topics: readonly string[]): Promise<void> {
    const existing = new Set(await this.admin.listTopics());
    await this.admin.deleteTopics({ topics: topics.filter((topic) => existing.has(topic)) });
  }

  /** The ends of the topics now. */
  async ends(topics: readonly string[]): Promise<Positions> {
    const positions = new Map<string, number>();
    for (const topic of topics) {
      for (const { partition, high } of await this.admin.fetchTopicOffsets(topic)) {
        positions.set(positionKey(topic, partition), Number(high));
      }
    }
    return positions;
  }

  /** The committed offsets of a consumer group, in the same form; partitions without a commit are left out. */
  async committed(group: string, topics: readonly string[]): Promise<Positions> {
    const positions = new Map<string, number>();
    for (const { topic, partitions } of await this.admin.fetchOffsets({ groupId: group, topics: [...topics] })) {
      for (const { partition, offset } of partitions) {
        if (Number(offset) >= 0) positions.set(positionKey(topic, partition), Number(offset));
      }
    }
    return positions;
  }

  /**
   * Sends messages to one partition, in order and in one request, with the headers that they have. Returns their
   * positions.
   */
  async send(topic: string, messages: readonly OutgoingRecord[], partition = 0): Promise<TappedMessage[]> {
    const batch = messages.map(({ key, value, headers = {} }) => ({ key, value, headers: { ...headers }, partition }));
    const [answer] = await this.producer.send({ topic, acks: -1, messages: batch });
    const base = Number(answer?.baseOffset ?? -1);
    if (base < 0) throw new LabError(`The broker did not say where the messages to ${topic} went.`);
    return batch.map((record, index) => ({ topic, ...record, offset: base + index }));
  }

  /** Whether the services refuse what is not signed. */
  get isSecure(): boolean {
    return this.security !== undefined;
  }

  /** The same records as the sender would sign them; without security as they are. */
  signed(sender: Sender, topic: string, records: readonly OutgoingRecord[]): readonly OutgoingRecord[] {
    if (!this.security) return records;
    const key = this.security.signingKeys.signingKey(sender);
    return records.map((record) => {
      const signature = signatureOf(
        { ...record, topic, sender, cluster: this.wire.cluster, signedAt: Date.now() },
        key,
      );
      return { ...record, headers: { ...record.headers, [SIGNATURE_HEADER]: signature } };
    });
  }

  /** Reads the messages between two positions, topic by topic; without `from`, from the oldest message. */
  async read(topics: readonly string[], from: Positions | undefined, to: Positions): Promise<TappedMessage[]> {
    const group = `concordat-lab-${randomUUID()}`;
    const consumer = this.kafka.consumer({ groupId: group, allowAutoTopicCreation: false });
    const found: TappedMessage[] = [];
    const missing = new Map([...to].filter(([key, end]) => end > (from?.get(key) ?? 0)));
    if (missing.size === 0) return found;
    try {
      await this.readUntil(consumer, topics, { from, to, missing, found });
    } finally {
      await consumer.disconnect();
      await this.admin.deleteGroups([group]).catch(() => undefined); // the broker drops it later by itself
    }
    if (missing.size === 0) return found;
    throw new LabError(`${[...missing.keys()].join(', ')} could not be read within ${READ_TIMEOUT_MS / 1000} s.`);
  }

  private async readUntil(
    consumer: Consumer,
    topics: readonly string[],
    { from, to, missing, found }: Reading,
  ): Promise<void> {
    const take = ({ batch }: EachBatchPayload): Promise<void> => {
      const key = positionKey(batch.topic, batch.partition);
      const end = to.get(key) ?? 0;
      for (const message of batch.messages) {
        const offset = Number(message.offset);
        if (offset < end && offset >= (from?.get(key) ?? 0)) found.push(tapped(batch, message, offset));
        if (offset >= end - 1) missing.delete(key);
      }
      return Promise.resolve();
    };
    await consumer.connect();
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await consumer.run({ autoCommit: false, eachBatch: take });
    for (const [key, offset] of from ?? []) {
      const { topic, partition } = placeOf(key);
      if (topics.includes(topic)) consumer.seek({ topic, partition, offset: String(offset) });
    }
    await waitUntil(() => missing.size === 0, { timeoutMs: READ_TIMEOUT_MS, pollMs: 20 });
  }
}

interface Reading {
  readonly from: Positions | undefined;
  readonly to: Positions;
  /** partitions whose end has not been reached */
  readonly missing: Map<string, number>;
  readonly found: TappedMessage[];
}

type Batch = EachBatchPayload['batch'];

function tapped({ topic, partition }: Batch, message: Batch['messages'][number], offset: number): TappedMessage {
  const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)] as const);
  const { key, value } = message;
  return { topic, partition, offset, key, value, headers: Object.fromEntries(headers) };
}

export function positionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

function placeOf(key: string): { readonly topic: string; readonly partition: number } {
  const slash = key.lastIndexOf('/');
  return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)) };
}
