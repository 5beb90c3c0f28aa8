import type { Message, SnapshotChunk } from '../core/types.js';
import { readAppendEntries } from './append-entries-decoder.js';
import { checkPosition, checkTerm, positive, readConfiguration, type Envelope } from './field-checks.js';
import { MalformedFrameError, MAXIMUM_ENTRIES_PER_FRAME, MAXIMUM_MESSAGES_PER_FRAME } from './frame-limits.js';
import { WireReader } from './wire-reader.js';
import {
  contentFields,
  contentTags,
  echoTags,
  envelopeTags,
  frameTags,
  snapshotChunkTags,
  wireTypes,
} from './wire-tags.js';

const noData: Uint8Array = new Uint8Array(0);

/** What one peer sends at once. */
export interface Frame {
  readonly messages: readonly Message[];
  /** requests an echo of this number; 0 for none */
  readonly ping: number;
}

/**
 * Decodes a frame and checks every field by itself and against the others. The data of entries and snapshots are views
 * of `bytes`. Fields of a later version are skipped; of a duplicate field the last one counts. It never builds more
 * messages and entries than the limits allow.
 *
 * @throws MalformedFrameError
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const reader = new WireReader(bytes, 'a frame');
  const messages: Message[] = [];
  let entriesLeft = MAXIMUM_ENTRIES_PER_FRAME;
  let ping = 0;
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === frameTags.messages) {
      if (messages.length === MAXIMUM_MESSAGES_PER_FRAME)
        throw new MalformedFrameError(`a frame has more than ${MAXIMUM_MESSAGES_PER_FRAME} messages`);
      const message = readMessage(reader, entriesLeft);
      if (message.type === 'append-entries') entriesLeft -= message.entries.length;
      messages.push(message);
    } else if (tag === frameTags.ping) {
      ping = reader.uint32();
    } else {
      reader.skip(tag);
    }
  }
  return { messages, ping };
}

/** The answer to a frame with a ping. */
export interface Echo {
  readonly ping: number;
  /** the peer's clock, in milliseconds since 1970; 0 when absent */
  readonly clock: number;
}

/** @throws MalformedFrameError */
export function decodeEcho(bytes: Uint8Array): Echo {
  const reader = new WireReader(bytes, 'an echo');
  let [ping, clock] = [0, 0];
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === echoTags.ping) ping = reader.uint32();
    else if (tag === echoTags.clock) clock = reader.integer();
    else reader.skip(tag);
  }
  return { ping, clock };
}

/** The content is read last, because its checks need the term, and fields may have any order. */
function readMessage(reader: WireReader, entriesLeft: number): Message {
  const outerEnd = reader.enter();
  let [from, to, term] = [0, 0, 0];
  let [fromIncarnation, toIncarnation, groupId] = [0, 0, 0];
  let [contentTag, contentAt] = [0, 0];
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === envelopeTags.from) from = reader.integer();
    else if (tag === envelopeTags.to) to = reader.integer();
    else if (tag === envelopeTags.term) term = reader.integer();
    else if (tag === envelopeTags.fromIncarnation) fromIncarnation = reader.integer();
    else if (tag === envelopeTags.toIncarnation) toIncarnation = reader.integer();
    else if (tag === envelopeTags.groupId) groupId = reader.integer();
    else {
      if (isContent(tag)) {
        if (contentTag !== 0) throw new MalformedFrameError('a message has several contents');
        contentTag = tag;
        contentAt = reader.position;
      }
      reader.skip(tag);
    }
  }
  if (contentTag === 0) throw new MalformedFrameError('a message has no content, or one of a later version');
  reader.position = contentAt;
  const envelope = {
    from: positive(from),
    to: positive(to),
    fromIncarnation: positive(fromIncarnation),
    toIncarnation,
    groupId,
    term,
  };
  const message = readContent(reader, contentTag, envelope, entriesLeft);
  reader.leave(outerEnd);
  return message;
}

function isContent(tag: number): boolean {
  const field = tag >>> 3;
  return field >= contentFields.first && field <= contentFields.last;
}

function readContent(reader: WireReader, tag: number, envelope: Envelope, entriesLeft: number): Message {
  switch (tag) {
    case contentTags['append-entries']:
      return readAppendEntries(reader, envelope, entriesLeft);
    case contentTags['append-entries-accepted']: {
      const [matchIndex = 0, round = 0] = readNumbers(reader, 2);
      return { type: 'append-entries-accepted', ...envelope, matchIndex, round };
    }
    case contentTags['append-entries-refused']: {
      const [previousIndex = 0, hintIndex = 0, hintTerm = 0, round = 0] = readNumbers(reader, 4);
      checkTerm(hintTerm, envelope);
      return { type: 'append-entries-refused', ...envelope, previousIndex, hintIndex, hintTerm, round };
    }
    case contentTags['snapshot-chunk']:
      return readSnapshotChunk(reader, envelope);
    case contentTags['snapshot-chunk-reply']: {
      const [snapshotIndex = 0, snapshotTerm = 0, nextOffset = 0] = readNumbers(reader, 3);
      positive(snapshotIndex);
      positive(snapshotTerm);
      return { type: 'snapshot-chunk-reply', ...envelope, snapshotIndex, snapshotTerm, nextOffset };
    }
    case contentTags['read-index-request']: {
      const [requestId = 0] = readNumbers(reader, 1);
      return { type: 'read-index-request', ...envelope, requestId };
    }
    case contentTags['read-index-reply']: {
      const [requestId = 0, index = 0] = readNumbers(reader, 2);
      return { type: 'read-index-reply', ...envelope, requestId, index };
    }
    default:
      return readElectionMessage(reader, tag, envelope);
  }
}

