import { crc32 } from 'node:zlib';
import { invariant } from '@concordat/foundation';
import { decodeConfiguration, encodeConfiguration } from '../core/membership/configuration-codec.js';
import type { Snapshot, SnapshotMetadata } from '../core/types.js';
import type { TakenSnapshot } from '../driver/ports.js';
import { readUint53, writeUint53 } from './binary.js';
import { LogCorruptedError, StorageFormatError } from './errors.js';
import type { File } from './file-system.js';
import { ownerBytes, readOwner, writeOwner, type StorageOwner } from './owner.js';

/*
 * A snapshot is a file `<index>-<term>.snapshot`: a header, then the data.
 *
 *   0  magic 8 · 8 CRC-32 of the header from byte 12 on · 12 format version · 16 header length · 20 CRC-32 of the data
 *  24  data length · 32 index · 40 term · 48 reset sequence · 56 owner (274 bytes) · 330 configuration length 4
 * 334  configuration (as in entries of that kind) · zeros up to the header's length
 *
 * `reset sequence` is how a log is reset in one step: the frames numbered below it hold no valid entries. It comes
 * into force with the name of the file, together with the snapshot itself.
 *
 * A snapshot that is being received has the same form (see received-snapshot-file.ts) with a magic of its own.
 */
export const snapshotFormatVersion = 3;
const magics = { saved: 'CNCDSNAP', received: 'CNCDPART' } as const;
const ownerOffset = 56;
const configurationLengthOffset = ownerOffset + ownerBytes;
const fixedHeaderBytes = configurationLengthOffset + 4;
/** More than the largest configuration: 64 members of 4,608 characters, each up to six bytes in JSON. */
const maximumHeaderBytes = 2 * 1024 * 1024;
/** Data are read, written and checksummed in pieces, so that a large snapshot never blocks the event loop for long. */
export const pieceBytes = 1024 * 1024;
/** A larger size is not trusted. */
export const maximumSnapshotBytes = 4 * 1024 * 1024 * 1024;

/** The header of a snapshot's file. */
export interface SnapshotHeader {
  readonly metadata: SnapshotMetadata;
  readonly resetSequence: number;
  /** length and CRC-32 of the data */
  readonly sizeBytes: number;
  readonly checksum: number;
  /** where the data begin */
  readonly headerBytes: number;
}

export interface StoredSnapshot extends Snapshot, SnapshotHeader {}

export function snapshotName(index: number, term: number): string {
  return `${String(index).padStart(16, '0')}-${String(term).padStart(16, '0')}.snapshot`;
}

/** Index and term in the name of a snapshot, or undefined for other files. */
export function parseSnapshotName(name: string): Pick<SnapshotMetadata, 'index' | 'term'> | undefined {
  const match = /^(\d{16})-(\d{16})\.snapshot$/.exec(name);
  return match ? { index: Number(match[1]), term: Number(match[2]) } : undefined;
}

/** The smallest header of a snapshot with that configuration. */
export function leastHeaderBytes({ configuration }: SnapshotMetadata): number {
  return fixedHeaderBytes + encodeConfiguration(configuration).length;
}

/**
 * The header's bytes.
 *
 * @param uncheckedBytes at its end, which the checksum leaves out
 */
export function encodeSnapshotHeader(
  header: SnapshotHeader,
  owner: StorageOwner,
  kind: keyof typeof magics,
  uncheckedBytes = 0,
): Buffer {
  const { metadata, headerBytes } = header;
  const configuration = encodeConfiguration(metadata.configuration);
  invariant(headerBytes >= fixedHeaderBytes + configuration.length + uncheckedBytes, 'a header has room for all of it');
  invariant(headerBytes <= maximumHeaderBytes, 'a header stays below its bound');
  const buffer = Buffer.alloc(headerBytes);
  buffer.write(magics[kind], 0, 'latin1');
  buffer.writeUInt32LE(snapshotFormatVersion, 12);
  buffer.writeUInt32LE(headerBytes, 16);
  buffer.writeUInt32LE(header.checksum, 20);
  writeUint53(buffer, header.sizeBytes, 24);
  writeUint53(buffer, metadata.index, 32);
  writeUint53(buffer, metadata.term, 40);
  writeUint53(buffer, header.resetSequence, 48);
  writeOwner(buffer, owner, ownerOffset);
  buffer.writeUInt32LE(configuration.length, configurationLengthOffset);
  buffer.set(configuration, fixedHeaderBytes);
  buffer.writeUInt32LE(crc32(buffer.subarray(12, headerBytes - uncheckedBytes)), 8);
  return buffer;
}

/**
 * Reads and checks a header, but not its owner.
 *
 * @throws LogCorruptedError, StorageFormatError
 */
