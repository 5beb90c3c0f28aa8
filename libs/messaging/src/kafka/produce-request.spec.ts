import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import {
  encodeProduce,
  writeProduceRequestsInOnePass,
  type ProduceOptions,
  type ProducedMessage,
} from './produce-request.js';

type Made = { request: { encode: () => Promise<{ buffer: Buffer; size: () => number }> } };
type Definition = { protocol: (version: { version: number }) => (options: ProduceOptions) => Made };

const load = createRequire(import.meta.url);
const definition = load('kafkajs/src/protocol/requests/produce/index.js') as Definition;
/** kafkajs' own, from before it is replaced */
const original = definition.protocol;
const NOW = 1_764_440_000_123;

const value = (text: string): Buffer => Buffer.from(text);
const request = (messages: readonly ProducedMessage[], topic = 'concordat.local.replies'): ProduceOptions => ({
  acks: -1,
  timeout: 10_000,
  compression: 0,
  producerId: -1,
  producerEpoch: 0,
  topicData: [{ topic, partitions: [{ partition: 0, firstSequence: 0, messages }] }],
});

async function byKafkajs(options: ProduceOptions, version = 7): Promise<Buffer> {
  return (await original({ version })(options).request.encode()).buffer;
}

describe('a Produce request', () => {
  beforeAll(() => {
    jest.spyOn(Date, 'now').mockReturnValue(NOW);
    writeProduceRequestsInOnePass();
  });

  afterAll(() => {
    jest.restoreAllMocks();
  });

  it.each<[string, readonly ProducedMessage[]]>([
    ['one message', [{ key: '018f2d3c-1111-7abc-8def-0123456789ab', value: value('{"v":1}') }]],
    ['no key and no value', [{ key: null, value: null }, { value: value('') }]],
    ['a key of bytes', [{ key: value('k'), value: value('v') }]],
    ['text beyond ASCII', [{ key: 'ß€𝄞', value: value('ß€𝄞'), headers: { 'größe-€': 'ß€𝄞', leer: '' } }]],
    ['many messages', Array.from({ length: 300 }, (_, n) => ({ key: `k-${n}`, value: value(`v-${n}`) }))],
    [
      'lengths around each size of a varint',
      [63, 64, 8_191, 8_192, 300_000].map((n) => ({ value: Buffer.alloc(n, 1) })),
    ],
  ])('has the bytes that kafkajs writes: %s', async (_, messages) => {
    for (const version of [3, 7]) {
      const wanted = await byKafkajs(request(messages), version);
      expect(encodeProduce(request(messages), NOW).equals(wanted)).toBe(true);
      const { buffer, size } = await definition.protocol({ version })(request(messages)).request.encode();
      expect([buffer.equals(wanted), size()]).toEqual([true, wanted.length]);
    }
  });

  it('has them for invented topics, partitions and messages', async () => {
    const random = new SeededRandom(7);
    const bytes = (): Buffer => Buffer.alloc(randomInteger(random, 0, 400), randomInteger(random, 0, 255));
    const messages = (): ProducedMessage[] =>
      Array.from({ length: randomInteger(random, 1, 5) }, () => ({
        key: [null, 'key', bytes()][randomInteger(random, 0, 2)]!,
        value: randomInteger(random, 0, 9) === 0 ? null : bytes(),
        ...(randomInteger(random, 0, 3) === 0 && { headers: { reason: 'NOT_JSON', at: 'x'.repeat(100) } }),
      }));
    for (let run = 0; run < 500; run++) {
      const topicData = Array.from({ length: randomInteger(random, 1, 4) }, (_, topic) => ({
        topic: `topic-${topic}`,
        partitions: Array.from({ length: randomInteger(random, 1, 3) }, (_item, partition) => ({
          partition,
          messages: messages(),
        })),
      }));
      const options = { acks: -1, timeout: 30_000, topicData, producerEpoch: randomInteger(random, 0, 9) };
      expect(encodeProduce(options, NOW).equals(await byKafkajs(options))).toBe(true);
    }
  });

  it.each<[string, Partial<ProduceOptions>]>([
    ['a transaction', { transactionalId: 'tx' }],
    ['an idempotent producer', { producerId: 7 }],
    ['a time of the caller', request([{ value: value('v'), timestamp: '1764440000000' }])],
    ['headers that are no text', request([{ value: value('v'), headers: { many: ['a', 'b'] } }])],
    ['a value of text', request([{ value: 'text' as unknown as Buffer }])],
  ])('is left to kafkajs with %s', async (_, special) => {
    const options = { ...request([{ value: value('v') }]), ...special };
    const { buffer } = await definition.protocol({ version: 7 })(options).request.encode();
    expect(buffer.equals(await byKafkajs(options))).toBe(true);
  });

  it('is left to kafkajs in versions with another form', () => {
    expect(definition.protocol({ version: 2 })).toBe(original({ version: 2 }));
  });
});
