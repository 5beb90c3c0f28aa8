import { createRequire } from 'node:module';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { allocateEncodersFromPool } from './encoder-buffers.js';

interface Encoded {
  readonly buffer: Buffer;
}

const load = createRequire(import.meta.url);
const createRequest = load('kafkajs/src/protocol/request.js') as (parts: object) => Promise<Encoded>;
const partition = { partition: 0, fetchOffset: '123456789012', currentLeaderEpoch: -1, maxBytes: 1_000_000 };
const fetchOptions = (topics: number): object => ({
  replicaId: -1,
  maxWaitTime: 500,
  minBytes: 1,
  maxBytes: 10_000_000,
  isolationLevel: 1,
  rackId: '',
  topics: Array.from({ length: topics }, (_, n) => ({ topic: `concordat.local.größe.${n}`, partitions: [partition] })),
});

function encode(name: string, version: number, options: object): Promise<Encoded> {
  const make = load(`kafkajs/src/protocol/requests/${name}/v${version}/request.js`) as (options: object) => object;
  return createRequest({ request: make(options), correlationId: 7, clientId: 'test' });
}

async function requests(): Promise<Buffer[]> {
  const group = { groupId: 'g', groupGenerationId: 3, generationId: 3, memberId: 'm' };
  const encoded = await Promise.all([
    encode('fetch', 11, fetchOptions(2)),
    encode('fetch', 11, fetchOptions(500)),
    encode('heartbeat', 3, group),
    encode('metadata', 6, { topics: ['a', 'b'.repeat(200)], allowAutoTopicCreation: false }),
    encode('offsetCommit', 5, {
      ...group,
      topics: [{ topic: 't', partitions: [{ partition: 0, offset: '99', metadata: null }] }],
    }),
    encode('apiVersions', 2, {}),
  ]);
  return encoded.map(({ buffer }) => Buffer.from(buffer));
}

describe("the buffers of kafkajs' requests", () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('come from the pool, and hold the same bytes', async () => {
    const allocated = jest.spyOn(Buffer, 'alloc');
    const before = await requests();
    expect(allocated.mock.calls.some(([sizeBytes]) => sizeBytes > 0)).toBe(true);
    allocateEncodersFromPool();
    allocated.mockClear();
    const after = await requests();
    expect(allocated.mock.calls.every(([sizeBytes]) => sizeBytes === 0)).toBe(true);
    expect(after.map((bytes) => bytes.toString('hex'))).toEqual(before.map((bytes) => bytes.toString('hex')));
    expect(after.every(({ length }) => length > 0)).toBe(true);
  });
});
