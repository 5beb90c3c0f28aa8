import { CodedError, errorMessage, invariant, unreachable } from '@concordat/foundation';
import protobuf from 'protobufjs';
import type { Entry, Message } from '../core/types.js';
import { raftProto } from './raft-proto.js';

/** Bytes that are no frame, or a frame with content that no node sends. */
export class MalformedFrameError extends CodedError {
  readonly code = 'RAFT_MALFORMED_FRAME';
  readonly retryable = false;
}

/** Protobuf's 64-bit integers arrive as pairs of 32-bit halves. */
interface Uint64 {
  readonly low: number;
  readonly high: number;
}

type WireInteger = Uint64 | number;

interface WireEntry {
  readonly term: WireInteger;
  readonly kind: number;
  readonly data: Uint8Array | readonly number[];
}

/** A decoded envelope: protobufjs gives absent fields their defaults and leaves absent messages null. */
interface WireEnvelope {
  readonly from: WireInteger;
  readonly to: WireInteger;
  readonly term: WireInteger;
  readonly requestVote?: { readonly lastLogIndex: WireInteger; readonly lastLogTerm: WireInteger } | null;
  readonly requestVoteReply?: { readonly granted: boolean } | null;
  readonly appendEntries?: {
    readonly previousIndex: WireInteger;
    readonly previousTerm: WireInteger;
    readonly entries: readonly WireEntry[];
    readonly commitIndex: WireInteger;
    readonly round: WireInteger;
  } | null;
  readonly appendEntriesReply?: {
    readonly success: boolean;
    readonly matchIndex: WireInteger;
    readonly hintIndex: WireInteger;
    readonly hintTerm: WireInteger;
    readonly round: WireInteger;
  } | null;
  readonly installSnapshot?: {
    readonly index: WireInteger;
    readonly term: WireInteger;
    readonly voters: readonly WireInteger[];
    readonly data: Uint8Array | readonly number[];
  } | null;
  readonly timeoutNow?: object | null;
}

const frameType = protobuf.parse(raftProto).root.lookupType('concordat.raft.v1.Frame');
const normalKind = 1;
const noOpKind = 2;

