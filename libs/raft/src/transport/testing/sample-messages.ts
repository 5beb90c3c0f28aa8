import { encodeConfiguration } from '../../core/membership/configuration-codec.js';
import { between, knownMember, TEST_GROUP_ID } from '../../core/testing/members.js';
import { MAXIMUM_INTEGER, type Configuration, type Message } from '../../core/types.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** A configuration in the middle of a change, with every list in use. */
export const jointConfiguration: Configuration = {
  groupId: TEST_GROUP_ID,
  members: [
    knownMember(1, { address: '127.0.0.1:7001', data: '', priority: 0 }),
    knownMember(2, { address: '[::1]:7002', data: '{"url":"http://two"}', priority: 1000 }),
    knownMember(3, { address: '', data: 'drei, „drei“ \u0000', priority: 1 }),
    knownMember(MAXIMUM_INTEGER, { address: 'four.example:7004', data: '', priority: 0 }),
  ],
  voters: [1, 2],
  outgoing: [1, 3],
  learners: [MAXIMUM_INTEGER],
};

const singleConfiguration: Configuration = {
  groupId: TEST_GROUP_ID,
  members: [knownMember(1, { address: '', data: '', priority: 0 })],
  voters: [1],
  outgoing: [],
  learners: [],
};

/** Messages of every type, with the least and the greatest values that each field may have. */
export const sampleMessages: readonly Message[] = [
  { type: 'request-pre-vote', ...between(1, 2), term: 3, lastLogIndex: 9, lastLogTerm: 3 },
  { type: 'pre-vote-reply', ...between(2, 1), term: 3, granted: true },
  { type: 'request-vote', ...between(1, 2), term: 3, lastLogIndex: 0, lastLogTerm: 0, transfer: false },
  {
    type: 'request-vote',
    ...between(MAXIMUM_INTEGER, 2),
    term: MAXIMUM_INTEGER,
    lastLogIndex: MAXIMUM_INTEGER,
    lastLogTerm: 2 ** 32,
    transfer: true,
  },
  { type: 'request-vote-reply', ...between(2, 1), term: 3, granted: true },
  { type: 'request-vote-reply', ...between(2, 1), term: 3, granted: false },
  {
    type: 'append-entries',
    ...between(1, 2),
    term: 3,
    previousIndex: 2 ** 33,
    previousTerm: 2,
    entries: [
      { index: 2 ** 33 + 1, term: 2, kind: 'normal', data: bytes('one') },
      { index: 2 ** 33 + 2, term: 3, kind: 'no-op', data: bytes('') },
      { index: 2 ** 33 + 3, term: 3, kind: 'configuration', data: encodeConfiguration(jointConfiguration) },
      { index: 2 ** 33 + 4, term: 3, kind: 'normal', data: bytes('') },
    ],
    commitIndex: 2 ** 31,
    round: 7,
  },
  {
    type: 'append-entries',
    ...between(1, 2),
    term: 1,
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    commitIndex: 0,
    round: 0,
  },
  { type: 'append-entries-accepted', ...between(2, 1), term: 3, matchIndex: 9, round: 1 },
  { type: 'append-entries-refused', ...between(2, 1), term: 3, previousIndex: 9, hintIndex: 4, hintTerm: 2, round: 0 },
  {
    type: 'snapshot-chunk',
    ...between(1, 3),
    term: 8,
    metadata: { index: 100, term: 7, configuration: jointConfiguration },
    sizeBytes: 15,
    checksum: 0xffff_ffff,
    offset: 10,
    data: bytes('state'),
  },
  {
    type: 'snapshot-chunk',
    ...between(1, 3),
    term: 8,
    metadata: { index: 1, term: 1, configuration: singleConfiguration },
    sizeBytes: 0,
    checksum: 0,
    offset: 0,
    data: bytes(''),
  },
  { type: 'snapshot-chunk-reply', ...between(3, 1), term: 8, snapshotIndex: 100, snapshotTerm: 7, nextOffset: 15 },
  { type: 'timeout-now', ...between(1, 2), term: 5 },
  { type: 'read-index-request', ...between(2, 1), term: 5, requestId: 0 },
  { type: 'read-index-reply', ...between(1, 2), term: 5, requestId: 2 ** 40, index: 77 },
  {
    type: 'introduction',
    ...between(1, 2, MAXIMUM_INTEGER, 0),
    groupId: 0,
    term: 1,
    lastLogIndex: 0,
    founders: 2 ** 32,
  },
  {
    type: 'introduction-reply',
    ...between(2, 1, 1, MAXIMUM_INTEGER),
    groupId: MAXIMUM_INTEGER,
    term: 5,
    lastLogIndex: 9,
    founders: 0,
    leaderId: 3,
    knownIncarnation: MAXIMUM_INTEGER,
  },
];

/** The messages with their data in hexadecimal digits, whatever kind of bytes they are. */
export function comparable(messages: readonly Message[]): unknown {
  return messages.map((message) => {
    if (message.type === 'append-entries')
      return { ...message, entries: message.entries.map((entry) => ({ ...entry, data: digitsOf(entry.data) })) };
    if (message.type === 'snapshot-chunk') return { ...message, data: digitsOf(message.data) };
    return message;
  });
}

function digitsOf(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
}
