import { LIMITS } from '@concordat/commit-protocol';
import { codedError } from '@concordat/foundation';

/** Bytes that no correct end sends. The stream is closed: nothing after them can be read. */
export class LinkFrameError extends codedError('LINK_MALFORMED_FRAME') {}

/** One encoded message on a direct stream; `topic` is without the cluster, which the handshake has checked. */
export interface StreamMessage {
  readonly topic: string;
  readonly value: Buffer;
}

/** Frames with a JSON body: the handshake, and a coordinator's later status. */
export type TextFrameType = 'hello' | 'welcome' | 'refusal' | 'status';

export type Frame =
  | { readonly type: TextFrameType; readonly text: string }
  /** nothing was sent for a while; `acknowledged` as in `messages` */
  | { readonly type: 'alive'; readonly acknowledged: number }
  /** `acknowledged`: number of message frames that the sender has received on this stream, modulo 2^32 */
  | { readonly type: 'messages'; readonly acknowledged: number; readonly messages: readonly StreamMessage[] };

const KINDS = { hello: 1, welcome: 2, refusal: 3, status: 4, alive: 5, messages: 6 } as const;
const TEXT_TYPES = new Map<number, TextFrameType>(
  (['hello', 'welcome', 'refusal', 'status'] as const).map((type) => [KINDS[type], type]),
);

const LENGTH_BYTES = 4;
const KIND_BYTES = 1;
const ACKNOWLEDGED_BYTES = 4;
const TOPIC_LENGTH_BYTES = 1;
const VALUE_LENGTH_BYTES = 4;

/** Beyond this size a sender begins a new frame. */
export const FRAME_TARGET_BYTES = 256 * 1024;
export const MAXIMUM_MESSAGES_PER_FRAME = 4_096;
/** The largest frame: just below the target, plus one message of the largest size. */
export const MAXIMUM_FRAME_BYTES = FRAME_TARGET_BYTES + LIMITS.messageBytes + 1_024;
/** The largest frame with a JSON body. */
export const MAXIMUM_TEXT_FRAME_BYTES = 64 * 1024;

export function frameBytesOf({ topic, value }: StreamMessage): number {
  return TOPIC_LENGTH_BYTES + topic.length + VALUE_LENGTH_BYTES + value.length;
}

/**
 * The wire format: a length of four bytes (big-endian, of the rest), one byte for the kind, the body. Strict: an
 * unknown kind, an invalid length or extra bytes end the stream.
 */
export function encodeFrame(frame: Frame): Buffer {
  switch (frame.type) {
    case 'alive':
      return withAcknowledgement(KINDS.alive, frame.acknowledged, 0);
    case 'messages':
      return encodeMessages(frame.acknowledged, frame.messages);
    default: {
      const body = Buffer.from(frame.text);
      const bytes = Buffer.allocUnsafe(LENGTH_BYTES + KIND_BYTES + body.length);
      bytes.writeUInt32BE(KIND_BYTES + body.length, 0);
      bytes.writeUInt8(KINDS[frame.type], LENGTH_BYTES);
      body.copy(bytes, LENGTH_BYTES + KIND_BYTES);
      return bytes;
    }
  }
}

function encodeMessages(acknowledged: number, messages: readonly StreamMessage[]): Buffer {
  const bytes = withAcknowledgement(
    KINDS.messages,
    acknowledged,
    messages.reduce((sum, message) => sum + frameBytesOf(message), 0),
  );
  let at = LENGTH_BYTES + KIND_BYTES + ACKNOWLEDGED_BYTES;
  for (const { topic, value } of messages) {
    at = bytes.writeUInt8(topic.length, at);
    at += bytes.write(topic, at, 'latin1');
    at = bytes.writeUInt32BE(value.length, at);
    at += value.copy(bytes, at);
  }
  return bytes;
}

function withAcknowledgement(kind: number, acknowledged: number, bodyBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + KIND_BYTES + ACKNOWLEDGED_BYTES + bodyBytes);
  bytes.writeUInt32BE(KIND_BYTES + ACKNOWLEDGED_BYTES + bodyBytes, 0);
  bytes.writeUInt8(kind, LENGTH_BYTES);
  bytes.writeUInt32BE(acknowledged, LENGTH_BYTES + KIND_BYTES);
  return bytes;
}

const NOTHING = Buffer.alloc(0);

