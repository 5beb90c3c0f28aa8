import { randomInteger, randomItem, type Random } from '@concordat/foundation';
import { encodeConfiguration } from '../../core/membership/configuration-codec.js';
import { MAXIMUM_INTEGER, type AppendEntries, type Entry, type EntryKind, type Message } from '../../core/types.js';
import type { Address as Envelope } from '../../core/membership/addressing.js';
import { jointConfiguration } from './sample-messages.js';

/** The greatest numbers that a varint of one to seven bytes holds, as far as a message may have them. */
const widths = [0x7f, 0x3fff, 2 ** 21 - 1, 2 ** 28 - 1, 2 ** 32, 2 ** 35 - 1, 2 ** 42 - 1, MAXIMUM_INTEGER];

/** A sound message of any type, with numbers of every width. */
export function randomMessage(random: Random): Message {
  const term = randomNumber(random, 1);
  const envelope = {
    from: randomNumber(random, 1),
    to: randomNumber(random, 1),
    fromIncarnation: randomNumber(random, 1),
    toIncarnation: randomNumber(random, 0),
    groupId: randomNumber(random, 0),
    term,
  };
  const lastLogTerm = randomInteger(random, 0, term);
  const lastEntry = { lastLogIndex: lastLogTerm === 0 ? 0 : randomNumber(random, 1), lastLogTerm };
  const flag = random.uint32() % 2 === 0;
  const number = (): number => randomNumber(random, 0);
  const messages: readonly (() => Message)[] = [
    () => ({ type: 'request-pre-vote', ...envelope, ...lastEntry }),
    () => ({ type: 'pre-vote-reply', ...envelope, granted: flag }),
    () => ({ type: 'request-vote', ...envelope, ...lastEntry, transfer: flag }),
    () => ({ type: 'request-vote-reply', ...envelope, granted: flag }),
    () => randomAppendEntries(random, envelope),
    () => ({ type: 'append-entries-accepted', ...envelope, matchIndex: number(), round: number() }),
    () => ({
      type: 'append-entries-refused',
      ...envelope,
      previousIndex: number(),
      hintIndex: number(),
      hintTerm: lastLogTerm,
      round: number(),
    }),
    () => randomSnapshotChunk(random, envelope),
    () => ({
      type: 'snapshot-chunk-reply',
      ...envelope,
      snapshotIndex: randomNumber(random, 1),
      snapshotTerm: term,
      nextOffset: number(),
    }),
    () => ({ type: 'timeout-now', ...envelope }),
    () => ({ type: 'read-index-request', ...envelope, requestId: number() }),
    () => ({ type: 'read-index-reply', ...envelope, requestId: number(), index: number() }),
    () => ({ type: 'introduction', ...envelope, lastLogIndex: number(), founders: number() }),
    () => ({
      type: 'introduction-reply',
      ...envelope,
      lastLogIndex: number(),
      founders: number(),
      leaderId: number(),
      knownIncarnation: number(),
    }),
  ];
  return randomItem(random, messages)();
}

function randomAppendEntries(random: Random, envelope: Envelope): AppendEntries {
  const previousTerm = randomInteger(random, 0, envelope.term);
  const count = randomInteger(random, 0, 5);
  const previousIndex = previousTerm === 0 ? 0 : Math.min(randomNumber(random, 1), MAXIMUM_INTEGER - count);
  let term = Math.max(previousTerm, 1);
  const entries = Array.from({ length: count }, (_, position): Entry => {
    term = randomInteger(random, term, Math.min(envelope.term, term + 3));
    const kind = randomItem<EntryKind>(random, ['normal', 'no-op', 'configuration']);
    return { index: previousIndex + 1 + position, term, kind, data: dataOf(random, kind) };
  });
  const numbers = { commitIndex: randomNumber(random, 0), round: randomNumber(random, 0) };
  return { type: 'append-entries', ...envelope, previousIndex, previousTerm, entries, ...numbers };
}

function dataOf(random: Random, kind: EntryKind): Uint8Array {
  if (kind === 'no-op') return new Uint8Array(0);
  return kind === 'configuration' ? encodeConfiguration(jointConfiguration) : randomData(random);
}

function randomSnapshotChunk(random: Random, envelope: Envelope): Message {
  const data = randomData(random);
  const offset = Math.min(randomNumber(random, 0), MAXIMUM_INTEGER - data.length);
  return {
    type: 'snapshot-chunk',
    ...envelope,
    metadata: {
      index: randomNumber(random, 1),
      term: randomInteger(random, 1, envelope.term),
      configuration: jointConfiguration,
    },
    sizeBytes: offset + data.length,
    checksum: random.uint32(),
    offset,
    data,
  };
}

function randomData(random: Random): Uint8Array {
  const bytes = Buffer.alloc(randomItem(random, [0, 1, 127, 128, 300, 20_000]));
  return bytes.fill(random.uint32() & 0xff);
}

function randomNumber(random: Random, least: number): number {
  const bits48 = random.uint32() * 0x1_0000 + (random.uint32() & 0xffff);
  return least + (bits48 % (randomItem(random, widths) - least + 1));
}
