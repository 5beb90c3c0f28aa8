import type { Echo } from './message-decoder.js';
import { invariant, unreachable } from '@concordat/foundation';
import { encodeConfiguration } from '../core/membership/configuration-codec.js';
import type { AppendEntries, Entry, Message, SnapshotChunk } from '../core/types.js';
import {
  appendEntriesTags,
  contentTags,
  echoTags,
  entryTags,
  envelopeTags,
  frameTags,
  snapshotChunkTags,
  varintTag,
  wireKinds,
} from './wire-tags.js';
import { WireWriter } from './wire-writer.js';

/** Upper bound of a message's, and of an entry's, size without data. */
const MESSAGE_OVERHEAD_BYTES = 128;
const ENTRY_OVERHEAD_BYTES = 32;
/** Maximum size of a ping. */
const PING_BYTES = 6;
/** Maximum size of a clock in an echo: a tag and 49 bits. */
const CLOCK_BYTES = 8;
/** Larger encoded entries are not kept for the next follower. */
const MAXIMUM_KEPT_BYTES = 1024 * 1024;

/**
 * Encodes frames, each complete by itself. A leader sends the same entries to every follower, in one turn, so the last
 * encoded entries are kept: a message with the same ones reuses their bytes. At most `MAXIMUM_KEPT_BYTES` of entries
 * are kept, within the frame they were written to.
 */
export class FrameEncoder {
  private keptEntries: readonly Entry[] = [];
  private keptBytes: Uint8Array = new Uint8Array(0);

  /**
   * Encodes messages as one frame, which must not be changed: it may be read again for the next one.
   *
   * @param ping above 0 requests an echo of it; at most 2^32-1
   * @throws InvariantError when a number of a message is not an integer from 0 to 2^53-1
   */
  encode(messages: readonly Message[], ping = 0): Buffer {
    let maximumBytes = PING_BYTES;
    for (const message of messages) maximumBytes += messageSizeBytes(message);
    const writer = new WireWriter(maximumBytes);
    writer.integer(frameTags.ping, ping);
    for (let position = messages.length - 1; position >= 0; position--) this.write(writer, messages[position]!);
    return writer.finish();
  }

  private write(writer: WireWriter, message: Message): void {
    const end = writer.position;
    writer.integer(envelopeTags.groupId, message.groupId);
    writer.integer(envelopeTags.toIncarnation, message.toIncarnation);
    writer.integer(envelopeTags.fromIncarnation, message.fromIncarnation);
    const contentEnd = writer.position;
    this.writeContent(writer, message);
    writer.message(contentTags[message.type], contentEnd);
    writer.integer(envelopeTags.term, message.term);
    writer.integer(envelopeTags.to, message.to);
    writer.integer(envelopeTags.from, message.from);
    writer.message(frameTags.messages, end);
  }

  private writeContent(writer: WireWriter, message: Message): void {
    switch (message.type) {
      case 'append-entries':
        return this.writeAppendEntries(writer, message);
      case 'append-entries-accepted':
        return writeNumbers(writer, message.matchIndex, message.round);
      case 'append-entries-refused':
        return writeNumbers(writer, message.previousIndex, message.hintIndex, message.hintTerm, message.round);
      case 'request-pre-vote':
        return writeNumbers(writer, message.lastLogIndex, message.lastLogTerm);
      case 'request-vote':
        return writeNumbers(writer, message.lastLogIndex, message.lastLogTerm, Number(message.transfer));
      case 'pre-vote-reply':
      case 'request-vote-reply':
        return writeNumbers(writer, Number(message.granted));
      case 'snapshot-chunk':
        return writeSnapshotChunk(writer, message);
      case 'snapshot-chunk-reply':
        return writeNumbers(writer, message.snapshotIndex, message.snapshotTerm, message.nextOffset);
      case 'timeout-now':
        return;
      case 'read-index-request':
        return writeNumbers(writer, message.requestId);
      case 'read-index-reply':
        return writeNumbers(writer, message.requestId, message.index);
      case 'introduction':
        return writeNumbers(writer, message.lastLogIndex, message.founders);
      case 'introduction-reply': {
        const { lastLogIndex, founders, leaderId, knownIncarnation } = message;
        return writeNumbers(writer, lastLogIndex, founders, leaderId, knownIncarnation);
      }
      default:
        return unreachable(message, 'message');
    }
  }

