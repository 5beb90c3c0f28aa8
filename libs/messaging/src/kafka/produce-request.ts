import { kafkajsFile } from './kafkajs.js';

/** A message as the producer of kafkajs hands it on. */
export interface ProducedMessage {
  readonly key?: Buffer | string | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly timestamp?: string;
}

export interface ProducedPartition {
  readonly partition: number;
  readonly firstSequence?: number;
  readonly messages: readonly ProducedMessage[];
}

export interface ProduceOptions {
  readonly acks: number;
  readonly timeout: number;
  readonly compression?: number;
  readonly transactionalId?: string | null;
  readonly producerId?: unknown;
  readonly producerEpoch?: number;
  readonly topicData: readonly { readonly topic: string; readonly partitions: readonly ProducedPartition[] }[];
}

/** kafkajs puts the header of the request in front of it. */
interface EncodedRequest {
  readonly buf: Buffer;
  readonly buffer: Buffer;
  size(): number;
}

type MakeRequest = (options: ProduceOptions) => { request: { encode: () => Promise<EncodedRequest> } };

interface ProduceDefinition {
  protocol: (version: { version: number }) => MakeRequest | undefined;
}

/** The versions of the request that differ only in their answers. */
const FIRST_VERSION = 3;
const LAST_VERSION = 7;
const NO_PRODUCER_ID = -1;
const MAGIC = 2;
/** From the epoch of the leader to the checksum, which covers the rest. */
const BATCH_HEAD_BYTES = 4 + 1 + 4;
/** From the attributes to the number of records. */
const BATCH_BODY_BYTES = 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4;
/** First offset and length, before the batch. */
const BATCH_FRAME_BYTES = 8 + 4;

type Checksum = (bytes: Buffer) => number;
let loadedChecksum: Checksum | undefined;

function crc32C(bytes: Buffer): number {
  loadedChecksum ??= kafkajsFile('protocol/recordBatch/crc32C/index.js') as Checksum;
  return loadedChecksum(bytes);
}

let isInstalled = false;

/**
 * kafkajs 2.2.4 writes each record, batch, partition, topic and request into a buffer of its own and copies it into the
 * next: 15 buffers for two messages, a tenth of a millisecond. This writes the same bytes into one. What the bus does
 * not use (compression, transactions, timestamps of the caller) is left to kafkajs.
 */
export function writeProduceRequestsInOnePass(): void {
  if (isInstalled) return;
  isInstalled = true;
  const definition = kafkajsFile('protocol/requests/produce/index.js') as ProduceDefinition;
  const { protocol } = definition;
  definition.protocol = ({ version }) => {
    const make = protocol({ version });
    if (!make || version < FIRST_VERSION || version > LAST_VERSION) return make;
    return (options) => {
      const made = make(options);
      if (!isPlain(options)) return made;
      made.request.encode = () => {
        const bytes = encodeProduce(options, Date.now());
        return Promise.resolve({ buf: bytes, buffer: bytes, size: () => bytes.length });
      };
      return made;
    };
  };
}

function isPlain({
  compression = 0,
  transactionalId,
  producerId = NO_PRODUCER_ID,
  topicData,
}: ProduceOptions): boolean {
  if (compression !== 0 || transactionalId != null || Number(producerId) !== NO_PRODUCER_ID) return false;
  return topicData.every(({ partitions }) => partitions.every(({ messages }) => messages.every(isPlainMessage)));
}

function isPlainMessage({ key, value, headers, timestamp }: ProducedMessage): boolean {
  if (timestamp !== undefined || !(value === null || Buffer.isBuffer(value))) return false;
  if (!(key == null || typeof key === 'string' || Buffer.isBuffer(key))) return false;
  return headers === undefined || Object.values(headers).every((text) => typeof text === 'string');
}

/**
 * A Produce request of version 3 to 7 without its header.
 *
 * @param now written as the time of each record, in milliseconds since 1970
 */
export function encodeProduce(options: ProduceOptions, now: number): Buffer {
  const { acks, timeout, producerEpoch = 0, topicData } = options;
  let sizeBytes = 2 + 2 + 4 + 4;
  const sizes: number[][] = [];
  for (const { topic, partitions } of topicData) {
    sizeBytes += 2 + Buffer.byteLength(topic) + 4;
    for (const { messages } of partitions) {
      const bodies = messages.map(recordBodyBytes);
      sizes.push(bodies);
      sizeBytes += 4 + 4 + batchBytes(bodies);
    }
  }
  const writer = new Writer(sizeBytes);
  writer.int16(-1); // no transaction
  writer.int16(acks);
  writer.int32(timeout);
  writer.int32(topicData.length);
  let place = 0;
  for (const { topic, partitions } of topicData) {
    writer.int16(Buffer.byteLength(topic));
    writer.text(topic);
    writer.int32(partitions.length);
    for (const partition of partitions) writeBatch(writer, partition, sizes[place++]!, producerEpoch, now);
  }
  return writer.bytes;
}

