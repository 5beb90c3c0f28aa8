import { errorMessage } from '@concordat/foundation';
import protobuf from 'protobufjs';
import { decodeConfiguration } from '../core/configuration-codec.js';
import { MAX_INTEGER } from '../core/types.js';
import type { AppendEntries, Configuration, Entry, EntryKind, Message, SnapshotChunk } from '../core/types.js';
import { checkFrameShape, MalformedFrameError } from './frame-shape.js';
import { echoType, frameType } from './wire-types.js';
import type {
  WireAppendEntries,
  WireBytes,
  WireEntry,
  WireEnvelope,
  WireFrame,
  WireInteger,
  WireSnapshotChunk,
} from './wire-types.js';

/** What one peer sends in one go. */
export interface Frame {
  readonly messages: readonly Message[];
  /** asks for an echo of this number; 0 for none */
  readonly ping: number;
}

/** Encoded configurations beyond this are refused unread: the largest sound one is smaller. */
const MAX_CONFIGURATION_BYTES = 2 * 1024 * 1024;

const entryKinds: readonly (EntryKind | undefined)[] = [undefined, 'normal', 'no-op', 'configuration'];

/**
 * Decodes a frame and checks every field by itself and against the others. The data of entries and snapshots are
 * views of `bytes`.
 *
 * @throws MalformedFrameError
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  return reading('a frame', () => {
    checkFrameShape(bytes);
    const { messages, ping } = frameType.decode(readerOf(bytes)) as unknown as WireFrame;
    return { messages: messages.map(fromWire), ping };
  });
}

/**
 * Decodes the answer to a frame with a ping.
 *
 * @throws MalformedFrameError
 */
export function decodeEcho(bytes: Uint8Array): number {
  return reading('an echo', () => (echoType.decode(readerOf(bytes)) as unknown as { readonly ping: number }).ping);
}

/** Whatever else fails while one reads strange bytes comes from the decoder, and means the same. */
function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedFrameError) throw error;
    throw new MalformedFrameError(`${what} could not be read: ${errorMessage(error)}`, { cause: error });
  }
}

/** Fields of a later version are skipped and not, as is usual, kept. */
function readerOf(bytes: Uint8Array): protobuf.Reader {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = true;
  return reader;
}

function fromWire(wire: WireEnvelope): Message {
  const envelope = { from: positive(wire.from), to: positive(wire.to), term: integer(wire.term) };
  if (wire.appendEntries) return readAppendEntries(envelope, wire.appendEntries);
  if (wire.appendEntriesAccepted) {
    const { matchIndex, round } = wire.appendEntriesAccepted;
    return { type: 'append-entries-accepted', ...envelope, matchIndex: integer(matchIndex), round: integer(round) };
  }
  if (wire.appendEntriesRefused) {
    const { previousIndex, hintIndex, hintTerm, round } = wire.appendEntriesRefused;
    return {
      type: 'append-entries-refused',
      ...envelope,
      previousIndex: integer(previousIndex),
      hintIndex: integer(hintIndex),
      hintTerm: termUpTo(envelope.term, hintTerm),
      round: integer(round),
    };
  }
  if (wire.snapshotChunk) return readSnapshotChunk(envelope, wire.snapshotChunk);
  if (wire.snapshotChunkReply) {
    const { snapshotIndex, snapshotTerm, nextOffset } = wire.snapshotChunkReply;
    return {
      type: 'snapshot-chunk-reply',
      ...envelope,
      snapshotIndex: positive(snapshotIndex),
      snapshotTerm: positive(snapshotTerm),
      nextOffset: integer(nextOffset),
    };
  }
  return readElectionMessage(envelope, wire) ?? readReadIndexMessage(envelope, wire);
}

interface Envelope {
  readonly from: number;
  readonly to: number;
  readonly term: number;
}

function readElectionMessage(envelope: Envelope, wire: WireEnvelope): Message | undefined {
  const { requestPreVote, preVoteReply, requestVote, requestVoteReply } = wire;
  if (requestPreVote) {
    const { lastLogIndex, lastLogTerm } = requestPreVote;
    return { type: 'request-pre-vote', ...envelope, ...readLastEntry(envelope, lastLogIndex, lastLogTerm) };
  }
  if (preVoteReply) return { type: 'pre-vote-reply', ...envelope, granted: preVoteReply.granted };
  if (requestVote) {
    const { lastLogIndex, lastLogTerm, transfer } = requestVote;
    return { type: 'request-vote', ...envelope, ...readLastEntry(envelope, lastLogIndex, lastLogTerm), transfer };
  }
  if (requestVoteReply) return { type: 'request-vote-reply', ...envelope, granted: requestVoteReply.granted };
  if (wire.timeoutNow) return { type: 'timeout-now', ...envelope };
  return undefined;
}