  private writeAppendEntries(writer: WireWriter, message: AppendEntries): void {
    const { previousIndex, previousTerm, entries, commitIndex, round } = message;
    writer.integer(appendEntriesTags.round, round);
    writer.integer(appendEntriesTags.commitIndex, commitIndex);
    this.writeEntries(writer, previousIndex, entries);
    writer.integer(appendEntriesTags.previousTerm, previousTerm);
    writer.integer(appendEntriesTags.previousIndex, previousIndex);
  }

  private writeEntries(writer: WireWriter, previousIndex: number, entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (this.isKept(entries)) {
      invariant(first.index === previousIndex + 1, 'the entries of a message follow on its previous index');
      writer.raw(this.keptBytes);
      return;
    }
    const end = writer.position;
    for (let position = entries.length - 1; position >= 0; position--) {
      const entry = entries[position]!;
      invariant(entry.index === previousIndex + 1 + position, 'the entries of a message follow on its previous index');
      writeEntry(writer, entry);
    }
    const isSmall = end - writer.position <= MAXIMUM_KEPT_BYTES;
    this.keptEntries = isSmall ? entries : [];
    if (isSmall) this.keptBytes = writer.writtenSince(end);
  }

  /** Whether they are the same objects, which are never changed (`Entry`). */
  private isKept(entries: readonly Entry[]): boolean {
    const kept = this.keptEntries;
    if (entries.length !== kept.length) return false;
    for (let position = 0; position < entries.length; position++)
      if (entries[position] !== kept[position]) return false;
    return true;
  }
}

/** Encodes a single frame; see `FrameEncoder`. */
export function encodeFrame(messages: readonly Message[], ping = 0): Buffer {
  return new FrameEncoder().encode(messages, ping);
}

/** Encodes the answer to a frame with a ping. */
export function encodeEcho({ ping, clock }: Echo): Buffer {
  const writer = new WireWriter(PING_BYTES + CLOCK_BYTES);
  writer.integer(echoTags.ping, ping);
  writer.integer(echoTags.clock, clock);
  return writer.finish();
}

/** The approximate size of a message in memory and on the wire: never too low, a little too high. */
export function messageSizeBytes(message: Message): number {
  switch (message.type) {
    case 'append-entries': {
      let sizeBytes = MESSAGE_OVERHEAD_BYTES;
      for (const entry of message.entries) sizeBytes += ENTRY_OVERHEAD_BYTES + entry.data.length;
      return sizeBytes;
    }
    case 'snapshot-chunk':
      return MESSAGE_OVERHEAD_BYTES + configurationSizeBytes(message) + message.data.length;
    default:
      return MESSAGE_OVERHEAD_BYTES;
  }
}

/** An upper bound: a character takes at most six bytes in JSON and UTF-8 (`\u0000`), a number sixteen. */
function configurationSizeBytes({ metadata: { configuration } }: SnapshotChunk): number {
  return configuration.members.reduce(
    (sizeBytes, { address, data }) => sizeBytes + 6 * (address.length + data.length) + 256,
    80,
  );
}

function writeEntry(writer: WireWriter, { term, kind, data }: Entry): void {
  const end = writer.position;
  writer.data(entryTags.data, data);
  writer.integer(entryTags.kind, wireKinds[kind]);
  writer.integer(entryTags.term, term);
  writer.message(appendEntriesTags.entries, end);
}

function writeSnapshotChunk(writer: WireWriter, { metadata, sizeBytes, checksum, offset, data }: SnapshotChunk): void {
  writer.data(snapshotChunkTags.data, data);
  writer.integer(snapshotChunkTags.offset, offset);
  writer.fixed32(snapshotChunkTags.checksum, checksum);
  writer.integer(snapshotChunkTags.sizeBytes, sizeBytes);
  writer.data(snapshotChunkTags.configuration, encodeConfiguration(metadata.configuration));
  writer.integer(snapshotChunkTags.term, metadata.term);
  writer.integer(snapshotChunkTags.index, metadata.index);
}

/** The content of a message with only integers and flags, in fields 1, 2, 3, … */
function writeNumbers(writer: WireWriter, ...numbers: readonly number[]): void {
  for (let field = numbers.length; field > 0; field--) writer.integer(varintTag(field), numbers[field - 1]!);
}
