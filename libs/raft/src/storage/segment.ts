import { crc32 } from 'node:zlib';
import { readUint53, writeUint53 } from './binary.js';
import { LogCorruptedError, StorageFormatError } from './errors.js';
import { ownerBytes, readOwner, writeOwner, type StorageOwner } from './owner.js';

/*
 * A segment is a file `<first sequence>.wal`: a header of 512 bytes, frames, and zeros up to its end (it is
 * allocated whole so that a sync need not write the file's size, and none can lack room). The header:
 *
 *   0  magic 8 · 8 CRC-32 of bytes 12..511 · 12 format version · 16 salt · 20 chain of the frame before the first
 *  24  first sequence · 32 owner (274 bytes) · 312 size of the file in bytes
 *
 * The first frame of every segment holds the whole hard state, so that older segments can be removed.
 */
export const segmentHeaderBytes = 512;
/**
 * Earlier versions were never released: the frames of the first did not tell a torn write from damage, the second had
 * no incarnation.
 */
export const segmentFormatVersion = 3;
const segmentMagic = 'CNCDTWAL';
const ownerOffset = 32;
const sizeOffset = 312;
const extension = '.wal';

export interface SegmentHeader {
  readonly salt: number;
  readonly previousChain: number;
  readonly firstSequence: number;
  readonly sizeBytes: number;
}

export function segmentName(firstSequence: number): string {
  return String(firstSequence).padStart(16, '0') + extension;
}

/** The first sequence in a segment's name, or undefined for other files. */
export function parseSegmentName(name: string): number | undefined {
  return /^\d{16}\.wal$/.test(name) ? Number(name.slice(0, 16)) : undefined;
}

export function writeSegmentHeader(buffer: Buffer, header: SegmentHeader, owner: StorageOwner): void {
  buffer.fill(0, 0, segmentHeaderBytes);
  buffer.write(segmentMagic, 0, 'latin1');
  buffer.writeUInt32LE(segmentFormatVersion, 12);
  buffer.writeUInt32LE(header.salt, 16);
  buffer.writeUInt32LE(header.previousChain, 20);
  writeUint53(buffer, header.firstSequence, 24);
  writeOwner(buffer, owner, ownerOffset);
  writeUint53(buffer, header.sizeBytes, sizeOffset);
  buffer.writeUInt32LE(crc32(buffer.subarray(12, segmentHeaderBytes)), 8);
}

/**
 * A segment gets its name only after its size and its header are durable, so a damaged header or another size is never
 * an interrupted write.
 *
 * @throws LogCorruptedError, StorageFormatError
 */
export function readSegmentHeader(buffer: Buffer, file: string): SegmentHeader & { readonly owner: StorageOwner } {
  if (buffer.length < segmentHeaderBytes || buffer.toString('latin1', 0, 8) !== segmentMagic)
    throw new LogCorruptedError(file, 0, 'it does not begin with the header of a log segment');
  if (crc32(buffer.subarray(12, segmentHeaderBytes)) !== buffer.readUInt32LE(8))
    throw new LogCorruptedError(file, 0, 'the checksum of its header is wrong');
  const version = buffer.readUInt32LE(12);
  if (version !== segmentFormatVersion) throw new StorageFormatError(file, version);
  const sizeBytes = readUint53(buffer, sizeOffset);
  if (sizeBytes !== buffer.length)
    throw new LogCorruptedError(file, Math.min(sizeBytes, buffer.length), `its length should be ${sizeBytes} bytes`);
  return {
    salt: buffer.readUInt32LE(16),
    previousChain: buffer.readUInt32LE(20),
    firstSequence: readUint53(buffer, 24),
    sizeBytes,
    owner: readOwner(buffer.subarray(0, ownerOffset + ownerBytes), ownerOffset),
  };
}
