import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { VirtualClock } from '@concordat/foundation';
import type { Disbelief, Signed } from '../contract/authenticity.js';
import { encodeMessage, messageKey, type EncodedMessage } from '../contract/codec.js';
import { Namespace } from '../contract/namespace.js';
import { signBatch } from '../contract/publishing.js';
import { decideTopic } from '../contract/topics.js';
import { MAXIMUM_LEAVES } from './hash-tree.js';
import type { MessageKey } from './key-set.js';
import { KnownBatches } from './known-batches.js';
import type { MessageSignatures } from './message-signatures.js';
import { MAXIMUM_HEADER_BYTES, SIGNATURE_HEADER } from './signature-header.js';
import { KeyFiles } from './testing/key-files.js';

const namespace = new Namespace({ cluster: 'local' });
const SENDER = { sender: 'participant:bank-a' };
const REFUSED = { reason: 'INVALID_SIGNATURE' };

function entryOf(place: number): EncodedMessage {
  const id = `018f2d3c-1111-7abc-8def-${String(place).padStart(12, '0')}`;
  const message: ProtocolMessage = {
    type: 'vote',
    transactionId: id,
    branchId: id,
    participant: 'bank-a',
    vote: 'yes',
    results: [],
  };
  return { topic: namespace.topic('replies'), key: messageKey(message), value: encodeMessage('local', message) };
}

const entriesOf = (count: number): EncodedMessage[] => Array.from({ length: count }, (_, place) => entryOf(place));
const headerOf = ({ headers }: EncodedMessage): string => headers![SIGNATURE_HEADER]!;
const fieldsOf = (record: EncodedMessage): string[] => headerOf(record).split(';');
const withHeader = (record: EncodedMessage, header: string): EncodedMessage => ({
  ...record,
  headers: { [SIGNATURE_HEADER]: header },
});

