import { describe, expect, it } from '@jest/globals';
import { LIMITS, type ProtocolMessage } from '@concordat/commit-protocol';
import { randomInteger, randomItem, SeededRandom } from '@concordat/foundation';
import { decodeMessage, encodeMessage, messageKey } from './codec.js';
import { MessageDecodeError } from './errors.js';

const transactionId = '018f2d3c-1111-7abc-8def-0123456789ab';
const branchId = '018f2d3c-2222-7abc-8def-0123456789ab';
const cluster = 'local';
const branch = { transactionId, branchId, participant: 'bank-a' };
const operations = [{ operation: 'debit', payload: { account: 'acc-1', amount: 10, tags: [null, 'x'] }, keys: ['a'] }];

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const messages: ProtocolMessage[] = [
  {
    type: 'prepare',
    ...branch,
    protocol: '2pc',
    operations,
    deadline: 1_700_000_000_000,
    attempt: 0,
    epoch: { term: 3, index: 77 },
  },
  { type: 'commit-one-phase', ...branch, operations, deadline: 1_700_000_000_000, attempt: 2, traceparent },
  { type: 'decision', ...branch, decision: 'abort', attempt: 1 },
  { type: 'ruling', ...branch, ruling: 'commit', attempt: 3 },
  { type: 'unknown-old', ...branch },
  { type: 'vote', ...branch, vote: 'yes', results: [{ balance: 3 }, null] },
  {
    type: 'vote',
    ...branch,
    vote: 'no',
    results: [],
    error: { code: 'INSUFFICIENT_FUNDS', message: 'not enough ß€𝄞' },
  },
  { type: 'done', ...branch, end: 'heuristic-rollback' },
  { type: 'done', ...branch, end: 'committed', results: [1], error: { code: 'X', message: '' } },
  { type: 'inquiry', ...branch, gid: `concordat:local:${transactionId}:${branchId}` },
  { type: 'announce', participant: 'bank-a', operations: ['debit', 'credit'] },
  { type: 'announce', participant: 'bank-a', instance: 'bank-a-1', operations: ['debit'], leaving: true },
  { type: 'outcome', transactionId, outcome: 'mixed', decidedAt: 1, endedAt: 2, participants: ['bank-a'] },
];
const prepare = messages[0]!;
const inquiry = { v: 1, cluster, type: 'inquiry', ...branch };

function gidOf(ofCluster: string, ofBranch: string): string {
  return `concordat:${ofCluster}:${transactionId}:${ofBranch}`;
}

function refusalOf(value: unknown): { reason: string; path: string | undefined } {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
  try {
    decodeMessage(cluster, bytes);
  } catch (error) {
    if (error instanceof MessageDecodeError) return { reason: error.reason, path: error.path };
    throw error;
  }
  throw new Error('the message was accepted');
}

