import { describe, expect, it } from '@jest/globals';
import protobuf from 'protobufjs';
import { encodeConfiguration } from '../core/membership/configuration-codec.js';
import { MAXIMUM_INTEGER, type Entry, type EntryKind, type Message } from '../core/types.js';
import { MalformedFrameError, MAXIMUM_ENTRIES_PER_MESSAGE, MAXIMUM_MESSAGES_PER_FRAME } from './frame-limits.js';
import { decodeEcho, decodeFrame } from './message-decoder.js';
import { encodeEcho, encodeFrame, messageSizeBytes } from './message-encoder.js';
import { protobufFrame } from './testing/protobuf-reference.js';
import { between } from '../core/testing/members.js';
import { comparable, jointConfiguration, sampleMessages } from './testing/sample-messages.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('the codec of messages', () => {
  it.each(sampleMessages.map((message) => [message.type, message] as const))(
    'brings back %s as it was',
    (_type, message) => {
      expect(comparable(decodeFrame(encodeFrame([message])).messages)).toEqual(comparable([message]));
    },
  );

  it('keeps the order of several messages, and allows none', () => {
    expect(comparable(decodeFrame(encodeFrame(sampleMessages)).messages)).toEqual(comparable(sampleMessages));
    expect(decodeFrame(encodeFrame([]))).toEqual({ messages: [], ping: 0 });
  });

  it('carries a ping and its echo', () => {
    expect(decodeFrame(encodeFrame([], 2 ** 32 - 1))).toEqual({ messages: [], ping: 2 ** 32 - 1 });
    const echo = { ping: 17, clock: 1_760_000_000_000 };
    expect(decodeEcho(encodeEcho(echo))).toEqual(echo);
    expect(decodeEcho(encodeEcho({ ping: 2 ** 32 - 1, clock: 2 ** 48 }))).toEqual({
      ping: 2 ** 32 - 1,
      clock: 2 ** 48,
    });
    expect(decodeEcho(encodeEcho({ ping: 17, clock: 0 }))).toEqual({ ping: 17, clock: 0 });
    expect(() => decodeEcho(Buffer.from('rubbish'))).toThrow(MalformedFrameError);
  });

  it('does not copy the data of entries', () => {
    const frame = encodeFrame(sampleMessages);
    const decoded = decodeFrame(frame).messages.find((message) => message.type === 'append-entries');
    expect(decoded?.type === 'append-entries' && decoded.entries[0]?.data.buffer === frame.buffer).toBe(true);
  });

  it('estimates sizes from above', () => {
    for (const message of sampleMessages)
      expect(messageSizeBytes(message)).toBeGreaterThanOrEqual(encodeFrame([message]).length);
  });

  it('skips fields of a later version', () => {
    const original = encodeFrame(sampleMessages.slice(0, 1));
    const later = protobuf.Writer.create()
      .uint32((77 << 3) | 2)
      .bytes(bytes('news'))
      .finish();
    expect(decodeFrame(Buffer.concat([later, original, later])).messages).toEqual(sampleMessages.slice(0, 1));
  });
});

