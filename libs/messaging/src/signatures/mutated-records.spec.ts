import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { randomInteger, randomItem, SeededRandom, silentLogger } from '@concordat/foundation';
import { encodeMessage, messageKey, type EncodedMessage } from '../contract/codec.js';
import { MessageIntake } from '../contract/intake.js';
import { Namespace } from '../contract/namespace.js';
import { SIGNATURE_HEADER } from './signature-header.js';
import { KeyFiles } from './testing/key-files.js';

const IS_NIGHTLY = process.env['CONCORDAT_NIGHTLY'] === '1';
/** Of `npm run test:nightly` all, otherwise what fits into the suite: Ed25519 takes fifty times as long. */
const KINDS = [
  { how: 'each by Ed25519', algorithm: 'ed25519', together: false, runs: IS_NIGHTLY ? 100_000 : 10_000 },
  { how: 'together by Ed25519', algorithm: 'ed25519', together: true, runs: IS_NIGHTLY ? 100_000 : 20_000 },
  { how: 'each with a shared secret', algorithm: 'hmac-sha256', together: false, runs: 100_000 },
] as const;
const TIMEOUT_MS = 300_000;
const transactionId = '018f2d3c-1111-7abc-8def-0123456789ab';
const branchId = '018f2d3c-2222-7abc-8def-0123456789ab';
const branch = { transactionId, branchId, participant: 'bank-a' };
const messages: readonly ProtocolMessage[] = [
  { type: 'vote', ...branch, vote: 'yes', results: [{ balance: 3 }] },
  { type: 'done', ...branch, end: 'committed' },
  { type: 'announce', participant: 'bank-a', operations: ['debit', 'credit'] },
];
const TOPICS = ['outcomes', 'dead-letter', 'decide.bank-a', 'prepare.bank-a', 'replies.', 'Replies', ''];
const random = new SeededRandom(20_270_115);

function mutateBytes(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  switch (randomInteger(random, 0, 3)) {
    case 0:
      return copy.subarray(0, randomInteger(random, 0, bytes.length - 1));
    case 1:
      return Buffer.concat([copy, Buffer.from([randomInteger(random, 0, 255)])]);
    default:
      copy[randomInteger(random, 0, copy.length - 1)]! ^= randomInteger(random, 1, 255);
      return copy;
  }
}

/** A field of the header is dropped, doubled, emptied, counted up, or that of another record. */
function mutateFields(header: string, foreign: string): string {
  const [fields, others] = [header.split(';'), foreign.split(';')];
  const place = randomInteger(random, 0, fields.length - 1);
  const field = fields[place]!;
  const changed: readonly string[][] = [
    [],
    [field, field],
    [''],
    [String(Number(field) + 1)],
    [`0${field}`],
    [others[place] ?? ''],
  ];
  return fields.toSpliced(place, 1, ...randomItem(random, changed)).join(';');
}

/** A record that differs from the signed one in what is signed, or in its signature. */
function mutate(record: EncodedMessage, foreign: EncodedMessage): EncodedMessage {
  const [text, foreignText] = [record, foreign].map(({ headers }) => headers![SIGNATURE_HEADER]!) as [string, string];
  const header = Buffer.from(text);
  const withHeader = (value: unknown): EncodedMessage => ({
    ...record,
    headers: { [SIGNATURE_HEADER]: value as string },
  });
  switch (randomInteger(random, 0, 8)) {
    case 0:
      return { ...record, value: mutateBytes(record.value!) };
    case 1:
      return { ...record, key: mutateBytes(Buffer.from(record.key!)) };
    case 2:
      return { ...record, topic: `concordat.local.${randomItem(random, TOPICS)}` };
    case 3:
      return { ...record, headers: foreign.headers! };
    case 4:
      return { ...record, headers: {} };
    case 5:
      return withHeader([header, mutateBytes(header)]);
    case 6: {
      const changed = mutateFields(text, foreignText);
      return withHeader(changed === text ? `${text};` : changed); // both may have the same field
    }
    default:
      return withHeader(mutateBytes(header));
  }
}

describe.each(KINDS)('$runs mutated records, signed $how,', ({ algorithm, together, runs }) => {
  let keys: KeyFiles;
  beforeAll(() => {
    keys = new KeyFiles();
    keys.add('node');
    keys.add('bank-a', { algorithm, senders: ['participant:bank-a'] });
  });
  afterAll(() => keys.remove());

  it(
    'are all dead letters and counted, and none is delivered',
    () => {
      const namespace = new Namespace({ cluster: 'local' });
      let letters = 0;
      const intake = new MessageIntake(
        namespace,
        () => letters++,
        silentLogger,
        keys.signatures('node', 'coordinator'),
      );
      const signatures = keys.signatures('bank-a', 'participant:bank-a');
      const entries = messages.map((message) => ({
        topic: namespace.topic('replies'),
        key: messageKey(message),
        value: encodeMessage('local', message),
      }));
      const headers = together ? signatures.sign(entries) : entries.flatMap((entry) => signatures.sign([entry]));
      const signed = entries.map((entry, place): EncodedMessage => ({ ...entry, headers: headers[place]! }));
      const taken = (record: EncodedMessage): boolean =>
        intake.take({ ...record, partition: 0, offset: '1' }) !== undefined;
      expect(signed.every(taken)).toBe(true);
      const delivered: EncodedMessage[] = [];
      let toDeadLetterTopic = 0;
      for (let run = 0; run < runs; run++) {
        const record = randomItem(random, signed);
        const foreign = randomItem(
          random,
          signed.filter((other) => other !== record),
        );
        const mutated = mutate(record, foreign);
        if (mutated.topic.endsWith('dead-letter')) toDeadLetterTopic++;
        if (taken(mutated)) delivered.push(mutated);
      }
      expect(delivered).toEqual([]);
      const counts = intake.deadLetters;
      expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(runs);
      expect(letters).toBe(runs - toDeadLetterTopic);
      for (const reason of ['UNSIGNED', 'INVALID_SIGNATURE', 'UNKNOWN_KEY'] as const) {
        expect(counts[reason]).toBeGreaterThan(0);
      }
    },
    TIMEOUT_MS,
  );
});
