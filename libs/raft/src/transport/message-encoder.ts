import { invariant, unreachable } from '@concordat/foundation';
import { encodeConfiguration } from '../core/configuration-codec.js';
import type { AppendEntries, EntryKind, Message, SnapshotChunk } from '../core/types.js';
import { echoType, frameType } from './wire-types.js';

/** About what a message, and an entry of it, take beside their data. */
const MESSAGE_OVERHEAD_BYTES = 128;
const ENTRY_OVERHEAD_BYTES = 32;

const wireKinds: Readonly<Record<EntryKind, number>> = { normal: 1, 'no-op': 2, configuration: 3 };

/** Encodes messages as one frame; a `ping` above 0 asks the receiver for an echo of it. */
export function encodeFrame(messages: readonly Message[], ping = 0): Buffer {
  return asBuffer(frameType.encode({ messages: messages.map(toWire), ping }).finish());
}

/** Encodes the answer to a frame with a ping. */
export function encodeEcho(ping: number): Buffer {
  return asBuffer(echoType.encode({ ping }).finish());
}

/** About how many bytes a message takes in memory and on the wire; a little too much rather than too little. */
export function messageSizeBytes(message: Message): number {
  switch (message.type) {
    case 'append-entries':
      return message.entries.reduce(
        (sizeBytes, entry) => sizeBytes + ENTRY_OVERHEAD_BYTES + entry.data.length,
        MESSAGE_OVERHEAD_BYTES,
      );
    case 'snapshot-chunk':
      return MESSAGE_OVERHEAD_BYTES + configurationSizeBytes(message) + message.data.length;
    default:
      return MESSAGE_OVERHEAD_BYTES;
  }
}

/** From above: a character takes six bytes at most in JSON and UTF-8 (`\u0000`), a number sixteen. */
function configurationSizeBytes({ metadata: { configuration } }: SnapshotChunk): number {
  return configuration.members.reduce(
    (sizeBytes, { address, data }) => sizeBytes + 6 * (address.length + data.length) + 160,
    80,
  );
}

function toWire(message: Message): object {
  const { from, to, term } = message;
  return { from, to, term, ...contentOf(message) };
}

function contentOf(message: Message): object {
  switch (message.type) {
    case 'request-pre-vote':
      return { requestPreVote: message };
    case 'pre-vote-reply':
      return { preVoteReply: message };
    case 'request-vote':
      return { requestVote: message };
    case 'request-vote-reply':
      return { requestVoteReply: message };
    case 'append-entries':
      return { appendEntries: appendEntriesToWire(message) };
    case 'append-entries-accepted':
      return { appendEntriesAccepted: message };
    case 'append-entries-refused':
      return { appendEntriesRefused: message };
    case 'snapshot-chunk':
      return { snapshotChunk: snapshotChunkToWire(message) };
    case 'snapshot-chunk-reply':
      return { snapshotChunkReply: message };
    case 'timeout-now':
      return { timeoutNow: {} };
    case 'read-index-request':
      return { readIndexRequest: message };
    case 'read-index-reply':
      return { readIndexReply: message };
    default:
      return unreachable(message, 'message');
  }
}

function appendEntriesToWire({ previousIndex, previousTerm, entries, commitIndex, round }: AppendEntries): object {
  const wireEntries = entries.map(({ index, term, kind, data }, position) => {
    invariant(index === previousIndex + 1 + position, 'the entries of a message follow on its previous index');
    return { term, kind: wireKinds[kind], data };
  });
  return { previousIndex, previousTerm, entries: wireEntries, commitIndex, round };
}

function snapshotChunkToWire({ metadata, sizeBytes, checksum, offset, data }: SnapshotChunk): object {
  const { index, term, configuration } = metadata;
  return { index, term, configuration: encodeConfiguration(configuration), sizeBytes, checksum, offset, data };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
