import { invariant } from '@concordat/foundation';

/** Writes an integer in 0..2^53-1 as eight bytes, little endian (the layout of an unsigned 64-bit integer). */
export function writeUint53(buffer: Buffer, value: number, offset: number): number {
  invariant(Number.isSafeInteger(value) && value >= 0, 'a stored integer lies in 0..2^53-1');
  invariant(offset >= 0 && offset + 8 <= buffer.length, 'what is written lies within its buffer');
  const low = value >>> 0; // the value modulo 2^32
  store32(buffer, low, offset);
  store32(buffer, (value - low) / 0x1_0000_0000, offset + 4);
  return offset + 8;
}

/** Writes an integer in 0..2^32-1 as four bytes, little endian, and returns the offset after them. */
export function writeUint32(buffer: Buffer, value: number, offset: number): number {
  invariant(value >>> 0 === value, 'an integer of four bytes lies in 0..2^32-1');
  invariant(offset >= 0 && offset + 4 <= buffer.length, 'what is written lies within its buffer');
  store32(buffer, value, offset);
  return offset + 4;
}

/** By plain stores, each of the low eight bits; the caller has made the checks of `Buffer`'s methods. */
function store32(buffer: Buffer, value: number, offset: number): void {
  buffer[offset] = value;
  buffer[offset + 1] = value >>> 8;
  buffer[offset + 2] = value >>> 16;
  buffer[offset + 3] = value >>> 24;
}

/** Reads what `writeUint53` wrote; NaN for more than 2^53-1. */
export function readUint53(buffer: Buffer, offset: number): number {
  const value = buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * 0x1_0000_0000;
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** The unit that a disk writes completely or not at all. Larger ones consist of several of these. */
export const sectorBytes = 512;

const zeros = Buffer.alloc(64 * 1024);

/** Whether the bytes from `start` up to `end` (exclusive, at most 64 KiB further) are zero. */
function isZeroBetween(buffer: Buffer, start: number, end: number): boolean {
  return buffer.compare(zeros, 0, end - start, start, end) === 0;
}

/** Whether all bytes from `start` on are zero. */
export function isZeroFrom(buffer: Buffer, start: number): boolean {
  for (let at = start; at < buffer.length; at += zeros.length) {
    const end = Math.min(buffer.length, at + zeros.length);
    if (!isZeroBetween(buffer, at, end)) return false;
  }
  return true;
}

/** Whether everything from `start` to the end of its sector is zero. */
export function isZeroToSectorEnd(buffer: Buffer, start: number): boolean {
  return isZeroBetween(buffer, start, Math.min(buffer.length, sectorEndBehind(start)));
}

/**
 * How many of the sectors that a part of a file touches are all zeros within that part.
 *
 * @param fileOffset position of `start` in the file
 */
export function countZeroSectors(buffer: Buffer, start: number, end: number, fileOffset: number): number {
  let count = 0;
  for (let at = start; at < end;) {
    const next = Math.min(end, at + sectorEndBehind(fileOffset + at - start) - (fileOffset + at - start));
    if (buffer[at] === 0 && isZeroBetween(buffer, at, next)) count++;
    at = next;
  }
  return count;
}

function sectorEndBehind(offset: number): number {
  return (Math.floor(offset / sectorBytes) + 1) * sectorBytes;
}
