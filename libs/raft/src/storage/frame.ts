import { crc32 } from 'node:zlib';
import { readUint53, writeUint53 } from './binary.js';

/*
 * A frame is what one `persist` writes, whole or not at all:
 *
 *   0  magic     4 bytes
 *   4  crc       CRC-32 of everything from byte 12 on, seeded with the segment's salt
 *   8  chain     CRC-32 of the four bytes of `crc`, seeded with the predecessor's chain
 *  12  length    of the payload, in bytes
 *  16  sequence  8 bytes; the frames of a log are numbered without gaps over all segments
 *  24  payload
 *
 * `crc` says by itself that a frame was once written to this segment, so a scan can find later frames behind a
 * damaged one; `chain` and `sequence` say that it stands in its place. The salt keeps bytes that a user put
 * into an entry from looking like a frame.
 *
 * One frame per batch and one batch in flight make the rule of recovery exact: a sector of the unacknowledged
 * last frame may be missing while a later sector is there, but a whole frame behind a damaged one was written
 * after that one's sync had returned.
 */
export const frameHeaderBytes = 24;
const magic = Buffer.from([0xc9, 0x0c, 0xda, 0x7f]);
const magicValue = magic.readUInt32LE(0);
const checkedFrom = 12;

/** Payloads above this are not written, and a length above it is not believed. */
export const maxPayloadBytes = 1024 * 1024 * 1024;

export interface Frame {
  readonly sequence: number;
  readonly chain: number;
  readonly payload: Buffer;
  /** offset of the first byte behind the frame */
  readonly end: number;
}

/** Fills in the header of a frame whose payload already stands behind it; returns the frame's chain value. */
export function sealFrame(
  buffer: Buffer,
  offset: number,
  payloadBytes: number,
  place: { readonly sequence: number; readonly salt: number; readonly previousChain: number },
): number {
  buffer.writeUInt32LE(magicValue, offset);
  buffer.writeUInt32LE(payloadBytes, offset + 12);
  writeUint53(buffer, place.sequence, offset + 16);
  const end = offset + frameHeaderBytes + payloadBytes;
  buffer.writeUInt32LE(crc32(buffer.subarray(offset + checkedFrom, end), place.salt), offset + 4);
  const chain = chainAfter(buffer, offset, place.previousChain);
  buffer.writeUInt32LE(chain, offset + 8);
  return chain;
}

/** The chain value that the frame at `offset` must have behind a frame with `previousChain`. */
export function chainAfter(buffer: Buffer, offset: number, previousChain: number): number {
  return crc32(buffer.subarray(offset + 4, offset + 8), previousChain);
}

/** The frame at `offset`, or undefined when there is no whole and undamaged one. Its place is not checked. */
export function readFrame(buffer: Buffer, offset: number, salt: number): Frame | undefined {
  if (offset + frameHeaderBytes > buffer.length || buffer.readUInt32LE(offset) !== magicValue) return undefined;
  const length = buffer.readUInt32LE(offset + 12);
  const end = offset + frameHeaderBytes + length;
  if (length > maxPayloadBytes || end > buffer.length) return undefined;
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

/** The offset of the first whole frame at or behind `start`, or undefined. */
export function findFrame(buffer: Buffer, start: number, salt: number): number | undefined {
  for (let at = buffer.indexOf(magic, start); at !== -1; at = buffer.indexOf(magic, at + 1)) {
    if (readFrame(buffer, at, salt)) return at;
  }
  return undefined;
}