export async function readSnapshotHeader(
  file: File,
  path: string,
  kind: keyof typeof magics,
  uncheckedBytes = 0,
): Promise<SnapshotHeader & { readonly owner: StorageOwner }> {
  const buffer = await readHeaderBytes(file, path, kind);
  const headerBytes = buffer.length;
  const checked = buffer.subarray(0, Math.max(fixedHeaderBytes, headerBytes - uncheckedBytes));
  if (crc32(checked.subarray(12)) !== buffer.readUInt32LE(8))
    throw new LogCorruptedError(path, 0, 'the checksum of its header is wrong');
  const version = buffer.readUInt32LE(12);
  if (version !== snapshotFormatVersion) throw new StorageFormatError(path, version);
  const configurationEnd = fixedHeaderBytes + buffer.readUInt32LE(configurationLengthOffset);
  const configuration = decodeConfiguration(checked.subarray(fixedHeaderBytes, configurationEnd));
  if (configurationEnd > checked.length || !configuration)
    throw new LogCorruptedError(path, configurationLengthOffset, 'its configuration is not valid');
  return {
    metadata: { index: readUint53(buffer, 32), term: readUint53(buffer, 40), configuration },
    resetSequence: readUint53(buffer, 48),
    sizeBytes: readUint53(buffer, 24),
    checksum: buffer.readUInt32LE(20),
    headerBytes,
    owner: readOwner(checked, ownerOffset),
  };
}

async function readHeaderBytes(file: File, path: string, kind: keyof typeof magics): Promise<Buffer> {
  const start = Buffer.alloc(fixedHeaderBytes);
  const startBytes = await file.read(start, 0);
  if (startBytes < fixedHeaderBytes || start.toString('latin1', 0, 8) !== magics[kind])
    throw new LogCorruptedError(path, 0, 'it does not begin with the header of a snapshot');
  const headerBytes = start.readUInt32LE(16);
  if (headerBytes < fixedHeaderBytes || headerBytes > maximumHeaderBytes)
    throw new LogCorruptedError(path, 16, 'its header has an impossible length');
  const buffer = Buffer.alloc(headerBytes);
  if ((await file.read(buffer, 0)) < headerBytes)
    throw new LogCorruptedError(path, await file.size(), 'it ends within its header');
  return buffer;
}

/**
 * Writes a snapshot into an empty file and syncs it; returns its header. Other work gets a turn after each piece.
 *
 * @param onWritten gets the length of each piece
 */
export async function writeSnapshotFile(
  file: File,
  snapshot: TakenSnapshot,
  resetSequence: number,
  owner: StorageOwner,
  onWritten: (sizeBytes: number) => void = () => undefined,
): Promise<SnapshotHeader> {
  const { metadata, data } = snapshot;
  const headerBytes = leastHeaderBytes(metadata);
  let checksum = 0;
  let sizeBytes = 0;
  for (const part of data instanceof Uint8Array ? [data] : data) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      const piece = part.subarray(at, at + pieceBytes);
      checksum = crc32(piece, checksum);
      await file.write(piece, headerBytes + sizeBytes);
      sizeBytes += piece.length;
      onWritten(piece.length);
    }
  }
  const header = { metadata, resetSequence, sizeBytes, checksum, headerBytes };
  await file.write(encodeSnapshotHeader(header, owner, 'saved'), 0);
  await file.sync();
  return header;
}

/**
 * Checks a snapshot's data against its header, piece by piece.
 *
 * @param onPiece gets each piece; it is valid only during the call
 * @throws LogCorruptedError when length or data differ from what was written
 */
export async function checkSnapshotData(
  file: File,
  path: string,
  { headerBytes, sizeBytes, checksum }: SnapshotHeader,
  onPiece: (piece: Buffer, offset: number) => void = () => undefined,
): Promise<void> {
  const fileBytes = await file.size();
  if (headerBytes + sizeBytes !== fileBytes)
    throw new LogCorruptedError(path, fileBytes, `its length should be ${headerBytes + sizeBytes} bytes`);
  const found = await checksumOf(file, headerBytes, 0, sizeBytes, 0, onPiece);
  if (found !== checksum) throw new LogCorruptedError(path, headerBytes, 'the checksum of the snapshot is wrong');
}

/** Continues a checksum over bytes `start` to `end` of the data in a file; undefined when the file ends too early. */
export async function checksumOf(
  file: File,
  headerBytes: number,
  start: number,
  end: number,
  checksum: number,
  onPiece: (piece: Buffer, offset: number) => void | Promise<void> = () => undefined,
): Promise<number | undefined> {
  const buffer = Buffer.alloc(Math.min(pieceBytes, end - start));
  let sum = checksum;
  for (let at = start; at < end; at += pieceBytes) {
    const piece = buffer.subarray(0, Math.min(pieceBytes, end - at));
    if ((await file.read(piece, headerBytes + at)) < piece.length) return undefined;
    sum = crc32(piece, sum);
    await onPiece(piece, at);
  }
  return sum;
}

/**
 * Reads a snapshot and checks it.
 *
 * @throws LogCorruptedError when anything differs from what was written
 */
export async function readSnapshotData(file: File, path: string, header: SnapshotHeader): Promise<Buffer> {
  const fileBytes = await file.size();
  if (header.sizeBytes > fileBytes)
    // before memory is allocated for it
    throw new LogCorruptedError(path, fileBytes, `its length should be ${header.headerBytes + header.sizeBytes} bytes`);
  const data = Buffer.alloc(header.sizeBytes);
  await checkSnapshotData(file, path, header, (piece, offset) => void piece.copy(data, offset));
  return data;
}
