import { CodedError } from '@concordat/foundation';
import protobuf from 'protobufjs';

/** Bytes that are no frame, or a frame with content that no node sends. */
export class MalformedFrameError extends CodedError {
  readonly code = 'RAFT_MALFORMED_FRAME';
  readonly retryable = false;
}

/** A frame has at most so many messages; a sender's frames end at a size that keeps them below. */
export const MAX_MESSAGES_PER_FRAME = 16_384;
/** An `append-entries` has at most so many entries. */
export const MAX_ENTRIES_PER_MESSAGE = 65_536;
/** All messages of a frame together have at most so many entries. */
export const MAX_ENTRIES_PER_FRAME = 2 * MAX_ENTRIES_PER_MESSAGE;

const lengthDelimited = 2;
/** Field numbers of `raft-proto.ts`: the messages of a frame, an envelope's contents, the entries of a message. */
const messagesField = 1;
const firstContentField = 4;
const lastContentField = 15;
const appendEntriesField = 8;
const entriesField = 3;

/**
 * Walks over a frame without building anything, and refuses one that holds more messages or entries than any node
 * sends, or a message with none or several contents. Two bytes are enough for an empty message, so without this
 * a frame of the largest size would decode to gigabytes of objects.
 *
 * @throws MalformedFrameError, and errors of protobufjs when the bytes end too early
 */
export function checkFrameShape(bytes: Uint8Array): void {
  const reader = protobuf.Reader.create(bytes);
  let messages = 0;
  let entries = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (!isField(tag, messagesField)) {
      reader.skipType(tag & 7);
      continue;
    }
    if (++messages > MAX_MESSAGES_PER_FRAME)
      throw new MalformedFrameError(`a frame has more than ${MAX_MESSAGES_PER_FRAME} messages`);
    entries += countEntriesOfEnvelope(reader, endOf(reader));
    if (entries > MAX_ENTRIES_PER_FRAME)
      throw new MalformedFrameError(`a frame has more than ${MAX_ENTRIES_PER_FRAME} entries`);
  }
}

function countEntriesOfEnvelope(reader: protobuf.Reader, end: number): number {
  let entries = 0;
  let contents = 0;
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = tag >>> 3;
    if (field >= firstContentField && field <= lastContentField) contents++;
    if (isField(tag, appendEntriesField)) entries += countEntries(reader, endOf(reader));
    else reader.skipType(tag & 7);
  }
  if (contents === 0) throw new MalformedFrameError('a message has no content, or one of a later version');
  if (contents > 1) throw new MalformedFrameError('a message has several contents');
  return entries;
}

function countEntries(reader: protobuf.Reader, end: number): number {
  let entries = 0;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (isField(tag, entriesField)) entries++;
    reader.skipType(tag & 7);
  }
  if (entries > MAX_ENTRIES_PER_MESSAGE)
    throw new MalformedFrameError(`a message has more than ${MAX_ENTRIES_PER_MESSAGE} entries`);
  return entries;
}

/** Whether it is that field as bytes of a length; the decoder takes it for an unknown one otherwise. */
function isField(tag: number, field: number): boolean {
  return tag === ((field << 3) | lengthDelimited);
}

function endOf(reader: protobuf.Reader): number {
  const length = reader.uint32();
  return reader.pos + length;
}
