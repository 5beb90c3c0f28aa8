import { crc32 } from 'node:zlib';
import { isZeroFrom, readUint53, writeUint53 } from './binary.js';
import { LogCorruptedError, StorageFormatError } from './errors.js';
import { chainAfter, findFrame, readFrame } from './frame.js';
import { checkOwner, ownerBytes, readOwner, writeOwner, type StorageOwner } from './owner.js';
import { decodeRecord, type LogRecord } from './record.js';

/*
 * A segment is a file `<first sequence>.wal`: a header of 512 bytes, frames, and zeros up to its end (it is
 * allocated whole so that a sync need not write the file's size). The header:
 *
 *   0  magic 8 · 8 CRC-32 of bytes 12..511 · 12 format version · 16 salt · 20 chain of the frame before the first
 *  24  first sequence · 32 owner
 *
 * The first frame of every segment holds the whole hard state, so that older segments can be removed.
 */
export const segmentHeaderBytes = 512;
const segmentMagic = 'CNCDTWAL';
const formatVersion = 1;
const ownerOffset = 32;
const extension = '.wal';

export interface SegmentHeader {
  readonly salt: number;
  readonly previousChain: number;
  readonly firstSequence: number;
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
  buffer.writeUInt32LE(formatVersion, 12);
  buffer.writeUInt32LE(header.salt, 16);
  buffer.writeUInt32LE(header.previousChain, 20);
  writeUint53(buffer, header.firstSequence, 24);
  writeOwner(buffer, owner, ownerOffset);
  buffer.writeUInt32LE(crc32(buffer.subarray(12, segmentHeaderBytes)), 8);
}

/** A segment appears under its name only after its header is durable, so a damaged one is never a torn write. */
export function readSegmentHeader(buffer: Buffer, file: string, owner: StorageOwner): SegmentHeader {
  if (buffer.length < segmentHeaderBytes || buffer.toString('latin1', 0, 8) !== segmentMagic)
    throw new LogCorruptedError(file, 0, 'it does not begin with the header of a log segment');
  if (crc32(buffer.subarray(12, segmentHeaderBytes)) !== buffer.readUInt32LE(8))
    throw new LogCorruptedError(file, 0, 'the checksum of its header is wrong');
  const version = buffer.readUInt32LE(12);
  if (version !== formatVersion) throw new StorageFormatError(file, version);
  checkOwner(file, readOwner(buffer.subarray(0, ownerOffset + ownerBytes), ownerOffset), owner);
  return {
    salt: buffer.readUInt32LE(16),
    previousChain: buffer.readUInt32LE(20),
    firstSequence: readUint53(buffer, 24),
  };
}

export interface SequencedRecord extends LogRecord {
  readonly sequence: number;
}

/** How a segment ends: in zeros, or with the remains of a write that was never acknowledged. */
export interface SegmentContent {
  readonly records: readonly SequencedRecord[];
  /** chain value of the last frame */
  readonly chain: number;
  /** offset of the last frame; `end` when there is none */
  readonly lastFrameStart: number;
  /** offset behind the last frame */
  readonly end: number;
  readonly torn: boolean;
}

/**
 * Reads the frames of a segment up to its end.
 *
 * @param isLast only the last segment may end with a torn write
 * @throws LogCorruptedError when valid data lie behind a damaged frame, or something behind the end of a segment
 *   that is not the last
 */
export function readSegment(buffer: Buffer, file: string, header: SegmentHeader, isLast: boolean): SegmentContent {
  const records: SequencedRecord[] = [];
  let chain = header.previousChain;
  let at = segmentHeaderBytes;
  let lastFrameStart = at;
  for (let sequence = header.firstSequence; ; sequence++) {
    const frame = readFrame(buffer, at, header.salt);
    if (!frame || frame.sequence !== sequence || frame.chain !== chainAfter(buffer, at, chain)) break;
    const record = decodeRecord(frame.payload);
    if (!record) throw new LogCorruptedError(file, at, 'a frame with a right checksum has a content of no known form');
    records.push({ sequence, ...record });
    chain = frame.chain;
    lastFrameStart = at;
    at = frame.end;
  }
  const torn = !isZeroFrom(buffer, at);
  if (torn) {
    const later = findFrame(buffer, at, header.salt);
    if (later !== undefined)
      throw new LogCorruptedError(file, at, `the frame there is not valid, but valid data follow at byte ${later}`);
    if (!isLast)
      throw new LogCorruptedError(file, at, 'the frame there is not valid, and the log goes on in a later segment');
  }
  return { records, chain, lastFrameStart, end: at, torn };
}