function readReadIndexMessage(envelope: Envelope, wire: WireEnvelope): Message {
  if (wire.readIndexRequest)
    return { type: 'read-index-request', ...envelope, requestId: integer(wire.readIndexRequest.requestId) };
  if (wire.readIndexReply) {
    const { requestId, index } = wire.readIndexReply;
    return { type: 'read-index-reply', ...envelope, requestId: integer(requestId), index: integer(index) };
  }
  throw new MalformedFrameError('a message has no content that is known');
}

function readLastEntry(
  { term }: Envelope,
  wireIndex: WireInteger,
  wireTerm: WireInteger,
): { lastLogIndex: number; lastLogTerm: number } {
  const lastLogIndex = integer(wireIndex);
  const lastLogTerm = termUpTo(term, wireTerm);
  checkPosition(lastLogIndex, lastLogTerm);
  return { lastLogIndex, lastLogTerm };
}

function readAppendEntries(envelope: Envelope, wire: WireAppendEntries): AppendEntries {
  const previousIndex = integer(wire.previousIndex);
  const previousTerm = termUpTo(envelope.term, wire.previousTerm);
  checkPosition(previousIndex, previousTerm);
  if (previousIndex > MAX_INTEGER - wire.entries.length)
    throw new MalformedFrameError('an entry has an index above 2^48');
  let termBefore = previousTerm;
  const entries = wire.entries.map((wireEntry, position) => {
    const entry = readEntry(wireEntry, previousIndex + 1 + position);
    if (entry.term < termBefore || entry.term > envelope.term)
      throw new MalformedFrameError(
        `entry ${entry.index} is of term ${entry.term}, between terms ${termBefore} and ${envelope.term}`,
      );
    termBefore = entry.term;
    return entry;
  });
  const [commitIndex, round] = [integer(wire.commitIndex), integer(wire.round)];
  return { type: 'append-entries', ...envelope, previousIndex, previousTerm, entries, commitIndex, round };
}

function readEntry(wire: WireEntry, index: number): Entry {
  const kind = entryKinds[wire.kind];
  if (kind === undefined) throw new MalformedFrameError(`entry ${index} has the unknown kind ${wire.kind}`);
  if (kind === 'no-op' && wire.data.length > 0) throw new MalformedFrameError(`no-op ${index} has data`);
  const data = bytesOf(wire.data);
  if (kind === 'configuration') readConfiguration(data);
  return { index, term: positive(wire.term), kind, data };
}

function readSnapshotChunk(envelope: Envelope, wire: WireSnapshotChunk): SnapshotChunk {
  const metadata = {
    index: positive(wire.index),
    term: termUpTo(envelope.term, wire.term),
    configuration: readConfiguration(bytesOf(wire.configuration)),
  };
  checkPosition(metadata.index, metadata.term);
  if (metadata.configuration.voters.length === 0) throw new MalformedFrameError('a snapshot has no voters');
  const data = bytesOf(wire.data);
  const [sizeBytes, offset] = [integer(wire.sizeBytes), integer(wire.offset)];
  if (offset + data.length > sizeBytes)
    throw new MalformedFrameError(`a piece of a snapshot goes from ${offset} beyond its ${sizeBytes} bytes`);
  return { type: 'snapshot-chunk', ...envelope, metadata, sizeBytes, checksum: wire.checksum, offset, data };
}

function readConfiguration(data: Uint8Array): Configuration {
  const configuration = data.length <= MAX_CONFIGURATION_BYTES ? decodeConfiguration(data) : undefined;
  if (configuration === undefined) throw new MalformedFrameError('a configuration is not sound');
  return configuration;
}

/** Before the first entry stands index 0 with term 0; no entry has either. */
function checkPosition(index: number, term: number): void {
  if ((index === 0) !== (term === 0)) throw new MalformedFrameError(`index ${index} cannot be of term ${term}`);
}

/** An absent field of bytes is empty; what protobufjs gives for it is no Uint8Array everywhere. */
function bytesOf(wire: WireBytes): Uint8Array {
  return wire instanceof Uint8Array ? wire : new Uint8Array(0);
}

/** No log holds an entry of a term after its node's own. */
function termUpTo(limit: number, wire: WireInteger): number {
  const term = integer(wire);
  if (term > limit) throw new MalformedFrameError(`an entry is of term ${term}, after the sender's term ${limit}`);
  return term;
}

/** An integer in 0..2^48. */
function integer(wire: WireInteger): number {
  const value = typeof wire === 'number' ? wire : (wire.high >>> 0) * 0x1_0000_0000 + (wire.low >>> 0);
  if (!Number.isInteger(value) || value < 0 || value > MAX_INTEGER)
    throw new MalformedFrameError('an integer is above 2^48');
  return value;
}

function positive(wire: WireInteger): number {
  const value = integer(wire);
  if (value === 0) throw new MalformedFrameError('an id, index or term is 0 where none may be');
  return value;
}
