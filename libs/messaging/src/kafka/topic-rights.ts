import type { Kafka } from 'kafkajs';
import { withSeedBroker } from './seed-broker.js';
import { kafkajsFile } from './kafkajs.js';

/** Operations on a topic that a broker tells whether this user may do them. */
export type TopicRight = 'Read' | 'Write';

/** The bits of Kafka's `AclOperation`. */
const BITS: Readonly<Record<TopicRight, number>> = { Read: 1 << 3, Write: 1 << 4 };
/** The broker has not said it. */
const UNTOLD = -0x80000000;
const METADATA_KEY = 3;
/** The first version with the rights, and the last whose strings and arrays are those of all others before it. */
const METADATA_VERSION = 8;

interface Encoder {
  writeArray(texts: readonly string[]): this;
  writeBoolean(value: boolean): this;
}

export interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readString(): string | null;
  readBoolean(): boolean;
  readArray<T>(read: (decoder: Decoder) => T): T[];
}

/**
 * What of reading and writing this user may do with topics, as the broker itself says; undefined for a topic of which it
 * does not say it. kafkajs asks in a version of the request that does not have the question.
 */
export async function topicRights(
  client: Kafka,
  topics: readonly string[],
): Promise<ReadonlyMap<string, ReadonlySet<TopicRight> | undefined>> {
  const rights = await withSeedBroker(client, async ({ versions, connectionPool }) => {
    const known = versions?.[METADATA_KEY];
    if (!known || known.minVersion > METADATA_VERSION || known.maxVersion < METADATA_VERSION) return undefined;
    return await connectionPool.send<ReadonlyMap<string, ReadonlySet<TopicRight> | undefined>>(rightsRequest(topics));
  });
  return rights ?? new Map();
}

function rightsRequest(topics: readonly string[]) {
  const NewEncoder = kafkajsFile('protocol/encoder.js') as new () => Encoder;
  const NewDecoder = kafkajsFile('protocol/decoder.js') as new (bytes: Buffer) => Decoder;
  return {
    request: {
      apiKey: METADATA_KEY,
      apiVersion: METADATA_VERSION,
      apiName: 'Metadata',
      // creates no topic, asks nothing about the cluster, and for the rights
      encode: async () =>
        new NewEncoder().writeArray(topics).writeBoolean(false).writeBoolean(false).writeBoolean(true),
    },
    response: {
      decode: async (bytes: Buffer) => readRights(new NewDecoder(bytes)),
      parse: async (rights: unknown) => rights,
    },
  };
}

/** A Metadata response of version 8. */
export function readRights(decoder: Decoder): Map<string, ReadonlySet<TopicRight> | undefined> {
  decoder.readInt32(); // throttle time
  decoder.readArray((broker) => [broker.readInt32(), broker.readString(), broker.readInt32(), broker.readString()]);
  decoder.readString(); // cluster
  decoder.readInt32(); // controller
  const topics = decoder.readArray((topic) => {
    topic.readInt16(); // error
    const name = topic.readString() ?? '';
    topic.readBoolean(); // internal
    topic.readArray((partition) => {
      partition.readInt16();
      for (let field = 0; field < 3; field++) partition.readInt32(); // partition, leader, its epoch
      for (let list = 0; list < 3; list++) partition.readArray((replica) => replica.readInt32());
    });
    return [name, rightsOf(topic.readInt32())] as const;
  });
  return new Map(topics);
}

function rightsOf(bits: number): ReadonlySet<TopicRight> | undefined {
  if (bits === UNTOLD) return undefined;
  const all = Object.keys(BITS) as TopicRight[];
  return new Set(all.filter((right) => (bits & BITS[right]) !== 0));
}
