import { describe, expect, it } from '@jest/globals';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import type { Message } from '../core/types.js';
import { decodeFrame, encodeFrame, MalformedFrameError, messageSizeBytes } from './message-codec.js';

const largest = Number.MAX_SAFE_INTEGER;
const bytes = (text: string): Uint8Array => Buffer.from(text);

const messages: readonly Message[] = [
  { type: 'request-vote', from: 1, to: 2, term: 3, lastLogIndex: 0, lastLogTerm: 0 },
  { type: 'request-vote', from: largest, to: 2, term: largest, lastLogIndex: largest, lastLogTerm: 2 ** 32 },
  { type: 'request-vote-reply', from: 2, to: 1, term: 3, granted: true },
  { type: 'request-vote-reply', from: 2, to: 1, term: 3, granted: false },
  {
    type: 'append-entries',
    from: 1,
    to: 2,
    term: 3,
    previousIndex: 2 ** 33,
    previousTerm: 2,
    entries: [
      { index: 2 ** 33 + 1, term: 2, kind: 'normal', data: bytes('one') },
      { index: 2 ** 33 + 2, term: 3, kind: 'no-op', data: bytes('') },
      { index: 2 ** 33 + 3, term: 3, kind: 'normal', data: bytes('') },
    ],
    commitIndex: 2 ** 31,
    round: 7,
  },
  {
    type: 'append-entries',
    from: 1,
    to: 2,
    term: 1,
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    commitIndex: 0,
    round: 0,
  },
  {
    type: 'append-entries-reply',
    from: 2,
    to: 1,
    term: 3,
    success: true,
    matchIndex: 9,
    hintIndex: 0,
    hintTerm: 0,
    round: 1,
  },
  {
    type: 'append-entries-reply',
    from: 2,
    to: 1,
    term: 3,
    success: false,
    matchIndex: 9,
    hintIndex: 4,
    hintTerm: 2,
    round: 0,
  },
  {
    type: 'install-snapshot',
    from: 1,
    to: 3,
    term: 8,
    snapshot: { metadata: { index: 100, term: 7, voters: [1, 2, 3] }, data: bytes('state') },
  },
  { type: 'timeout-now', from: 1, to: 2, term: 5 },
];

/** The messages with their data as plain arrays, whatever kind of bytes they are. */
const comparable = (list: readonly Message[]): unknown =>
  list.map((message) => {
    if (message.type === 'append-entries')
      return { ...message, entries: message.entries.map((entry) => ({ ...entry, data: [...entry.data] })) };
    if (message.type !== 'install-snapshot') return message;
    return { ...message, snapshot: { ...message.snapshot, data: [...message.snapshot.data] } };
  });

describe('the codec of messages', () => {
  it.each(messages.map((message) => [message.type, message] as const))('brings back %s as it was', (_type, message) => {
    expect(comparable(decodeFrame(encodeFrame([message])))).toEqual(comparable([message]));
  });

  it('keeps the order of several messages, and allows none', () => {
    expect(comparable(decodeFrame(encodeFrame(messages)))).toEqual(comparable(messages));
    expect(decodeFrame(encodeFrame([]))).toEqual([]);
  });

  it('does not copy the data of entries', () => {
    const append = messages.find((message) => message.type === 'append-entries');
    const frame = encodeFrame(append ? [append] : []);
    const [decoded] = decodeFrame(frame);
    expect(decoded?.type === 'append-entries' && decoded.entries[0]?.data.buffer === frame.buffer).toBe(true);
  });

  it('estimates sizes from above', () => {
    for (const message of messages)
      expect(messageSizeBytes(message)).toBeGreaterThanOrEqual(encodeFrame([message]).length);
  });
});

describe('the codec refuses', () => {
  const base = { from: 1, to: 2, term: 3 } as const;
  const append = {
    ...base,
    type: 'append-entries',
    previousIndex: 0,
    previousTerm: 0,
    commitIndex: 0,
    round: 0,
  } as const;
  const cases: readonly (readonly [string, Buffer])[] = [
    ['rubbish', Buffer.from('this is no frame')],
    ['a length beyond the end', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['a message without content', Buffer.from([0x0a, 0x06, 0x08, 1, 0x10, 2, 0x18, 3])],
    ['a sender 0', encodeFrame([{ ...base, type: 'timeout-now', from: 0 }])],
    ['a term above 2^53-1', encodeFrame([{ ...base, type: 'timeout-now', term: 2 ** 53 }])],
    ['a negative term', encodeFrame([{ ...base, type: 'timeout-now', term: -1 }])],
    [
      'an index above 2^53-1',
      encodeFrame([
        {
          ...append,
          previousIndex: largest,
          entries: [{ index: largest + 1, term: 1, kind: 'normal', data: bytes('') }],
        },
      ]),
    ],
    [
      'an entry of term 0',
      encodeFrame([{ ...append, entries: [{ index: 1, term: 0, kind: 'normal', data: bytes('') }] }]),
    ],
    [
      'a no-op with data',
      encodeFrame([{ ...append, entries: [{ index: 1, term: 1, kind: 'no-op', data: bytes('x') }] }]),
    ],
    [
      'a snapshot without voters',
      encodeFrame([
        {
          ...base,
          type: 'install-snapshot',
          snapshot: { metadata: { index: 1, term: 1, voters: [] }, data: bytes('') },
        },
      ]),
    ],
  ];

  it.each(cases)('%s', (_what, frame) => {
    expect(() => decodeFrame(frame)).toThrow(MalformedFrameError);
  });

  it('an entry of an unknown kind', () => {
    const frame = encodeFrame([{ ...append, entries: [{ index: 1, term: 9, kind: 'normal', data: bytes('x') }] }]);
    const kindAt = frame.indexOf(Buffer.from([0x10, 1, 0x1a]));
    frame[kindAt + 1] = 3;
    expect(() => decodeFrame(frame)).toThrow('unknown kind 3');
  });

  it('or accepts, but never fails otherwise, whatever bytes change', () => {
    const random = new SeededRandom(4711);
    const original = encodeFrame(messages);
    for (let round = 0; round < 3000; round++) {
      const frame = Buffer.from(original).subarray(0, randomInteger(random, 1, original.length));
      for (let change = randomInteger(random, 0, 3); change > 0; change--)
        frame[randomInteger(random, 0, frame.length - 1)] = randomInteger(random, 0, 255);
      try {
        for (const message of decodeFrame(frame)) expect(message.from).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedFrameError);
      }
    }
  });
});