/** Encodes messages as one frame. */
export function encodeFrame(messages: readonly Message[]): Buffer {
  const bytes = frameType.encode({ messages: messages.map(toWire) }).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Decodes a frame and checks every field. The data of entries and snapshots are views of `bytes`.
 *
 * @throws MalformedFrameError
 */
export function decodeFrame(bytes: Uint8Array): Message[] {
  try {
    const frame = frameType.decode(bytes) as unknown as { readonly messages: readonly WireEnvelope[] };
    return frame.messages.map(fromWire);
  } catch (error) {
    if (error instanceof MalformedFrameError) throw error;
    throw new MalformedFrameError(`a frame could not be read: ${errorMessage(error)}`, { cause: error });
  }
}

/** About how many bytes a message takes in memory and on the wire; a little too much rather than too little. */
export function messageSizeBytes(message: Message): number {
  switch (message.type) {
    case 'append-entries':
      return message.entries.reduce((size, entry) => size + 24 + entry.data.length, 96);
    case 'install-snapshot':
      return 96 + 9 * message.snapshot.metadata.voters.length + message.snapshot.data.length;
    default:
      return 96;
  }
}

function toWire(message: Message): object {
  const { from, to, term } = message;
  switch (message.type) {
    case 'request-vote':
      return { from, to, term, requestVote: message };
    case 'request-vote-reply':
      return { from, to, term, requestVoteReply: message };
    case 'append-entries': {
      const { previousIndex, previousTerm, commitIndex, round } = message;
      const entries = message.entries.map((entry, position) => {
        invariant(
          entry.index === previousIndex + 1 + position,
          'the entries of a message follow on its previous index',
        );
        return { term: entry.term, kind: entry.kind === 'normal' ? normalKind : noOpKind, data: entry.data };
      });
      return { from, to, term, appendEntries: { previousIndex, previousTerm, entries, commitIndex, round } };
    }
    case 'append-entries-reply':
      return { from, to, term, appendEntriesReply: message };
    case 'install-snapshot': {
      const { metadata, data } = message.snapshot;
      return { from, to, term, installSnapshot: { ...metadata, data } };
    }
    case 'timeout-now':
      return { from, to, term, timeoutNow: {} };
    default:
      return unreachable(message, 'message');
  }
}

function fromWire(envelope: WireEnvelope): Message {
  const from = nodeId(envelope.from);
  const to = nodeId(envelope.to);
  const term = integer(envelope.term);
  if (envelope.appendEntries) return readAppendEntries(from, to, term, envelope.appendEntries);
  if (envelope.appendEntriesReply) {
    const { success, matchIndex, hintIndex, hintTerm, round } = envelope.appendEntriesReply;
    return {
      type: 'append-entries-reply',
      from,
      to,
      term,
      success,
      matchIndex: integer(matchIndex),
      hintIndex: integer(hintIndex),
      hintTerm: integer(hintTerm),
      round: integer(round),
    };
  }
  if (envelope.requestVote) {
    const { lastLogIndex, lastLogTerm } = envelope.requestVote;
    return {
      type: 'request-vote',
      from,
      to,
      term,
      lastLogIndex: integer(lastLogIndex),
      lastLogTerm: integer(lastLogTerm),
    };
  }
  if (envelope.requestVoteReply)
    return { type: 'request-vote-reply', from, to, term, granted: envelope.requestVoteReply.granted };
  if (envelope.installSnapshot) {
    const { index, term: snapshotTerm, voters, data } = envelope.installSnapshot;
    const metadata = { index: positive(index), term: positive(snapshotTerm), voters: voters.map(nodeId) };
    if (metadata.voters.length === 0) throw new MalformedFrameError('a snapshot has no voters');
    return { type: 'install-snapshot', from, to, term, snapshot: { metadata, data: bytesOf(data) } };
  }
  if (envelope.timeoutNow) return { type: 'timeout-now', from, to, term };
  throw new MalformedFrameError('a message has no content, or one of a later version');
}

function readAppendEntries(
  from: number,
  to: number,
  term: number,
  wire: NonNullable<WireEnvelope['appendEntries']>,
): Message {
  const previousIndex = integer(wire.previousIndex);
  if (previousIndex > Number.MAX_SAFE_INTEGER - wire.entries.length)
    throw new MalformedFrameError('an entry has an index above 2^53-1');
  return {
    type: 'append-entries',
    from,
    to,
    term,
    previousIndex,
    previousTerm: integer(wire.previousTerm),
    entries: wire.entries.map((entry, position) => readEntry(entry, previousIndex + 1 + position)),
    commitIndex: integer(wire.commitIndex),
    round: integer(wire.round),
  };
}

function readEntry(wire: WireEntry, index: number): Entry {
  if (wire.kind !== normalKind && wire.kind !== noOpKind)
    throw new MalformedFrameError(`entry ${index} has the unknown kind ${wire.kind}`);
  if (wire.kind === noOpKind && wire.data.length > 0) throw new MalformedFrameError(`no-op ${index} has data`);
  return {
    index,
    term: positive(wire.term),
    kind: wire.kind === normalKind ? 'normal' : 'no-op',
    data: bytesOf(wire.data),
  };
}

/** An absent field of bytes is empty; what protobufjs gives for it is no Uint8Array everywhere. */
function bytesOf(wire: Uint8Array | readonly number[]): Uint8Array {
  return wire instanceof Uint8Array ? wire : new Uint8Array(0);
}

/** An integer in 0..2^53-1. */
function integer(wire: WireInteger): number {
  const value = typeof wire === 'number' ? wire : (wire.high >>> 0) * 0x1_0000_0000 + (wire.low >>> 0);
  if (!Number.isSafeInteger(value)) throw new MalformedFrameError('an integer is above 2^53-1');
  return value;
}

function positive(wire: WireInteger): number {
  const value = integer(wire);
  if (value === 0) throw new MalformedFrameError('an id, index or term is 0 where none may be');
  return value;
}

const nodeId = positive;
