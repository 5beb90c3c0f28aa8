import { describe, expect, it } from '@jest/globals';
import type { Entry, EntryKind } from '../core/types.js';
import { readUint53, writeUint32, writeUint53 } from './binary.js';
import { decodeRecord, encodeRecord, recordSizeBytes, type LogRecord } from './record.js';

const greatest = Number.MAX_SAFE_INTEGER;
const numbers = [0, 1, 255, 256, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48, greatest];

function encoded(record: LogRecord): Buffer {
  const buffer = Buffer.alloc(recordSizeBytes(record) + 20, 0xaa);
  const end = encodeRecord(record, buffer, 10);
  expect(end).toBe(buffer.length - 10);
  expect(buffer.subarray(0, 10).equals(Buffer.alloc(10, 0xaa))).toBe(true);
  expect(buffer.subarray(end).equals(Buffer.alloc(10, 0xaa))).toBe(true);
  return buffer.subarray(10, end);
}

const entry = (kind: EntryKind, index: number, term: number, text: string): Entry => ({
  index,
  term,
  kind,
  data: Buffer.from(text),
});

describe('a record of the log', () => {
  it.each(numbers)('holds %p as an unsigned integer of 64 bits, little endian', (value) => {
    const buffer = Buffer.alloc(12, 0xaa);
    expect(writeUint53(buffer, value, 2)).toBe(10);
    expect(buffer.readBigUInt64LE(2)).toBe(BigInt(value));
    expect([buffer.readUInt16LE(0), buffer.readUInt16LE(10)]).toEqual([0xaaaa, 0xaaaa]);
    expect(readUint53(buffer, 2)).toBe(value);
  });

  it('comes back as it was', () => {
    const entries = numbers
      .slice(1)
      .flatMap((number) => [
        entry('normal', number, number, `command ${number}`),
        entry('no-op', number, 1, ''),
        entry('configuration', 1, number, '{}'),
      ]);
    const hardState = { term: greatest, vote: 2 ** 32, commitIndex: 7 };
    expect(decodeRecord(encoded({ hardState, entries }))).toEqual({ hardState, entries });
    expect(decodeRecord(encoded({ hardState: undefined, entries }))).toEqual({ hardState: undefined, entries });
  });

  it('has the layout that is documented', () => {
    const bytes = encoded({ hardState: { term: 1, vote: 2, commitIndex: 3 }, entries: [entry('no-op', 4, 5, 'x')] });
    const number = (low: string): string => low.padEnd(16, '0');
    const state = `01${number('01')}${number('02')}${number('03')}`;
    expect(bytes.toString('hex')).toBe(`${state}0201${number('04')}${number('05')}0100000078`);
  });

  it.each([-1, 0.5, 2 ** 53, Number.NaN])('refuses the number %p', (value) => {
    expect(() => writeUint53(Buffer.alloc(8), value, 0)).toThrow('lies in 0..2^53-1');
    expect(() => writeUint32(Buffer.alloc(8), value, 0)).toThrow('lies in 0..2^32-1');
  });

  it('is not written beyond its buffer, and has entries of known kinds', () => {
    expect(() => writeUint53(Buffer.alloc(8), 1, 1)).toThrow('within its buffer');
    expect(() => writeUint32(Buffer.alloc(8), 1, -1)).toThrow('within its buffer');
    const unknown = { ...entry('normal', 1, 1, ''), kind: 'other' as EntryKind };
    expect(() => encoded({ hardState: undefined, entries: [unknown] })).toThrow('one of the kinds');
  });
});
