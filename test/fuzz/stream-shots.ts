import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';
import { damageBytes, damageFields } from './damage.js';

/** The kind of a frame with a JSON body is at most this; of messages, this. */
const LAST_TEXT_KIND = 4;
const MESSAGES_KIND = 6;
const HEAD_BYTES = 5;
const ACKNOWLEDGED_BYTES = 4;

/**
 * Breaks one direction of a valid conversation over a direct stream: its bytes, the JSON of a handshake or of a message
 * with all lengths right, the order and number of the frames, a length, a kind.
 *
 * @param frames as they were written, one frame each
 */
export function damageStream(random: Random, frames: readonly Buffer[]): Buffer {
  const place = randomInteger(random, 0, frames.length - 1);
  const [frame, other] = [frames[place]!, randomItem(random, frames)];
  switch (randomInteger(random, 0, 5)) {
    case 0:
      return damageBytes(random, Buffer.concat(frames), other).bytes ?? Buffer.alloc(0);
    case 1:
      return put(frames, place, damageBytes(random, frame, other).bytes ?? Buffer.alloc(0));
    case 2:
    case 3:
      return put(frames, place, damageContent(random, frame, frames));
    case 4: {
      const copy = Buffer.from(frame);
      if (randomChance(random, 0.5)) copy.writeUInt32BE(randomItem(random, [0, 1, 70_000, random.uint32()]), 0);
      else copy.writeUInt8(randomInteger(random, 0, 9), HEAD_BYTES - 1);
      return put(frames, place, copy);
    }
    default: {
      const copy = [...frames];
      if (randomChance(random, 0.5)) copy.splice(place, 1);
      else copy.splice(randomInteger(random, 0, frames.length), 0, other);
      return Buffer.concat(copy);
    }
  }
}

/** Calls `take` with the bytes in pieces of random sizes, as TCP hands them on. */
export function inPieces(random: Random, bytes: Buffer, take: (piece: Buffer) => void): void {
  for (let at = 0; at < bytes.length;) {
    const size = randomChance(random, 0.2) ? randomInteger(random, 1, 5) : randomInteger(random, 50, 4_000);
    take(bytes.subarray(at, at + size));
    at += size;
  }
}

function put(frames: readonly Buffer[], place: number, bytes: Buffer): Buffer {
  return Buffer.concat([...frames.slice(0, place), bytes, ...frames.slice(place + 1)]);
}

function damageContent(random: Random, frame: Buffer, frames: readonly Buffer[]): Buffer {
  const kind = frame.readUInt8(HEAD_BYTES - 1);
  if (kind <= LAST_TEXT_KIND) {
    const body = frame.subarray(HEAD_BYTES);
    return frameOf(kind, damageFields(random, body, body).bytes ?? Buffer.alloc(0));
  }
  if (kind !== MESSAGES_KIND) return damageBytes(random, frame, randomItem(random, frames)).bytes ?? Buffer.alloc(0);
  const topicAt = HEAD_BYTES + ACKNOWLEDGED_BYTES + 1;
  const lengthAt = topicAt + frame.readUInt8(topicAt - 1);
  const end = lengthAt + 4 + frame.readUInt32BE(lengthAt);
  const value = frame.subarray(lengthAt + 4, end);
  const damaged = damageFields(random, value, value).bytes ?? Buffer.alloc(0);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(damaged.length, 0);
  return frameOf(kind, Buffer.concat([frame.subarray(HEAD_BYTES, lengthAt), length, damaged, frame.subarray(end)]));
}

function frameOf(kind: number, body: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(body.length + 1, 0);
  head.writeUInt8(kind, HEAD_BYTES - 1);
  return Buffer.concat([head, body]);
}