function writeBatch(
  writer: Writer,
  { partition, messages, firstSequence = 0 }: ProducedPartition,
  bodies: readonly number[],
  producerEpoch: number,
  now: number,
): void {
  const bytes = batchBytes(bodies);
  writer.int32(partition);
  writer.int32(bytes);
  writer.int64(0); // first offset; the broker sets it
  writer.int32(bytes - BATCH_FRAME_BYTES);
  writer.int32(0); // epoch of the leader
  writer.byte(MAGIC);
  const checksumAt = writer.at;
  writer.int32(0);
  const bodyAt = writer.at;
  writer.int16(0); // attributes
  writer.int32(messages.length - 1);
  writer.int64(now);
  writer.int64(now);
  writer.int64(NO_PRODUCER_ID);
  writer.int16(producerEpoch);
  writer.int32(firstSequence);
  writer.int32(messages.length);
  for (let offset = 0; offset < messages.length; offset++) {
    writeRecord(writer, messages[offset]!, offset, bodies[offset]!);
  }
  writer.bytes.writeUInt32BE(crc32C(writer.bytes.subarray(bodyAt, writer.at)), checksumAt);
}

function writeRecord(
  writer: Writer,
  { key, value, headers = {} }: ProducedMessage,
  offset: number,
  body: number,
): void {
  writer.varint(body);
  writer.byte(0); // attributes
  writer.varint(0); // time since the first record
  writer.varint(offset);
  writer.sized(key);
  writer.sized(value);
  const names = Object.keys(headers);
  writer.varint(names.length);
  for (const name of names) {
    writer.sized(name);
    writer.sized(headers[name] as string);
  }
}

function batchBytes(bodies: readonly number[]): number {
  let bytes = BATCH_FRAME_BYTES + BATCH_HEAD_BYTES + BATCH_BODY_BYTES;
  for (const body of bodies) bytes += varintBytes(body) + body;
  return bytes;
}

function recordBodyBytes({ key, value, headers = {} }: ProducedMessage, offset: number): number {
  const names = Object.keys(headers);
  let bytes = 1 + 1 + varintBytes(offset) + sizedBytes(key) + sizedBytes(value) + varintBytes(names.length);
  for (const name of names) bytes += sizedBytes(name) + sizedBytes(headers[name] as string);
  return bytes;
}

function lengthOf(value: Buffer | string): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length;
}

function sizedBytes(value: Buffer | string | null | undefined): number {
  if (value == null) return varintBytes(-1);
  const length = lengthOf(value);
  return varintBytes(length) + length;
}

/** Small negative numbers become small positive ones, too. */
function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value) >>> 7; rest !== 0; rest >>>= 7) bytes++;
  return bytes;
}

/** Writes into a buffer whose size was counted before. */
class Writer {
  readonly bytes: Buffer;
  at = 0;

  constructor(sizeBytes: number) {
    this.bytes = Buffer.allocUnsafe(sizeBytes);
  }

  byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  int16(value: number): void {
    this.at = this.bytes.writeInt16BE(value, this.at);
  }

  int32(value: number): void {
    this.at = this.bytes.writeInt32BE(value, this.at);
  }

  /** @param value a whole number that a double holds exactly */
  int64(value: number): void {
    this.at = this.bytes.writeInt32BE(Math.floor(value / 2 ** 32), this.at);
    this.at = this.bytes.writeUInt32BE(value >>> 0, this.at);
  }

  varint(value: number): void {
    let rest = zigzag(value);
    for (; rest > 0x7f; rest >>>= 7) this.byte((rest & 0x7f) | 0x80);
    this.byte(rest);
  }

  text(value: string): void {
    this.at += this.bytes.write(value, this.at);
  }

  /** The length, then the bytes; -1 for null. */
  sized(value: Buffer | string | null | undefined): void {
    if (value == null) return this.varint(-1);
    this.varint(lengthOf(value));
    if (typeof value === 'string') this.text(value);
    else this.at += value.copy(this.bytes, this.at);
  }
}