describe('the codec refuses', () => {
  const base = { ...between(1, 2), term: 3 } as const;
  const append = {
    ...base,
    type: 'append-entries',
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    commitIndex: 0,
    round: 0,
  } as const;
  const entry = (index: number, term: number, kind: EntryKind = 'normal', data = ''): Entry => ({
    index,
    term,
    kind,
    data: bytes(data),
  });
  const chunk = {
    ...base,
    type: 'snapshot-chunk',
    metadata: { index: 5, term: 3, configuration: jointConfiguration },
    sizeBytes: 10,
    checksum: 1,
    offset: 5,
    data: bytes('12345'),
  } as const;
  const emptyConfiguration = { groupId: 0, members: [], voters: [], outgoing: [], learners: [] };
  const vote = { ...base, type: 'request-vote', lastLogIndex: 1, lastLogTerm: 1, transfer: false } as const;

  const cases: readonly (readonly [string, Message, string])[] = [
    ['a sender 0', { ...base, type: 'timeout-now', from: 0 }, 'is 0'],
    ['an addressee 0', { ...base, type: 'timeout-now', to: 0 }, 'is 0'],
    ['a sender without incarnation', { ...base, type: 'timeout-now', fromIncarnation: 0 }, 'is 0'],
    ['a group above 2^48', { ...base, type: 'timeout-now', groupId: MAXIMUM_INTEGER + 1 }, '2^48'],
    ['a sender above 2^48', { ...base, type: 'timeout-now', from: MAXIMUM_INTEGER + 1 }, '2^48'],
    ['a term above 2^48', { ...base, type: 'timeout-now', term: MAXIMUM_INTEGER + 1 }, '2^48'],
    ['a term above 2^53', { ...base, type: 'timeout-now', term: 2 ** 60 }, '2^48'],
    ['a negative term', { ...base, type: 'timeout-now', term: -1 }, '2^48'],
    ['a last entry of a later term', { ...vote, lastLogTerm: 4 }, "after the sender's term 3"],
    ['a last entry 0 with a term', { ...vote, lastLogIndex: 0 }, 'index 0 cannot be of term 1'],
    ['a last entry without a term', { ...vote, type: 'request-pre-vote', lastLogTerm: 0 }, 'cannot be of term 0'],
    ['a previous entry of a later term', { ...append, previousIndex: 1, previousTerm: 4 }, "after the sender's term"],
    ['a previous entry without a term', { ...append, previousIndex: 1 }, 'index 1 cannot be of term 0'],
    [
      'an index above 2^48',
      { ...append, previousIndex: MAXIMUM_INTEGER, previousTerm: 1, entries: [entry(MAXIMUM_INTEGER + 1, 1)] },
      'index above 2^48',
    ],
    ['an entry of term 0', { ...append, entries: [entry(1, 0)] }, 'is 0'],
    ['an entry of a later term', { ...append, entries: [entry(1, 4)] }, 'entry 1 is of term 4'],
    ['terms that fall', { ...append, entries: [entry(1, 3), entry(2, 2)] }, 'entry 2 is of term 2'],
    [
      'a term below the previous one',
      { ...append, previousIndex: 6, previousTerm: 3, entries: [entry(7, 2)] },
      'entry 7 is of term 2',
    ],
    ['a no-op with data', { ...append, entries: [entry(1, 1, 'no-op', 'x')] }, 'no-op 1 has data'],
    ['a configuration that is none', { ...append, entries: [entry(1, 1, 'configuration', '{}')] }, 'not sound'],
    [
      'a configuration that is not sound',
      { ...append, entries: [{ ...entry(1, 1, 'configuration'), data: unsoundConfiguration() }] },
      'not sound',
    ],
    [
      'an endless configuration',
      { ...append, entries: [entry(1, 1, 'configuration', `{}${' '.repeat(3 * 1024 * 1024)}`)] },
      'not sound',
    ],
    ['a piece beyond its snapshot', { ...chunk, offset: 6 }, 'beyond its 10 bytes'],
    ['a piece far beyond its snapshot', { ...chunk, offset: MAXIMUM_INTEGER, data: bytes('') }, 'beyond its 10 bytes'],
    ['a snapshot of index 0', { ...chunk, metadata: { ...chunk.metadata, index: 0 } }, 'is 0'],
    ['a snapshot of a later term', { ...chunk, metadata: { ...chunk.metadata, term: 4 } }, "after the sender's term"],
    [
      'a snapshot without a sound configuration',
      { ...chunk, metadata: { ...chunk.metadata, configuration: { ...jointConfiguration, voters: [9] } } },
      'not sound',
    ],
    [
      'a snapshot without voters',
      { ...chunk, metadata: { ...chunk.metadata, configuration: emptyConfiguration } },
      'no voters',
    ],
    [
      'an answer on snapshot 0',
      { ...base, type: 'snapshot-chunk-reply', snapshotIndex: 0, snapshotTerm: 1, nextOffset: 0 },
      'is 0',
    ],
    [
      'a hint of a later term',
      { ...base, type: 'append-entries-refused', previousIndex: 9, hintIndex: 8, hintTerm: 4, round: 0 },
      "after the sender's term",
    ],
  ];

  it.each(cases)('%s', (_what, message, complaint) => {
    const frame = protobufFrame([message]); // our own encoder would not write every one of these
    expect(() => decodeFrame(frame)).toThrow(MalformedFrameError);
    expect(() => decodeFrame(frame)).toThrow(complaint);
  });

  it.each([
    ['rubbish', Buffer.from('this is no frame')],
    ['a length beyond the end', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['a message without content', Buffer.from([0x0a, 0x06, 0x08, 1, 0x10, 2, 0x18, 3])],
    ['a message with two contents', Buffer.from([0x0a, 0x0a, 0x08, 1, 0x10, 2, 0x18, 3, 0x2a, 0, 0x3a, 0])],
    ['a content of a later version', Buffer.from([0x0a, 0x09, 0x08, 1, 0x10, 2, 0x18, 3, 0xaa, 1, 0])],
  ])('%s', (_what, frame) => {
    expect(() => decodeFrame(frame)).toThrow(MalformedFrameError);
  });

  it('an entry of an unknown kind', () => {
    const frame = encodeFrame([{ ...append, entries: [{ index: 1, term: 1, kind: 'normal', data: bytes('x') }] }]);
    const kindAt = frame.indexOf(Buffer.from([0x10, 1, 0x1a]));
    frame[kindAt + 1] = 9;
    expect(() => decodeFrame(frame)).toThrow('unknown kind 9');
  });

  it('more messages and more entries than a node sends', () => {
    const message = Buffer.from(encodeFrame([{ ...base, type: 'timeout-now' }]));
    const full = Buffer.concat(Array.from({ length: MAXIMUM_MESSAGES_PER_FRAME }, () => message));
    expect(decodeFrame(full).messages).toHaveLength(MAXIMUM_MESSAGES_PER_FRAME);
    expect(() => decodeFrame(Buffer.concat([full, message]))).toThrow('more than 16384 messages');

    const entries = Array.from({ length: MAXIMUM_ENTRIES_PER_MESSAGE }, (_, position) => entry(position + 1, 1));
    const half = encodeFrame([{ ...append, entries }]);
    expect(decodeFrame(Buffer.concat([half, half])).messages).toHaveLength(2);
    const oneMore = encodeFrame([{ ...append, entries: [...entries, entry(entries.length + 1, 1)] }]);
    expect(() => decodeFrame(oneMore)).toThrow('a message has more than 65536 entries');
    const single = encodeFrame([{ ...append, entries: entries.slice(0, 1) }]);
    expect(() => decodeFrame(Buffer.concat([half, half, single]))).toThrow('a frame has more than 131072 entries');
  });

  function unsoundConfiguration(): Uint8Array {
    return encodeConfiguration({ ...jointConfiguration, learners: [1] });
  }
});
