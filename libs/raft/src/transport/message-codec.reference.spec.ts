import { describe, expect, it } from '@jest/globals';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import type { AppendEntries, Entry, Message } from '../core/types.js';
import { MalformedFrameError } from './frame-limits.js';
import { decodeFrame } from './message-decoder.js';
import { encodeFrame, FrameEncoder, messageSizeBytes } from './message-encoder.js';
import { mutateFrame, sampleFrames } from './testing/mutated-frames.js';
import { looseFrame, protobufFrame, readByProtobuf } from './testing/protobuf-reference.js';
import { randomMessage } from './testing/random-messages.js';
import { between } from '../core/testing/members.js';
import { comparable, sampleMessages } from './testing/sample-messages.js';

const seed = Number(process.env['FUZZ_SEED'] ?? 20_250_102);
const replay = `FUZZ_SEED=${seed} npm run jest -- --selectProjects unit -- libs/raft/src/transport/message-codec.reference`;

/** With the keys in one order. */
function canonical(messages: readonly Message[]): string {
  return JSON.stringify(comparable(messages), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}

function randomMessages(random: SeededRandom): Message[] {
  return Array.from({ length: randomInteger(random, 0, 4) }, () => randomMessage(random));
}

/** @throws with the frame and the command that replays it, unless both read the same */
function expectAlike(frame: Buffer, messages: readonly Message[], round: number): void {
  if (canonical(decodeFrame(frame).messages) !== canonical(messages))
    throw new Error(`frame ${round} (${frame.toString('hex')}) is read otherwise; replay: ${replay}`);
}

describe('the codec and protobufjs', () => {
  it('write the same bytes, and each reads what the other wrote', () => {
    const random = new SeededRandom(seed);
    const types = new Set<string>();
    for (let round = 0; round < 1000; round++) {
      const messages = randomMessages(random);
      const ping = round % 3 === 0 ? 0 : random.uint32();
      const ours = encodeFrame(messages, ping);
      if (!ours.equals(protobufFrame(messages, ping)))
        throw new Error(`frame ${round} (${ours.toString('hex')}) is written otherwise; replay: ${replay}`);
      expectAlike(ours, messages, round);
      const theirs = readByProtobuf(ours);
      expect([canonical(theirs.messages), theirs.ping]).toEqual([canonical(messages), ping]);
      expect(decodeFrame(ours).ping).toBe(ping);
      for (const message of messages) types.add(message.type);
    }
    expect(types.size).toBe(14);
  }, 60_000);

  it('read alike what another writer may write: any order, long numbers, defaults, unknown fields', () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 1000; round++) {
      const messages = randomMessages(random);
      const frame = looseFrame(random, messages, 7);
      expect(canonical(readByProtobuf(frame).messages)).toBe(canonical(messages));
      expectAlike(frame, messages, round);
      expect(decodeFrame(frame).ping).toBe(7);
    }
  }, 60_000);

  it('read alike whatever of 20,000 mutated frames is not refused', () => {
    const random = new SeededRandom(seed);
    const originals = [...sampleFrames(), ...sampleMessages.map((message) => looseFrame(random, [message]))];
    let accepted = 0;
    for (let round = 0; round < 20_000; round++) {
      const frame = mutateFrame(random, originals);
      try {
        decodeFrame(frame);
      } catch (error) {
        if (error instanceof MalformedFrameError) continue;
        throw error;
      }
      accepted++;
      expectAlike(frame, readByProtobuf(frame).messages, round);
    }
    expect(accepted).toBeGreaterThan(2000);
  }, 60_000);
});

describe('the encoder', () => {
  const entriesFrom = (index: number, count: number): Entry[] =>
    Array.from({ length: count }, (_, position) => ({
      index: index + position,
      term: 3,
      kind: 'normal',
      data: Buffer.from(`command ${index + position}`),
    }));
  const append = (to: number, previousIndex: number, entries: readonly Entry[]): AppendEntries => ({
    type: 'append-entries',
    ...between(1, to),
    term: 3,
    previousIndex,
    previousTerm: 3,
    entries,
    commitIndex: to,
    round: 2,
  });

  it('takes over the bytes of the same entries, and of no others', () => {
    const encoder = new FrameEncoder();
    const entries = entriesFrom(10, 5);
    const others = [...entries.slice(0, 2), { ...entries[2]!, data: Buffer.from('different') }, ...entries.slice(3)];
    const messages = [
      append(2, 9, entries),
      append(3, 9, entries.slice()), // the same
      append(4, 9, entries.slice(0, 4)), // fewer
      append(5, 10, entries.slice(1)), // not the first
      append(6, 9, others), // another one in the middle
      append(7, 9, []),
      append(8, 9, entries),
      append(9, 99, entriesFrom(100, 5)),
    ];
    for (const message of messages)
      expect(encoder.encode([message], 1).toString('hex')).toBe(protobufFrame([message], 1).toString('hex'));
    const together = encoder.encode([...messages, ...messages]);
    expect(together.toString('hex')).toBe(protobufFrame([...messages, ...messages]).toString('hex'));
  });

  it('takes over nothing that is larger than it keeps', () => {
    const encoder = new FrameEncoder();
    const large: Entry = { index: 10, term: 3, kind: 'normal', data: Buffer.alloc(1024 * 1024) };
    for (const to of [2, 3])
      expect(encoder.encode([append(to, 9, [large])]).equals(protobufFrame([append(to, 9, [large])]))).toBe(true);
  });

  it('refuses entries that do not follow on the previous index, kept or not', () => {
    const encoder = new FrameEncoder();
    const entries = entriesFrom(10, 2);
    expect(() => encoder.encode([append(2, 8, entries)])).toThrow('follow on its previous index');
    encoder.encode([append(2, 9, entries)]);
    expect(() => encoder.encode([append(2, 8, entries)])).toThrow('follow on its previous index');
    expect(() => encoder.encode([append(2, 9, [entries[0]!, entries[0]!])])).toThrow('follow on its previous index');
  });

  it.each([-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])('refuses the number %p', (term) => {
    expect(() => encodeFrame([{ type: 'timeout-now', ...between(1, 2), term }])).toThrow('lies in 0..2^53-1');
  });

  it('needs no more room than it estimates', () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 1000; round++) {
      const message = randomMessage(random);
      expect(messageSizeBytes(message)).toBeGreaterThanOrEqual(encodeFrame([message]).length);
    }
  });
});
