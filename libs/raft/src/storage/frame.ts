import { invariant } from '@concordat/foundation';
import { crc32 } from 'node:zlib';
import { countZeroSectors, isZeroFrom, isZeroToSectorEnd, readUint53, sectorBytes, writeUint53 } from './binary.js';

/*
 * A frame is what one `persist` writes, whole or not at all:
 *
 *   0  magic         4 bytes
 *   4  crc           CRC-32 of everything from byte 12 on, seeded with the segment's salt
 *   8  chain         CRC-32 of `crc` and bytes 12 to 27, seeded with the predecessor's chain
 *  12  length        of the payload, in bytes; never 0
 *  16  sequence      8 bytes; the frames of a log are numbered without gaps over all segments
 *  24  zero sectors  how many sectors of the file the frame fills, within its bounds, with nothing but zeros
 *  28  payload
 *
 * `crc` says by itself that a frame was once written to this segment, so a scan can find later frames behind a
 * damaged one; `chain` and `sequence` say that it stands in its place, and that the header is as it was written
 * even where the payload is not. The salt keeps bytes that a user put into an entry from looking like a frame.
 *
 * One frame per batch and one batch in flight make the rule of recovery exact: a sector of the unacknowledged
 * last frame may be missing while a later sector is there, but a whole frame behind a damaged one was written
 * after that one's sync had returned.
 */
export const frameHeaderBytes = 28;
const magic = Buffer.from([0xc9, 0x0c, 0xda, 0x7f]);
const magicValue = magic.readUInt32LE(0);
const checkedFrom = 12;

/** Larger payloads are not written, and a larger length is not trusted. */
export const maximumPayloadBytes = 1024 * 1024 * 1024;

export interface Frame {
  readonly sequence: number;
  readonly chain: number;
  readonly payload: Buffer;
  /** offset after the frame */
  readonly end: number;
}

/** The place of a frame: its number, its segment's salt and the chain value of the frame before it. */
export interface FramePlace {
  readonly sequence: number;
  readonly salt: number;
  readonly previousChain: number;
}

/**
 * Fills in the header of a frame whose payload is in the buffer; returns the frame's chain value.
 *
 * @param fileOffset position of the frame in its file; `offset` is its position in the buffer
 */
export function sealFrame(
  buffer: Buffer,
  offset: number,
  payloadBytes: number,
  place: FramePlace & { readonly fileOffset: number },
): number {
  invariant(payloadBytes > 0 && payloadBytes <= maximumPayloadBytes, `a batch has 1 to ${maximumPayloadBytes} bytes`);
  const end = offset + frameHeaderBytes + payloadBytes;
  buffer.writeUInt32LE(magicValue, offset);
  buffer.writeUInt32LE(payloadBytes, offset + 12);
  writeUint53(buffer, place.sequence, offset + 16);
  buffer.writeUInt32LE(countZeroSectors(buffer, offset, end, place.fileOffset), offset + 24);
  buffer.writeUInt32LE(crc32(buffer.subarray(offset + checkedFrom, end), place.salt), offset + 4);
  const chain = chainAfter(buffer, offset, place.previousChain);
  buffer.writeUInt32LE(chain, offset + 8);
  return chain;
}

/** The chain value of the frame at `offset`, after a frame with `previousChain`. */
export function chainAfter(buffer: Buffer, offset: number, previousChain: number): number {
  const afterChecksum = crc32(buffer.subarray(offset + 4, offset + 8), previousChain);
  return crc32(buffer.subarray(offset + checkedFrom, offset + frameHeaderBytes), afterChecksum);
}

/** The frame at `offset`, or undefined when it is incomplete or damaged. Its place is not checked. */
export function readFrame(buffer: Buffer, offset: number, salt: number): Frame | undefined {
  if (offset + frameHeaderBytes > buffer.length || buffer.readUInt32LE(offset) !== magicValue) return undefined;
  const length = buffer.readUInt32LE(offset + 12);
  const end = offset + frameHeaderBytes + length;
  if (length > maximumPayloadBytes || end > buffer.length) return undefined;
  const sequence = readUint53(buffer, offset + 16);
  if (Number.isNaN(sequence)) return undefined;
  if (crc32(buffer.subarray(offset + checkedFrom, end), salt) !== buffer.readUInt32LE(offset + 4)) return undefined;
  return {
    sequence,
    chain: buffer.readUInt32LE(offset + 8),
    payload: buffer.subarray(offset + frameHeaderBytes, end),
    end,
  };
}

/** The offset of the first complete frame at or after `start`, or undefined. */
export function findFrame(buffer: Buffer, start: number, salt: number): number | undefined {
  for (let at = buffer.indexOf(magic, start); at !== -1; at = buffer.indexOf(magic, at + 1)) {
    if (readFrame(buffer, at, salt)) return at;
  }
  return undefined;
}

/**
 * Whether the bytes at `offset`, which are no complete frame, can be left by a write that was interrupted: at least one
 * sector still has the zeros from before (as in etcd's log decoder). With all of its sectors a frame was written
 * completely, and the damage came later: it may have been acknowledged. The header has the number of sectors that are
 * zero by content, and `chain` proves the header, so long runs of zeros in a user's data never make damage look like an
 * interrupted write.
 *
 * One case remains: damage that turns all bytes of the very last frame in some sector into zeros.
 */
export function isInterruptedWrite(buffer: Buffer, offset: number, place: FramePlace): boolean {
  const payloadStart = offset + frameHeaderBytes;
  if (payloadStart > buffer.length) return false; // no write crosses the end
  if (isZeroToSectorEnd(buffer, offset)) return true;
  const nextSector = (Math.floor(offset / sectorBytes) + 1) * sectorBytes;
  if (nextSector < payloadStart && isZeroToSectorEnd(buffer, nextSector)) return true;
  const soundHeader =
    buffer.readUInt32LE(offset) === magicValue &&
    buffer.readUInt32LE(offset + 8) === chainAfter(buffer, offset, place.previousChain) &&
    readUint53(buffer, offset + 16) === place.sequence;
  const end = payloadStart + buffer.readUInt32LE(offset + 12);
  if (!soundHeader || end > buffer.length || !isZeroFrom(buffer, end)) return false;
  return countZeroSectors(buffer, offset, end, offset) > buffer.readUInt32LE(offset + 24);
}