describe('records that are signed together', () => {
  let keys: KeyFiles;
  let clock: VirtualClock;
  let reader: MessageSignatures;

  beforeEach(() => {
    clock = new VirtualClock(Date.parse('2027-01-15T12:00:00Z'));
    keys = new KeyFiles({ clock });
    keys.add('node');
    keys.add('bank-a', { senders: ['participant:bank-a'] });
    reader = keys.signatures('node', 'coordinator');
  });

  afterEach(() => keys.remove());

  const batchOf = (count: number): readonly EncodedMessage[] =>
    signBatch(keys.signatures('bank-a', 'participant:bank-a'), entriesOf(count));
  const verified = (record: EncodedMessage, by = reader): Signed | Disbelief => by.verify(record);

  it('have one signature for 64, and are believed one by one, in any order', () => {
    for (const count of [2, 3, 5, MAXIMUM_LEAVES, MAXIMUM_LEAVES + 1, 130]) {
      const batch = batchOf(count);
      for (const record of batch.toReversed()) expect(verified(record)).toMatchObject(SENDER);
      expect(batch.every((record) => headerOf(record).length <= MAXIMUM_HEADER_BYTES)).toBe(true);
      const signatures = new Set(batch.map((record) => fieldsOf(record).slice(0, -2).join(';')));
      expect(signatures.size).toBeGreaterThanOrEqual(Math.ceil(count / MAXIMUM_LEAVES));
      expect(signatures.size).toBeLessThanOrEqual(Math.ceil(count / MAXIMUM_LEAVES) + 1);
    }
  });

  it('are believed by a reader that gets one of them', () => {
    for (const record of batchOf(7)) {
      expect(verified(record, keys.signatures('node', 'coordinator'))).toMatchObject(SENDER);
    }
  });

  it('are signed in the form for one when there is one', () => {
    const [alone] = batchOf(1);
    expect(fieldsOf(alone!)[0]).toBe('1');
    expect(fieldsOf(batchOf(2)[0]!)[0]).toBe('2');
    expect(fieldsOf(batchOf(MAXIMUM_LEAVES + 1).at(-1)!)[0]).toBe('1');
  });

  it('are not signed together with a shared secret, which is faster', () => {
    keys.add('shared', { algorithm: 'hmac-sha256', senders: ['coordinator', 'participant:*'] });
    const batch = signBatch(keys.signatures('shared', 'participant:bank-a'), entriesOf(3));
    expect(batch.map((record) => fieldsOf(record)[0])).toEqual(['1', '1', '1']);
    const [, , ...rest] = fieldsOf(batchOf(2)[0]!);
    clock.advance(1_001);
    expect(verified(withHeader(entryOf(0), ['2', 'shared', ...rest].join(';')))).toMatchObject(REFUSED);
  });

  it('leave dead letters without a signature', () => {
    const letter = { ...entryOf(9), headers: { 'concordat-reason': 'NOT_JSON' } };
    const [first, second, third] = signBatch(keys.signatures('bank-a', 'participant:bank-a'), [
      entryOf(0),
      letter,
      entryOf(1),
    ]);
    expect(second).toEqual(letter);
    for (const record of [first!, third!]) expect(verified(record)).toMatchObject(SENDER);
  });

  it.each([
    ['before the batch is known', false],
    ['when it is known', true],
  ])('are refused when anything of them was changed, %s', (_, isKnown) => {
    const batch = batchOf(5);
    const [record, other] = batch as [EncodedMessage, EncodedMessage];
    if (isKnown) expect(verified(record)).toMatchObject(SENDER);
    const [version, id, sender, at, count, signature, index, path] = fieldsOf(record);
    const [, , , , , , otherIndex, otherPath] = fieldsOf(other);
    const foreign = fieldsOf(batchOf(6)[0]!);
    const changes: readonly (readonly (string | undefined)[])[] = [
      [version, id, sender, at, count, signature, otherIndex, path],
      [version, id, sender, at, count, signature, index, otherPath],
      [version, id, sender, at, count, signature, otherIndex, otherPath],
      [version, id, sender, at, '4', signature, index, path],
      [version, id, sender, at, '6', signature, index, path],
      [version, id, sender, at, '65', signature, index, path],
      [version, id, sender, at, '05', signature, index, path],
      [version, id, sender, at, count, signature, '00', path],
      [version, id, sender, at, count, signature, '5', path],
      [version, id, sender, at, count, foreign[5], index, path],
      [version, id, sender, at, count, signature, index, ''],
      [version, id, sender, at, count, signature, index],
      [version, id, sender, at, count, signature, index, path, path],
      [version, id, sender, at, count, signature, index, path!.slice(0, 43)],
      [version, id, sender, at, count, signature, index, `${path!.slice(0, -1)}_`],
      [version, id, sender, String(Number(at) + 1), count, signature, index, path],
      [version, id, 'coordinator', at, count, signature, index, path],
      [version, 'node', sender, at, count, signature, index, path],
      ['1', id, sender, at, signature],
      ['1', id, sender, at, count, signature, index, path],
      ['3', id, sender, at, count, signature, index, path],
    ];
    const altered: readonly EncodedMessage[] = [
      ...changes.map((fields) => withHeader(record, fields.join(';'))),
      withHeader(entryOf(6), headerOf(record)),
      withHeader(other, headerOf(record)),
      { ...record, topic: namespace.topic(decideTopic('bank-a')) },
      { ...record, topic: 'concordat.other.replies' },
      { ...record, key: 'another' },
      { ...record, key: null },
      { ...record, value: null },
      { ...record, value: Buffer.concat([record.value!, Buffer.from(' ')]) },
    ];
    for (const one of altered) expect([headerOf(one), verified(one)]).toMatchObject([headerOf(one), REFUSED]);
    expect(verified(record)).toMatchObject(SENDER);
  });

  it('are refused in another cluster', () => {
    const other = keys.signatures('node', 'coordinator', { cluster: 'other' });
    for (const record of batchOf(3)) expect(verified(record, other)).toMatchObject(REFUSED);
  });

  it('count no longer when their key is retired, has another secret or has ended, also if the batch is known', () => {
    const [first, second, third] = batchOf(3);
    expect(verified(first!)).toMatchObject(SENDER);
    keys.retire('bank-a');
    clock.advance(1_001);
    expect(verified(second!)).toMatchObject({ reason: 'UNKNOWN_KEY' });
    keys.add('bank-a', { senders: ['participant:bank-a'] });
    clock.advance(1_001);
    expect(verified(third!)).toMatchObject(REFUSED);
    keys.add('bank-a-2', { senders: ['participant:bank-a'], until: '2027-01-15' });
    clock.advance(1_001);
    const ending = signBatch(keys.signatures('bank-a-2', 'participant:bank-a'), entriesOf(2));
    expect(verified(ending[0]!)).toMatchObject(SENDER);
    clock.advance(43_200_000);
    expect(verified(ending[1]!)).toMatchObject({ reason: 'UNKNOWN_KEY' });
  });

  it('say only what their sender may say', () => {
    keys.add('bank-b', { senders: ['participant:bank-b'] });
    clock.advance(1_001);
    const batch = signBatch(keys.signatures('bank-b', 'participant:bank-b'), entriesOf(2));
    const [version, , ...rest] = fieldsOf(batch[0]!);
    expect(verified(batch[0]!)).toMatchObject({ sender: 'participant:bank-b' });
    expect(verified(withHeader(batch[0]!, [version, 'bank-a', ...rest].join(';')))).toMatchObject(REFUSED);
  });
});

describe('batches that are known', () => {
  it('are bounded, and the oldest are forgotten first', () => {
    const [key, other] = [{} as MessageKey, {} as MessageKey];
    const known = new KnownBatches(2);
    const [root, wrong] = ['root', 'another'];
    for (const name of ['a', 'b', 'a', 'c']) known.remember(name, root, key);
    expect(['a', 'b', 'c'].map((name) => known.hasRoot(name, root, key))).toEqual([true, undefined, true]);
    expect([known.hasRoot('a', wrong, key), known.hasRoot('a', root, other)]).toEqual([false, undefined]);
  });
});
