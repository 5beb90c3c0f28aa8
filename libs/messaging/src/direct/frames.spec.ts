import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@concordat/commit-protocol';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import {
  encodeFrame,
  FrameReader,
  LinkFrameError,
  MAXIMUM_FRAME_BYTES,
  MAXIMUM_MESSAGES_PER_FRAME,
  MAXIMUM_TEXT_FRAME_BYTES,
  type Frame,
} from './frames.js';

const MUTATIONS = process.env['CONCORDAT_NIGHTLY'] === '1' ? 200_000 : 20_000;

function randomFrame(random: SeededRandom): Frame {
  const acknowledged = random.uint32();
  switch (randomInteger(random, 0, 3)) {
    case 0:
      return { type: 'alive', acknowledged };
    case 1:
      return { type: 'hello', text: JSON.stringify({ text: 'ä'.repeat(randomInteger(random, 0, 50)) }) };
    default: {
      const messages = Array.from({ length: randomInteger(random, 1, 5) }, () => ({
        topic: `decide.${'p'.repeat(randomInteger(random, 1, 60))}`,
        value: Buffer.alloc(randomInteger(random, 0, 300), randomInteger(random, 0, 255)),
      }));
      return { type: 'messages', acknowledged, messages };
    }
  }
}

/** As of a stream after its handshake. */
function openReader(): FrameReader {
  const reader = new FrameReader();
  reader.allowMessages();
  return reader;
}

/** All frames of some bytes, handed to the reader in pieces of random sizes. */
function readInPieces(bytes: Buffer, random: SeededRandom): Frame[] {
  const reader = openReader();
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + randomInteger(random, 1, 200));
    frames.push(...reader.push(bytes.subarray(at, end)));
    at = end;
  }
  return frames;
}

describe('frames', () => {
  it('are read as they were written, however the bytes are cut', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed);
      const frames = Array.from({ length: 10 }, () => randomFrame(random));
      expect(readInPieces(Buffer.concat(frames.map(encodeFrame)), random)).toEqual(frames);
    }
  });

  it('hold a message of the largest size', () => {
    const value = Buffer.alloc(LIMITS.messageBytes, 1);
    const frame: Frame = { type: 'messages', acknowledged: 0, messages: [{ topic: 'replies', value }] };
    const [read] = openReader().push(encodeFrame(frame));
    expect(read?.type === 'messages' && read.messages[0]!.value.equals(value)).toBe(true);
  });

  const length = (bytes: number): Buffer => Buffer.from([0, 0, bytes >> 8, bytes & 255]);
  it.each([
    ['a frame without a kind', Buffer.from([0, 0, 0, 0]), 'a frame of 0 bytes'],
    ['a frame that is too large', Buffer.from([255, 255, 255, 255]), 'a frame of 4294967295 bytes'],
    ['an unknown kind', Buffer.from([0, 0, 0, 1, 99]), 'unknown kind 99'],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'a frame of 1195725856 bytes'],
    ['signs of life that are too short', Buffer.concat([length(3), Buffer.from([5, 0, 0])]), 'with only 3 bytes'],
    ['signs of life with more behind', Buffer.concat([length(6), Buffer.from([5, 0, 0, 0, 1, 7])]), 'left over'],
    ['no message', Buffer.concat([length(5), Buffer.from([6, 0, 0, 0, 0])]), 'without a message'],
    ['half a message', Buffer.concat([length(7), Buffer.from([6, 0, 0, 0, 0, 1, 65])]), 'ends within a message'],
    [
      'a greeting that is too large',
      encodeFrame({ type: 'hello', text: 'x'.repeat(MAXIMUM_TEXT_FRAME_BYTES) }),
      'a hello of',
    ],
    [
      'too many messages',
      encodeFrame({
        type: 'messages',
        acknowledged: 0,
        messages: Array.from({ length: MAXIMUM_MESSAGES_PER_FRAME + 1 }, () => ({ topic: '', value: Buffer.alloc(0) })),
      }),
      'too many messages',
    ],
  ])('refuse %s', (_, bytes, complaint) => {
    expect(() => [...openReader().push(bytes)]).toThrow(LinkFrameError);
    expect(() => [...openReader().push(bytes)]).toThrow(complaint);
  });

  it('are no larger than a greeting before the handshake', () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(MAXIMUM_TEXT_FRAME_BYTES + 1, 0);
    expect(() => [...new FrameReader().push(head)]).toThrow(`1 to ${MAXIMUM_TEXT_FRAME_BYTES} are allowed`);
    expect([...openReader().push(head)]).toEqual([]);
  });

  it('hold no more memory than twice their size, in however many pieces they come', () => {
    const value = Buffer.alloc(LIMITS.messageBytes, 7);
    const bytes = encodeFrame({ type: 'messages', acknowledged: 0, messages: [{ topic: 'replies', value }] });
    const reader = openReader();
    let held = 0;
    let frames = 0;
    for (let at = 0; at < bytes.length; at += 3) {
      for (const frame of reader.push(bytes.subarray(at, at + 3))) {
        frames++;
        expect(frame.type === 'messages' && frame.messages[0]!.value.equals(value)).toBe(true);
      }
      held = Math.max(held, reader.heldBytes);
    }
    expect([frames, reader.heldBytes]).toEqual([1, 0]);
    expect(held).toBeLessThanOrEqual(2 * bytes.length);
  });

  it(`throw nothing but LinkFrameError for ${MUTATIONS} mutated streams, and hold no more than a frame`, () => {
    const random = new SeededRandom(7);
    for (let round = 0; round < MUTATIONS; round++) {
      const bytes = Buffer.concat([encodeFrame(randomFrame(random)), encodeFrame(randomFrame(random))]);
      for (let change = randomInteger(random, 1, 4); change > 0; change--) {
        bytes[randomInteger(random, 0, bytes.length - 1)] = randomInteger(random, 0, 255);
      }
      try {
        readInPieces(bytes, random);
      } catch (error) {
        if (!(error instanceof LinkFrameError)) throw error;
      }
    }
    expect(MAXIMUM_FRAME_BYTES).toBeLessThan(4 * 1024 * 1024);
  });
});
