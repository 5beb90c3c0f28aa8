import { describe, expect, it } from '@jest/globals';
import type { LogRecord } from '@concordat/commit-protocol';
import { SeededRandom, randomInteger } from '@concordat/foundation';
import { decodeRecord, encodeRecord, RecordDecodeError } from './record-codec.js';
import { decodeSnapshot, encodeSnapshot, SnapshotDecodeError } from './snapshot-codec.js';

describe('record codec', () => {
  const record: LogRecord = { type: 'participant', name: 'bänk ☃', operations: ['débit'], at: 7 };

  it('gives back what was encoded, also from the midst of a larger buffer', () => {
    const command = encodeRecord(record);
    expect(command[0]).toBe(1);
    const buffer = Buffer.concat([Buffer.alloc(13, 0xff), command, Buffer.alloc(5, 0xff)]);
    expect(decodeRecord(buffer.subarray(13, 13 + command.length))).toEqual(record);
  });

  it('refuses another version, and what is cut short', () => {
    expect(() => decodeRecord(Uint8Array.of(2, 123, 125))).toThrow(RecordDecodeError);
    expect(() => decodeRecord(new Uint8Array())).toThrow(RecordDecodeError);
    const command = encodeRecord(record);
    for (let length = 0; length < command.length; length++) {
      expect(() => decodeRecord(command.subarray(0, length))).toThrow(RecordDecodeError);
    }
  });
});

describe('snapshot codec', () => {
  const state = { open: [], note: '☃' };
  const sealed = [Uint8Array.of(1, 2, 3), new Uint8Array(), Uint8Array.of(255)];

  it('gives back what was encoded', () => {
    const decoded = decodeSnapshot(encodeSnapshot(state, { recent: [], sealed }));
    expect(decoded.state).toEqual(state);
    expect(decoded.archive.recent).toEqual([]);
    expect(decoded.archive.sealed.map((block) => [...block])).toEqual([[1, 2, 3], [], [255]]);
  });

  it('refuses another format, and sections that are missing or cut short', () => {
    const data = encodeSnapshot(state, { recent: [], sealed: [] });
    for (const garbage of [new Uint8Array(), Buffer.from('CDS2'), Buffer.from('CDS1'), Buffer.from('garbage')]) {
      expect(() => decodeSnapshot(garbage)).toThrow(SnapshotDecodeError);
    }
    for (let length = 0; length < data.length; length++) {
      expect(() => decodeSnapshot(data.subarray(0, length))).toThrow(SnapshotDecodeError);
    }
    expect(() => decodeSnapshot(Buffer.concat([data, Buffer.alloc(3)]))).toThrow(SnapshotDecodeError);
  });

  it('ends every random damage of its frame in its own error, or not at all', () => {
    const random = new SeededRandom(5);
    const data = Buffer.from(encodeSnapshot(state, { recent: [], sealed }));
    for (let round = 0; round < 2_000; round++) {
      const damaged = Buffer.from(data);
      damaged[randomInteger(random, 0, damaged.length - 1)] = randomInteger(random, 0, 255);
      try {
        decodeSnapshot(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(SnapshotDecodeError);
      }
    }
  });
});