function readElectionMessage(reader: WireReader, tag: number, envelope: Envelope): Message {
  switch (tag) {
    case contentTags['request-pre-vote']: {
      const [lastLogIndex = 0, lastLogTerm = 0] = readNumbers(reader, 2);
      checkLastEntry(lastLogIndex, lastLogTerm, envelope);
      return { type: 'request-pre-vote', ...envelope, lastLogIndex, lastLogTerm };
    }
    case contentTags['request-vote']: {
      const [lastLogIndex = 0, lastLogTerm = 0, transfer] = readNumbers(reader, 2, 1);
      checkLastEntry(lastLogIndex, lastLogTerm, envelope);
      return { type: 'request-vote', ...envelope, lastLogIndex, lastLogTerm, transfer: transfer === 1 };
    }
    case contentTags['pre-vote-reply']: {
      const [granted] = readNumbers(reader, 0, 1);
      return { type: 'pre-vote-reply', ...envelope, granted: granted === 1 };
    }
    case contentTags['request-vote-reply']: {
      const [granted] = readNumbers(reader, 0, 1);
      return { type: 'request-vote-reply', ...envelope, granted: granted === 1 };
    }
    case contentTags.introduction: {
      const [lastLogIndex = 0, founders = 0] = readNumbers(reader, 2);
      return { type: 'introduction', ...envelope, lastLogIndex, founders };
    }
    case contentTags['introduction-reply']: {
      const [lastLogIndex = 0, founders = 0, leaderId = 0, knownIncarnation = 0] = readNumbers(reader, 4);
      return { type: 'introduction-reply', ...envelope, lastLogIndex, founders, leaderId, knownIncarnation };
    }
    case contentTags['timeout-now']:
      readNumbers(reader, 0);
      return { type: 'timeout-now', ...envelope };
    default:
      throw new MalformedFrameError('a message has no content that is known');
  }
}

function checkLastEntry(index: number, term: number, envelope: Envelope): void {
  checkTerm(term, envelope);
  checkPosition(index, term);
}

function readSnapshotChunk(reader: WireReader, envelope: Envelope): SnapshotChunk {
  const outerEnd = reader.enter();
  let [index, term, sizeBytes, checksum, offset] = [0, 0, 0, 0, 0];
  let [encodedConfiguration, data] = [noData, noData];
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === snapshotChunkTags.index) index = reader.integer();
    else if (tag === snapshotChunkTags.term) term = reader.integer();
    else if (tag === snapshotChunkTags.configuration) encodedConfiguration = reader.data();
    else if (tag === snapshotChunkTags.sizeBytes) sizeBytes = reader.integer();
    else if (tag === snapshotChunkTags.checksum) checksum = reader.fixed32();
    else if (tag === snapshotChunkTags.offset) offset = reader.integer();
    else if (tag === snapshotChunkTags.data) data = reader.data();
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  checkTerm(term, envelope);
  checkPosition(positive(index), term);
  const configuration = readConfiguration(encodedConfiguration);
  if (configuration.voters.length === 0) throw new MalformedFrameError('a snapshot has no voters');
  if (offset + data.length > sizeBytes)
    throw new MalformedFrameError(`a piece of a snapshot goes from ${offset} beyond its ${sizeBytes} bytes`);
  const metadata = { index, term, configuration };
  return { type: 'snapshot-chunk', ...envelope, metadata, sizeBytes, checksum, offset, data };
}

/**
 * The content of a message with only integers in its first fields, from 1 on, and flags in the next ones; a flag is 0
 * or 1, an absent field 0.
 */
function readNumbers(reader: WireReader, integerCount: number, flagCount = 0): readonly number[] {
  const outerEnd = reader.enter();
  const numbers = Array.from({ length: integerCount + flagCount }, () => 0);
  while (reader.hasMore) {
    const tag = reader.tag();
    const field = tag >>> 3;
    if ((tag & 7) !== wireTypes.varint || field === 0 || field > numbers.length) reader.skip(tag);
    else numbers[field - 1] = field <= integerCount ? reader.integer() : Number(reader.flag());
  }
  reader.leave(outerEnd);
  return numbers;
}