describe('the codec', () => {
  it.each(messages.map((message) => [message.type, message] as const))('reads the %s that it wrote', (_, message) => {
    const wire = encodeMessage(cluster, message);
    expect(JSON.parse(wire.toString())).toEqual({ v: 1, cluster, ...message });
    expect(decodeMessage(cluster, wire)).toEqual(message);
  });

  it('takes the transaction as the key, and the participant of an announcement', () => {
    expect(messages.map(messageKey)).toEqual(
      messages.map(({ type }) => (type === 'announce' ? 'bank-a' : transactionId)),
    );
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'NOT_JSON', undefined],
    ['text', Buffer.from('not json'), 'NOT_JSON', undefined],
    ['wrong UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'NOT_UTF8', undefined],
    ['a list', [], 'NOT_A_MESSAGE', undefined],
    ['null', null, 'NOT_A_MESSAGE', undefined],
    ['no version', prepare, 'UNKNOWN_VERSION', 'v'],
    ['a later version', { ...prepare, v: 2 }, 'UNKNOWN_VERSION', 'v'],
    ['a version as text', { ...prepare, v: '1' }, 'UNKNOWN_VERSION', 'v'],
    ['no cluster', { v: 1, ...prepare }, 'INVALID_FIELD', 'cluster'],
    ['a cluster that is no text', { v: 1, cluster: [cluster], ...prepare }, 'INVALID_FIELD', 'cluster'],
    ['another cluster', { v: 1, cluster: 'staging', ...prepare }, 'OTHER_CLUSTER', 'cluster'],
    ['another cluster before all else', { v: 9, cluster: 'staging', type: 'x', y: 1 }, 'OTHER_CLUSTER', 'cluster'],
    ['the cluster in capitals', { v: 1, cluster: 'LOCAL', ...prepare }, 'OTHER_CLUSTER', 'cluster'],
    ['a gid of another cluster', { ...inquiry, gid: gidOf('staging', branchId) }, 'OTHER_CLUSTER', 'gid'],
    ['a gid of another branch', { ...inquiry, gid: gidOf(cluster, transactionId) }, 'INVALID_FIELD', 'gid'],
    ['a gid that is none', { ...inquiry, gid: '*' }, 'INVALID_FIELD', 'gid'],
    ['no type', { v: 1, cluster }, 'UNKNOWN_TYPE', 'type'],
    ['a type of later', { v: 1, cluster, ...prepare, type: 'precommit' }, 'UNKNOWN_TYPE', 'type'],
    ['a type that every object has', { v: 1, cluster, ...prepare, type: 'constructor' }, 'UNKNOWN_TYPE', 'type'],
    ['an unknown field', { v: 1, cluster, ...prepare, color: 'red' }, 'INVALID_FIELD', 'color'],
    [
      'an unknown field inside',
      { v: 1, cluster, ...prepare, epoch: { term: 1, index: 1, x: 1 } },
      'INVALID_FIELD',
      'epoch.x',
    ],
    ['a trace that is none', { v: 1, cluster, ...prepare, traceparent: '00-0-0-0' }, 'INVALID_FIELD', 'traceparent'],
    ['a protocol of later', { v: 1, cluster, ...prepare, protocol: '4pc' }, 'INVALID_FIELD', 'protocol'],
    ['three phases without acceptors', { v: 1, cluster, ...prepare, protocol: '3pc' }, 'INVALID_FIELD', 'acceptors'],
    ['two phases with acceptors', { v: 1, cluster, ...prepare, acceptors: [] }, 'INVALID_FIELD', 'acceptors'],
    ['a missing field', { v: 1, cluster, ...prepare, epoch: undefined }, 'INVALID_FIELD', 'epoch'],
    ['an id that is no UUID', { v: 1, cluster, ...prepare, branchId: '1' }, 'INVALID_FIELD', 'branchId'],
    [
      'an id in upper case',
      { v: 1, cluster, ...prepare, branchId: branchId.toUpperCase() },
      'INVALID_FIELD',
      'branchId',
    ],
    ['a wrong participant', { v: 1, cluster, ...prepare, participant: '../x' }, 'INVALID_FIELD', 'participant'],
    ['a negative attempt', { v: 1, cluster, ...prepare, attempt: -1 }, 'INVALID_FIELD', 'attempt'],
    ['a fractional attempt', { v: 1, cluster, ...prepare, attempt: 0.5 }, 'INVALID_FIELD', 'attempt'],
    ['a deadline beyond 2^53', { v: 1, cluster, ...prepare, deadline: 2 ** 60 }, 'INVALID_FIELD', 'deadline'],
    [
      'a key that is no text',
      { v: 1, cluster, ...prepare, operations: [operations[0], { ...operations[0], keys: ['a', 7] }] },
      'INVALID_FIELD',
      'operations[1].keys[1]',
    ],
    [
      'a payload that is missing',
      { v: 1, cluster, ...prepare, operations: [{ operation: 'debit', keys: [] }] },
      'INVALID_FIELD',
      'operations[0].payload',
    ],
    [
      'too many operations',
      { v: 1, cluster, ...prepare, operations: Array.from({ length: 257 }, () => operations[0]) },
      'INVALID_FIELD',
      'operations',
    ],
  ])('refuses %s', (_, value, reason, path) => {
    expect(refusalOf(value)).toEqual({ reason, path });
  });

  it('bounds the message, each payload and its depth', () => {
    const withPayload = (payload: unknown): unknown => ({
      v: 1,
      cluster,
      ...prepare,
      operations: [{ ...operations[0], payload }],
    });
    const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    const path = 'operations[0].payload';
    expect(refusalOf(withPayload('x'.repeat(LIMITS.payloadBytes)))).toEqual({ reason: 'INVALID_FIELD', path });
    expect(refusalOf(withPayload(nested(LIMITS.jsonDepth + 1)))).toEqual({ reason: 'INVALID_FIELD', path });
    expect(refusalOf(Buffer.alloc(LIMITS.messageBytes + 1, ' '))).toEqual({
      reason: 'TOO_LARGE',
      path: undefined,
    });
    const fits = [withPayload('x'.repeat(LIMITS.payloadBytes - 2)), withPayload(nested(LIMITS.jsonDepth))];
    for (const message of fits)
      expect(decodeMessage(cluster, Buffer.from(JSON.stringify(message))).type).toBe('prepare');
    const deep = Buffer.from(`{"v":1,"cluster":"local","type":"vote","results":${'['.repeat(1e6)}${']'.repeat(1e6)}}`);
    expect(refusalOf(deep).reason).toBe('INVALID_FIELD');
    const bottomless = '['.repeat(1e6) + ']'.repeat(1e6);
    expect(refusalOf(Buffer.from(`{"v":1,"cluster":"local","type":${bottomless}}`)).reason).toBe('UNKNOWN_TYPE');
    expect(refusalOf(Buffer.from(`{"v":{"x":${bottomless}}}`)).reason).toBe('UNKNOWN_VERSION');
  });

  it('refuses to write what it would not read', () => {
    const wrong = { ...prepare, attempt: -1 } as ProtocolMessage;
    const large = { type: 'vote', ...branch, vote: 'yes', results: ['x'.repeat(300_000)] } as const;
    expect(() => encodeMessage(cluster, wrong)).toThrow(
      expect.objectContaining({ reason: 'INVALID_FIELD', path: 'attempt' }),
    );
    expect(() => encodeMessage(cluster, large)).toThrow(
      expect.objectContaining({ reason: 'INVALID_FIELD', path: 'results' }),
    );
  });

  it('in production checks of its own messages only the size', () => {
    const wrong = { ...prepare, attempt: -1 } as ProtocolMessage;
    const wire = encodeMessage(cluster, wrong, false);
    expect(JSON.parse(wire.toString())).toMatchObject({ v: 1, cluster, attempt: -1 });
    expect(refusalOf(wire)).toEqual({ reason: 'INVALID_FIELD', path: 'attempt' });
    for (const message of messages) {
      expect(encodeMessage(cluster, message, false)).toEqual(encodeMessage(cluster, message, true));
    }
    const large = (results: string[]): ProtocolMessage => ({ type: 'vote', ...branch, vote: 'yes', results });
    expect(() => encodeMessage(cluster, large(['x'.repeat(300_000)]), false)).toThrow(
      expect.objectContaining({ reason: 'INVALID_FIELD', path: 'results' }),
    );
    expect(() => encodeMessage(cluster, large(['x'.repeat(LIMITS.messageBytes)]), false)).toThrow(
      expect.objectContaining({ reason: 'TOO_LARGE' }),
    );
  });

  it('answers mutated messages with a MessageDecodeError or a valid message, and nothing else', () => {
    const random = new SeededRandom(20_260_101);
    const wires = messages.map((message) => encodeMessage(cluster, message));
    let refused = 0;
    for (let run = 0; run < 8_000; run++) {
      const bytes = mutate(random, randomItem(random, wires), randomItem(random, wires));
      try {
        // what is accepted must survive the way back
        const message = decodeMessage(cluster, bytes);
        expect(decodeMessage(cluster, encodeMessage(cluster, message))).toEqual(message);
      } catch (error) {
        if (!(error instanceof MessageDecodeError)) throw error;
        expect(error.message.length).toBeLessThan(1_000);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(5_000);
  });
});

/** Damages bytes, structure or values of a message. */
function mutate(random: SeededRandom, wire: Buffer, other: Buffer): Buffer {
  const bytes = Buffer.from(wire);
  switch (randomInteger(random, 0, 5)) {
    case 0:
      for (let count = randomInteger(random, 1, 4); count > 0; count--) {
        bytes[randomInteger(random, 0, bytes.length - 1)] = randomInteger(random, 0, 255);
      }
      return bytes;
    case 1:
      return bytes.subarray(0, randomInteger(random, 0, bytes.length));
    case 2:
      return Buffer.concat([bytes.subarray(0, randomInteger(random, 0, bytes.length)), other]);
    case 3:
      return Buffer.from(JSON.stringify({ ...JSON.parse(wire.toString()), ...JSON.parse(other.toString()) }));
    case 4: {
      const fields = Object.entries(JSON.parse(wire.toString()) as object);
      fields.splice(randomInteger(random, 0, fields.length - 1), 1);
      return Buffer.from(JSON.stringify(Object.fromEntries(fields)));
    }
    default: {
      const strange = [null, true, -1, 1e308, '', '__proto__', [], {}, [[]], { v: 1 }, '\u0000', 'x'.repeat(9_000)];
      const fields = JSON.parse(wire.toString()) as Record<string, unknown>;
      const name = randomItem(random, [...Object.keys(fields), '__proto__', 'constructor', 'toString']);
      const text = JSON.stringify({ ...fields, [name]: randomItem(random, strange) });
      return Buffer.from(text);
    }
  }
}
