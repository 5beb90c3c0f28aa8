import { unreachable } from '@concordat/foundation';
import { configurationFault, decodeConfiguration } from './membership/configuration-codec.js';
import {
  MAXIMUM_INTEGER,
  type AppendEntries,
  type Entry,
  type GroupId,
  type Message,
  type SnapshotChunk,
} from './types.js';

const MAXIMUM_CHECKSUM = 2 ** 32 - 1;

/**
 * What is wrong with a message by itself, in any state of the node, in words; undefined when it is valid. The core
 * accepts no other, so the form of a message alone can do no harm.
 */
export function messageFault(message: Message): string | undefined {
  if (!isPositive(message.from) || !isPositive(message.to)) return 'node ids are positive integers';
  if (!isPositive(message.term)) return 'a term is a positive integer';
  if (!isPositive(message.fromIncarnation) || !isNatural(message.toIncarnation))
    return 'an incarnation is a positive integer';
  const isIntroduction = message.type === 'introduction' || message.type === 'introduction-reply';
  if (!isNatural(message.groupId) || (message.groupId === 0 && !isIntroduction)) return 'a message names its group';
  switch (message.type) {
    case 'append-entries':
      return appendEntriesFault(message);
    case 'snapshot-chunk':
      return snapshotChunkFault(message);
    case 'request-pre-vote':
    case 'request-vote':
      return isNatural(message.lastLogIndex) && isNatural(message.lastLogTerm) && message.lastLogTerm <= message.term
        ? undefined
        : 'a candidate has a log that ends within its term';
    case 'append-entries-accepted':
      return isNatural(message.matchIndex) && isNatural(message.round) ? undefined : 'indices are integers';
    case 'append-entries-refused':
      return isNatural(message.previousIndex) &&
        isNatural(message.hintIndex) &&
        isNatural(message.hintTerm) &&
        isNatural(message.round)
        ? undefined
        : 'indices are integers';
    case 'snapshot-chunk-reply':
      return isNatural(message.snapshotIndex) && isNatural(message.snapshotTerm) && isNatural(message.nextOffset)
        ? undefined
        : 'indices are integers';
    case 'read-index-request':
      return isNatural(message.requestId) ? undefined : 'a request id is an integer';
    case 'read-index-reply':
      return isNatural(message.requestId) && isNatural(message.index) ? undefined : 'indices are integers';
    case 'introduction':
      return isNatural(message.lastLogIndex) && isNatural(message.founders) ? undefined : 'indices are integers';
    case 'introduction-reply':
      return isNatural(message.lastLogIndex) &&
        isNatural(message.founders) &&
        isNatural(message.leaderId) &&
        isNatural(message.knownIncarnation)
        ? undefined
        : 'indices are integers';
    case 'pre-vote-reply':
    case 'request-vote-reply':
    case 'timeout-now':
      return undefined;
    default:
      return unreachable(message, 'message');
  }
}

function appendEntriesFault(message: AppendEntries): string | undefined {
  const { previousIndex, previousTerm, entries, commitIndex, round, term } = message;
  if (!(isNatural(previousIndex) && isNatural(previousTerm) && isNatural(commitIndex) && isNatural(round)))
    return 'indices are integers';
  if (previousTerm > term || (previousIndex === 0) !== (previousTerm === 0))
    return 'the entry before has a term up to that of its leader';
  let termBefore = Math.max(previousTerm, 1);
  for (let position = 0; position < entries.length; position++) {
    const entry = entries[position]!;
    if (entry.index !== previousIndex + 1 + position || entry.index > MAXIMUM_INTEGER)
      return 'entries follow each other without gaps';
    if (!(entry.term >= termBefore && entry.term <= term)) return 'terms never fall along the log';
    termBefore = entry.term;
    const fault = entryFault(entry, message.groupId);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** What is wrong with the content of an entry; undefined when it is valid. */
export function entryFault(entry: Entry, groupId: GroupId): string | undefined {
  switch (entry.kind) {
    case 'normal':
      return undefined;
    case 'no-op':
      return entry.data.length === 0 ? undefined : 'a no-op has no data';
    case 'configuration': {
      const configuration = decodeConfiguration(entry.data);
      if (configuration === undefined || configuration.voters.length === 0)
        return 'an entry holds no sound configuration';
      return configuration.groupId === groupId ? undefined : 'an entry holds the configuration of another group';
    }
    default:
      return 'an entry is of no known kind';
  }
}

function snapshotChunkFault(message: SnapshotChunk): string | undefined {
  const { metadata, sizeBytes, checksum, offset, data, term, groupId } = message;
  if (!isPositive(metadata.index) || !isPositive(metadata.term) || metadata.term > term)
    return 'the term of a snapshot is at most that of its sender';
  if (
    !(isNatural(sizeBytes) && isNatural(offset) && isNatural(checksum)) ||
    checksum > MAXIMUM_CHECKSUM ||
    offset + data.length > sizeBytes
  )
    return 'a piece of a snapshot lies within the whole';
  if (metadata.configuration.voters.length === 0) return 'a snapshot knows the voters';
  if (metadata.configuration.groupId !== groupId) return 'a snapshot is of another group';
  return configurationFault(metadata.configuration);
}

function isPositive(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= MAXIMUM_INTEGER;
}

function isNatural(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAXIMUM_INTEGER;
}
