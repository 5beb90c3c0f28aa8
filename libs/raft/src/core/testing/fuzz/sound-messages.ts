import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';
import { encodeConfiguration } from '../../membership/configuration-codec.js';
import type { Address } from '../../membership/addressing.js';
import type { RaftCore } from '../../raft-core.js';
import { MAXIMUM_INTEGER, type Configuration, type Entry, type Message, type NodeId } from '../../types.js';
import { between, knownMember, TEST_GROUP_ID } from '../members.js';

const OTHERS: readonly NodeId[] = [2, 3, 4, 9];
const MESSAGE_TYPES: readonly Message['type'][] = [
  'request-pre-vote',
  'pre-vote-reply',
  'request-vote',
  'request-vote-reply',
  'append-entries',
  'append-entries',
  'append-entries-accepted',
  'append-entries-refused',
  'snapshot-chunk',
  'snapshot-chunk-reply',
  'timeout-now',
  'read-index-request',
  'read-index-reply',
  'introduction',
  'introduction-reply',
];

const CONFIGURATIONS: readonly Configuration[] = [
  {
    groupId: TEST_GROUP_ID,
    members: [1, 2, 3].map((nodeId) => knownMember(nodeId)),
    voters: [1, 2, 3],
    outgoing: [],
    learners: [],
  },
  {
    groupId: TEST_GROUP_ID,
    members: [1, 2, 3].map((nodeId) => knownMember(nodeId)),
    voters: [1, 2],
    outgoing: [1, 3],
    learners: [],
  },
  {
    groupId: TEST_GROUP_ID,
    members: [1, 2, 3, 4].map((nodeId) => knownMember(nodeId)),
    voters: [2, 3],
    outgoing: [],
    learners: [1, 4],
  },
  {
    groupId: TEST_GROUP_ID,
    members: [2, 3].map((nodeId) => knownMember(nodeId)),
    voters: [2, 3],
    outgoing: [],
    learners: [],
  },
];

/** A message as one of the others might send it to `core` now, or might have sent it lately. */
export function soundMessage(random: Random, core: RaftCore): Message {
  const { lastIndex, commitIndex } = core;
  // Seldom of another term, so that whoever leads does so for a while.
  const otherTerm = randomChance(random, 0.05) ? randomItem(random, [-1, 1]) : 0;
  const term = Math.min(Math.max(1, core.term + otherTerm), MAXIMUM_INTEGER);
  const fromIncarnation = randomChance(random, 0.03) ? 2 : 1;
  const toIncarnation = randomChance(random, 0.03) ? randomItem(random, [0, 2]) : 1;
  const address = { ...between(randomItem(random, OTHERS), core.nodeId, fromIncarnation, toIncarnation), term };
  const index = (): number => randomInteger(random, Math.max(0, commitIndex - 2), lastIndex + 1);
  const round = randomInteger(random, 0, 5);
  const type = randomItem(random, MESSAGE_TYPES);
  switch (type) {
    case 'request-pre-vote':
      return { type, ...address, lastLogIndex: index(), lastLogTerm: Math.min(term, core.termAt(lastIndex) ?? 0) };
    case 'request-vote':
      return {
        type,
        ...address,
        lastLogIndex: index(),
        lastLogTerm: Math.min(term, core.termAt(lastIndex) ?? 0),
        transfer: randomChance(random, 0.5),
      };
    case 'pre-vote-reply':
    case 'request-vote-reply':
      return { type, ...address, granted: randomChance(random, 0.7) };
    case 'append-entries':
      return appendEntries(random, core, address, round);
    case 'append-entries-accepted':
      return { type, ...address, matchIndex: Math.min(index(), lastIndex), round };
    case 'append-entries-refused':
      return { type, ...address, previousIndex: index(), hintIndex: index(), hintTerm: Math.min(term, 2), round };
    case 'snapshot-chunk':
      return snapshotChunk(random, core, address);
    case 'snapshot-chunk-reply':
      return { type, ...address, snapshotIndex: commitIndex, snapshotTerm: 1, nextOffset: randomInteger(random, 0, 9) };
    case 'timeout-now':
      return { type, ...address };
    case 'read-index-request':
      return { type, ...address, requestId: randomInteger(random, 0, 50) };
    case 'read-index-reply':
      return { type, ...address, requestId: randomInteger(random, 0, 50), index: index() };
    case 'introduction':
      return { type, ...address, toIncarnation: 0, lastLogIndex: index(), founders: randomInteger(random, 0, 2) };
    case 'introduction-reply':
      return { type, ...address, lastLogIndex: index(), founders: 0, leaderId: 2, knownIncarnation: 1 };
  }
}

function appendEntries(random: Random, core: RaftCore, address: Address, round: number): Message {
  const previousIndex = randomInteger(random, Math.max(0, core.commitIndex - 2), core.lastIndex);
  const previousTerm = Math.min(address.term, previousIndex === 0 ? 0 : (core.termAt(previousIndex) ?? 1));
  const entries: Entry[] = [];
  for (let count = randomInteger(random, 0, 3); count > 0; count--)
    entries.push(entryAt(random, previousIndex + entries.length + 1, Math.max(1, address.term)));
  const commitIndex = randomInteger(random, 0, previousIndex + entries.length);
  return { type: 'append-entries', ...address, previousIndex, previousTerm, entries, commitIndex, round };
}

function entryAt(random: Random, index: number, term: number): Entry {
  if (randomChance(random, 0.15))
    return { index, term, kind: 'configuration', data: encodeConfiguration(randomItem(random, CONFIGURATIONS)) };
  if (randomChance(random, 0.2)) return { index, term, kind: 'no-op', data: new Uint8Array(0) };
  return { index, term, kind: 'normal', data: new Uint8Array(randomInteger(random, 0, 9)) };
}

function snapshotChunk(random: Random, core: RaftCore, address: Address): Message {
  const index = Math.max(1, core.commitIndex + randomInteger(random, -2, 3));
  const configuration = randomItem(random, CONFIGURATIONS);
  const metadata = {
    index,
    term: Math.min(address.term, Math.max(1, core.termAt(index) ?? address.term)),
    configuration,
  };
  const sizeBytes = randomInteger(random, 0, 9);
  const offset = randomInteger(random, 0, sizeBytes);
  const data = new Uint8Array(randomInteger(random, 0, sizeBytes - offset));
  return { type: 'snapshot-chunk', ...address, metadata, sizeBytes, checksum: 7, offset, data };
}