/** Splits a stream of bytes into frames. The frames are views of the given bytes, or of the reader's own. */
export class FrameReader {
  private maximumBytes = MAXIMUM_TEXT_FRAME_BYTES;
  /** the beginning of a frame, in its first `pendingBytes` bytes */
  private pending: Buffer = NOTHING;
  private pendingBytes = 0;

  /** Bytes held for the rest of a frame. */
  get heldBytes(): number {
    return this.pending.length;
  }

  /** The other end is known: from now on frames may be as large as those with messages. */
  allowMessages(): void {
    this.maximumBytes = MAXIMUM_FRAME_BYTES;
  }

  /**
   * The frames that these bytes complete, one at a time: what a frame changes holds for the next one. All must be taken.
   *
   * @throws LinkFrameError; then the reader must not be used any more
   */
  *push(chunk: Buffer): Generator<Frame, void, undefined> {
    const all = this.pendingBytes === 0 ? chunk : this.append(chunk);
    let bytes = all;
    while (bytes.length >= LENGTH_BYTES) {
      const length = bytes.readUInt32BE(0);
      if (length < KIND_BYTES || length > this.maximumBytes) {
        throw new LinkFrameError(`a frame of ${length} bytes; ${KIND_BYTES} to ${this.maximumBytes} are allowed`);
      }
      const end = LENGTH_BYTES + length;
      if (bytes.length < end) break;
      const frame = decodeFrame(bytes.subarray(LENGTH_BYTES, end));
      bytes = bytes.subarray(end);
      yield frame;
    }
    if (bytes.length === 0) this.pending = NOTHING;
    else if (this.pendingBytes === 0 || bytes !== all) this.pending = bytes;
    this.pendingBytes = bytes.length;
  }

  /** The held and the new bytes. The buffer doubles, so that a frame in many small pieces costs no more than its size. */
  private append(chunk: Buffer): Buffer {
    const { pending, pendingBytes: from } = this;
    const to = from + chunk.length;
    if (to > pending.length) {
      this.pending = Buffer.allocUnsafe(Math.max(to, 2 * from));
      pending.copy(this.pending, 0, 0, from);
    }
    chunk.copy(this.pending, from);
    return this.pending.subarray(0, to);
  }
}

function decodeFrame(bytes: Buffer): Frame {
  const kind = bytes.readUInt8(0);
  const textType = TEXT_TYPES.get(kind);
  if (textType) {
    if (bytes.length > MAXIMUM_TEXT_FRAME_BYTES) throw new LinkFrameError(`a ${textType} of ${bytes.length} bytes`);
    return { type: textType, text: bytes.toString('utf8', KIND_BYTES) };
  }
  if (kind !== KINDS.alive && kind !== KINDS.messages) throw new LinkFrameError(`a frame of the unknown kind ${kind}`);
  const bodyAt = KIND_BYTES + ACKNOWLEDGED_BYTES;
  if (bytes.length < bodyAt) throw new LinkFrameError(`a frame of the kind ${kind} with only ${bytes.length} bytes`);
  const acknowledged = bytes.readUInt32BE(KIND_BYTES);
  if (kind === KINDS.messages) return { type: 'messages', acknowledged, messages: decodeMessages(bytes, bodyAt) };
  if (bytes.length > bodyAt) throw new LinkFrameError(`${bytes.length - bodyAt} bytes left over`);
  return { type: 'alive', acknowledged };
}

function decodeMessages(bytes: Buffer, bodyAt: number): StreamMessage[] {
  const messages: StreamMessage[] = [];
  for (let at = bodyAt; at < bytes.length;) {
    if (messages.length === MAXIMUM_MESSAGES_PER_FRAME) throw new LinkFrameError('a frame with too many messages');
    const topicAt = at + TOPIC_LENGTH_BYTES;
    const valueLengthAt = topicAt + bytes.readUInt8(at);
    const valueAt = valueLengthAt + VALUE_LENGTH_BYTES;
    if (valueAt > bytes.length) throw new LinkFrameError('a frame that ends within a message');
    const end = valueAt + bytes.readUInt32BE(valueLengthAt);
    if (end > bytes.length) throw new LinkFrameError('a frame that ends within a message');
    messages.push({ topic: bytes.toString('latin1', topicAt, valueLengthAt), value: bytes.subarray(valueAt, end) });
    at = end;
  }
  if (messages.length === 0) throw new LinkFrameError('a frame of messages without a message');
  return messages;
}
