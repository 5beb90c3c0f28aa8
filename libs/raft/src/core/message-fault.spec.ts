import { describe, expect, it } from '@jest/globals';
import { encodeConfiguration } from './membership/configuration-codec.js';
import { EMPTY_CONFIGURATION } from './membership/configuration.js';
import { entryFault, messageFault } from './message-fault.js';
import { between, groupOf, TEST_GROUP_ID } from './testing/members.js';
import {
  MAXIMUM_INTEGER,
  type AppendEntries,
  type Entry,
  type EntryKind,
  type Message,
  type SnapshotChunk,
} from './types.js';

const address = { ...between(1, 2), term: 3 };
const configuration = groupOf(1, 2);
const NOTHING = new Uint8Array(0);

function entry(index: number, term: number, kind: EntryKind = 'normal', data: Uint8Array = NOTHING): Entry {
  return { index, term, kind, data };
}

const append: AppendEntries = {
  type: 'append-entries',
  ...address,
  previousIndex: 4,
  previousTerm: 2,
  entries: [entry(5, 2, 'normal', new Uint8Array(9)), entry(6, 3, 'no-op')],
  commitIndex: 4,
  round: 0,
};

const chunk: SnapshotChunk = {
  type: 'snapshot-chunk',
  ...address,
  metadata: { index: 7, term: 2, configuration },
  sizeBytes: 10,
  checksum: 0xffff_ffff,
  offset: 4,
  data: new Uint8Array(6),
};

/** A sound message of every type. */
const sound: readonly Message[] = [
  { type: 'request-pre-vote', ...address, lastLogIndex: 0, lastLogTerm: 0 },
  { type: 'pre-vote-reply', ...address, granted: false },
  { type: 'request-vote', ...address, lastLogIndex: MAXIMUM_INTEGER, lastLogTerm: 3, transfer: true },
  { type: 'request-vote-reply', ...address, granted: true },
  append,
  { ...append, previousIndex: 0, previousTerm: 0, entries: [] },
  { type: 'append-entries-accepted', ...address, matchIndex: 0, round: MAXIMUM_INTEGER },
  { type: 'append-entries-refused', ...address, previousIndex: 0, hintIndex: 0, hintTerm: 0, round: 0 },
  chunk,
  { ...chunk, sizeBytes: 0, offset: 0, data: NOTHING },
  { type: 'snapshot-chunk-reply', ...address, snapshotIndex: 7, snapshotTerm: 2, nextOffset: 0 },
  { type: 'timeout-now', ...address },
  { type: 'read-index-request', ...address, requestId: 0 },
  { type: 'read-index-reply', ...address, requestId: 0, index: 0 },
  { type: 'introduction', ...address, groupId: 0, toIncarnation: 0, lastLogIndex: 0, founders: 7 },
  {
    type: 'introduction-reply',
    ...address,
    groupId: 0,
    lastLogIndex: MAXIMUM_INTEGER,
    founders: 0,
    leaderId: 0,
    knownIncarnation: 0,
  },
];

const NO_INTEGERS = [-1, 0.5, Number.NaN, Infinity, MAXIMUM_INTEGER + 1];

/** The message with one of its own numbers replaced, for each of them. */
function variants(message: Message, value: number): [string, Message][] {
  return Object.entries(message)
    .filter(([, field]) => typeof field === 'number')
    .map(([name]) => [name, { ...message, [name]: value }]);
}

describe('messageFault', () => {
  it.each(sound.map((message) => [message.type, message] as const))('finds nothing wrong with %s', (_type, message) => {
    expect(messageFault(message)).toBeUndefined();
  });

  it.each(sound.map((message) => [message.type, message] as const))('wants integers in %s', (_type, message) => {
    for (const value of NO_INTEGERS) {
      for (const [name, variant] of variants(message, value))
        expect([name, value, typeof messageFault(variant)]).toEqual([name, value, 'string']);
    }
  });

  it.each(['from', 'to', 'term', 'fromIncarnation'])('wants a positive %s', (name) => {
    expect(messageFault({ ...append, [name]: 0 })).toMatch('positive integer');
  });

  it('wants the id of a group in everything but introductions', () => {
    expect(messageFault({ ...append, groupId: 0 })).toMatch('names its group');
  });

  it.each<[string, Partial<AppendEntries>]>([
    ['a gap before the first entry', { entries: [entry(6, 3)] }],
    ['a gap between entries', { entries: [entry(5, 2), entry(7, 3)] }],
    ['an entry twice', { entries: [entry(5, 2), entry(5, 2)] }],
    ['a term that falls', { entries: [entry(5, 3), entry(6, 2)] }],
    ['a term below that of the entry before', { entries: [entry(5, 1)] }],
    ['a term beyond that of the leader', { entries: [entry(5, 4)] }],
    ['an entry of term 0', { previousIndex: 0, previousTerm: 0, entries: [entry(1, 0)] }],
    ['a term that is no number', { entries: [entry(5, Number.NaN)] }],
    ['an index beyond the last one', { previousIndex: MAXIMUM_INTEGER, entries: [entry(MAXIMUM_INTEGER + 1, 3)] }],
    ['an entry before of a later term', { previousTerm: 4, entries: [] }],
    ['an entry before without term', { previousTerm: 0 }],
    ['a term before the first entry', { previousIndex: 0, previousTerm: 1, entries: [] }],
    ['a no-op with data', { entries: [entry(5, 3, 'no-op', new Uint8Array(1))] }],
    ['a configuration that is none', { entries: [entry(5, 3, 'configuration', new Uint8Array(1))] }],
    [
      'the configuration of another group',
      { entries: [entry(5, 3, 'configuration', encodeConfiguration({ ...configuration, groupId: 2 }))] },
    ],
    ['an unheard-of kind', { entries: [entry(5, 3, 'other' as EntryKind)] }],
  ])('refuses entries with %s', (_name, fields) => {
    expect(messageFault({ ...append, ...fields })).toEqual(expect.any(String));
  });

  it.each<[string, Partial<SnapshotChunk>]>([
    ['beyond the end', { offset: 5 }],
    ['with a checksum of more than 32 bits', { checksum: 2 ** 32 }],
    ['of index 0', { metadata: { ...chunk.metadata, index: 0 } }],
    ['of term 0', { metadata: { ...chunk.metadata, term: 0 } }],
    ['of a later term than its sender', { metadata: { ...chunk.metadata, term: 4 } }],
    ['of another group', { metadata: { ...chunk.metadata, configuration: { ...configuration, groupId: 2 } } }],
    ['without voters', { metadata: { ...chunk.metadata, configuration: EMPTY_CONFIGURATION } }],
    [
      'with an unsound configuration',
      { metadata: { ...chunk.metadata, configuration: { ...configuration, voters: [1] } } },
    ],
  ])('refuses a piece of a snapshot %s', (_name, fields) => {
    expect(messageFault({ ...chunk, ...fields })).toEqual(expect.any(String));
  });

  it.each(['request-pre-vote', 'request-vote'] as const)('refuses a %s whose log ends beyond its term', (type) => {
    const message = { type, ...address, lastLogIndex: 9, lastLogTerm: 4, transfer: false };
    expect(messageFault(message)).toMatch('ends within its term');
  });
});

describe('entryFault', () => {
  it('finds nothing wrong with a sound configuration', () => {
    expect(entryFault(entry(1, 1, 'configuration', encodeConfiguration(configuration)), TEST_GROUP_ID)).toBeUndefined();
  });
});
