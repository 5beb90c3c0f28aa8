import { crc32 } from 'node:zlib';
import type { StoredSnapshotChunk } from '../driver/ports.js';
import { readUint53, sectorBytes, writeUint53 } from './binary.js';
import { LogCorruptedError } from './errors.js';
import type { File } from './file-system.js';
import type { StorageOwner } from './owner.js';
import {
  checksumOf,
  encodeSnapshotHeader,
  leastHeaderBytes,
  readSnapshotHeader,
  type SnapshotHeader,
} from './snapshot-file.js';

/*
 * The leader's snapshot, while it comes in pieces, is the file `received.partial`. It has the form of a snapshot,
 * so that it becomes one by a new header and a new name, with a magic of its own and a header whose last two
 * sectors are marks of how far it has come:
 *
 *   latest mark    written after each piece, so that the end of the process loses nothing
 *   durable mark   written and synced after a sync of all it counts, so that a loss of power does not lose that
 *
 *   0  end of the data counted 8 · 8 CRC-32 of the data up to there · 12 CRC-32 of bytes 0..11, seeded with the
 *      checksum of the whole
 *
 * A mark counts only if the data before it, read back, have its checksum.
 */
export const receivedSnapshotName = 'received.partial';
const markBytes = 2 * sectorBytes;
const durableMark = { name: 'durable', fromEnd: sectorBytes } as const;
const latestMark = { name: 'latest', fromEnd: 2 * sectorBytes } as const;

/** The amount of counted data, and their checksum. */
export interface ReceivedMark {
  readonly nextOffset: number;
  readonly checksum: number;
}

/** How much of a received snapshot is valid. */
export interface ReceivedProgress extends ReceivedMark {
  /** the data are synced up to here */
  readonly durableOffset: number;
}

export const nothingReceived: ReceivedProgress = { nextOffset: 0, checksum: 0, durableOffset: 0 };

/** The header of the file for the snapshot of this piece. */
export function receivedSnapshotHeader({ metadata, sizeBytes, checksum }: StoredSnapshotChunk): SnapshotHeader {
  const contentSectors = Math.ceil(leastHeaderBytes(metadata) / sectorBytes);
  return { metadata, resetSequence: 0, sizeBytes, checksum, headerBytes: contentSectors * sectorBytes + markBytes };
}

export function encodeReceivedSnapshotHeader(header: SnapshotHeader, owner: StorageOwner): Buffer {
  return encodeSnapshotHeader(header, owner, 'received', markBytes);
}

/** @throws LogCorruptedError, StorageFormatError */
export function readReceivedSnapshotHeader(
  file: File,
  path: string,
): Promise<SnapshotHeader & { readonly owner: StorageOwner }> {
  return readSnapshotHeader(file, path, 'received', markBytes);
}

export function writeLatestMark(file: File, header: SnapshotHeader, mark: ReceivedMark): Promise<void> {
  return file.write(encodeMark(mark, header), header.headerBytes - latestMark.fromEnd);
}

export function writeDurableMark(file: File, header: SnapshotHeader, mark: ReceivedMark): Promise<void> {
  return file.write(encodeMark(mark, header), header.headerBytes - durableMark.fromEnd);
}

/**
 * Finds the furthest mark that matches the data.
 *
 * @throws LogCorruptedError when there are marks and none matches
 */
export async function readReceivedProgress(
  file: File,
  path: string,
  header: SnapshotHeader,
): Promise<ReceivedProgress> {
  const durable = await readMark(file, header, durableMark.fromEnd);
  const latest = await readMark(file, header, latestMark.fromEnd);
  if (durable === 'empty' && latest === 'empty') return nothingReceived;
  const marks = [durable, latest].filter((mark) => mark !== 'empty' && mark !== 'damaged');
  marks.sort((left, right) => left.nextOffset - right.nextOffset);
  let summedUp: ReceivedMark | undefined = nothingReceived;
  let sound: ReceivedMark | undefined;
  for (const mark of marks) {
    const { nextOffset, checksum }: ReceivedMark = summedUp;
    const found: number | undefined = await checksumOf(file, header.headerBytes, nextOffset, mark.nextOffset, checksum);
    if (found === undefined) break;
    summedUp = { nextOffset: mark.nextOffset, checksum: found };
    if (found === mark.checksum) sound = mark;
  }
  if (!sound) throw new LogCorruptedError(path, header.headerBytes, 'its data do not have the checksum of any mark');
  const durableOffset = typeof durable === 'object' && durable.nextOffset <= sound.nextOffset ? durable.nextOffset : 0;
  return { ...sound, durableOffset };
}

function encodeMark({ nextOffset, checksum }: ReceivedMark, header: SnapshotHeader): Buffer {
  const buffer = Buffer.alloc(sectorBytes);
  writeUint53(buffer, nextOffset, 0);
  buffer.writeUInt32LE(checksum, 8);
  buffer.writeUInt32LE(crc32(buffer.subarray(0, 12), header.checksum), 12);
  return buffer;
}

async function readMark(
  file: File,
  header: SnapshotHeader,
  fromEnd: number,
): Promise<ReceivedMark | 'empty' | 'damaged'> {
  const buffer = Buffer.alloc(16);
  await file.read(buffer, header.headerBytes - fromEnd);
  if (buffer.every((byte) => byte === 0)) return 'empty';
  const nextOffset = readUint53(buffer, 0);
  const sound = crc32(buffer.subarray(0, 12), header.checksum) === buffer.readUInt32LE(12);
  return sound && nextOffset <= header.sizeBytes ? { nextOffset, checksum: buffer.readUInt32LE(8) } : 'damaged';
}
