import { invariant } from '@concordat/foundation';

/** Writes an integer in 0..2^53-1 as eight bytes, little endian (the layout of an unsigned 64-bit integer). */
export function writeUint53(buffer: Buffer, value: number, offset: number): number {
  invariant(Number.isSafeInteger(value) && value >= 0, 'a stored integer lies in 0..2^53-1');
  buffer.writeUInt32LE(value % 0x1_0000_0000, offset);
  return buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4);
}

/** Reads what `writeUint53` wrote; NaN when the eight bytes hold more than 2^53-1. */
export function readUint53(buffer: Buffer, offset: number): number {
  const value = buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * 0x1_0000_0000;
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

const zeros = Buffer.alloc(64 * 1024);

/** Whether all bytes from `start` on are zero. */
export function isZeroFrom(buffer: Buffer, start: number): boolean {
  for (let at = start; at < buffer.length; at += zeros.length) {
    const end = Math.min(buffer.length, at + zeros.length);
    if (buffer.compare(zeros, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}
