import { crc32 } from 'node:zlib';
import type { Snapshot, SnapshotMetadata } from '../core/types.js';
import { readUint53, writeUint53 } from './binary.js';
import { LogCorruptedError, StorageFormatError } from './errors.js';
import type { File } from './file-system.js';
import { checkOwner, ownerBytes, readOwner, writeOwner, type StorageOwner } from './owner.js';

/*
 * A snapshot is a file `<index>-<term>.snapshot`: a header, then the data.
 *
 *   0  magic 8 · 8 CRC-32 of the header from byte 12 on · 12 format version · 16 header length · 20 CRC-32 of the data
 *  24  data length · 32 index · 40 term · 48 reset sequence · 56 owner · behind it: number of voters 4, voters 8 each
 *
 * `reset sequence` is how a log is reset in one step: the frames numbered below it hold no valid entries. It comes
 * into force with the name of the file, together with the snapshot itself.
 */
const snapshotMagic = 'CNCDSNAP';
const formatVersion = 1;
const ownerOffset = 56;
const votersOffset = ownerOffset + ownerBytes;
const fixedHeaderBytes = votersOffset + 4;
const maxHeaderBytes = 64 * 1024;
/** Data are read, written and summed up in pieces, so that a large snapshot never holds the event loop for long. */
const pieceBytes = 1024 * 1024;

export interface StoredSnapshot extends Snapshot {
  readonly resetSequence: number;
}

export function snapshotName(index: number, term: number): string {
  return `${String(index).padStart(16, '0')}-${String(term).padStart(16, '0')}.snapshot`;
}

/** Index and term in the name of a snapshot, or undefined for other files. */
export function parseSnapshotName(name: string): Pick<SnapshotMetadata, 'index' | 'term'> | undefined {
  const match = /^(\d{16})-(\d{16})\.snapshot$/.exec(name);
  return match ? { index: Number(match[1]), term: Number(match[2]) } : undefined;
}

/** Writes a snapshot into an empty file and syncs it. */
export async function writeSnapshotFile(file: File, snapshot: StoredSnapshot, owner: StorageOwner): Promise<void> {
  const { metadata, data, resetSequence } = snapshot;
  const header = Buffer.alloc(fixedHeaderBytes + 8 * metadata.voters.length);
  let dataCrc = 0;
  for (let at = 0; at < data.length; at += pieceBytes) {
    const piece = data.subarray(at, at + pieceBytes);
    dataCrc = crc32(piece, dataCrc);
    await file.write(piece, header.length + at);
  }
  header.write(snapshotMagic, 0, 'latin1');
  header.writeUInt32LE(formatVersion, 12);
  header.writeUInt32LE(header.length, 16);
  header.writeUInt32LE(dataCrc, 20);
  writeUint53(header, data.length, 24);
  writeUint53(header, metadata.index, 32);
  writeUint53(header, metadata.term, 40);
  writeUint53(header, resetSequence, 48);
  writeOwner(header, owner, ownerOffset);
  header.writeUInt32LE(metadata.voters.length, votersOffset);
  metadata.voters.forEach((voter, position) => writeUint53(header, voter, fixedHeaderBytes + 8 * position));
  header.writeUInt32LE(crc32(header.subarray(12)), 8);
  await file.write(header, 0);
  await file.sync();
}

/**
 * Reads a snapshot back and checks it.
 *
 * @throws LogCorruptedError when anything differs from what was written
 */
export async function readSnapshotFile(file: File, path: string, owner: StorageOwner): Promise<StoredSnapshot> {
  const sizeBytes = await file.size();
  const header = await readHeader(file, path, sizeBytes);
  checkOwner(path, readOwner(header, ownerOffset), owner);
  const dataLength = readUint53(header, 24);
  if (header.length + dataLength !== sizeBytes)
    throw new LogCorruptedError(path, sizeBytes, `its length should be ${header.length + dataLength} bytes`);
  const data = Buffer.alloc(dataLength);
  let dataCrc = 0;
  for (let at = 0; at < dataLength; at += pieceBytes) {
    const piece = data.subarray(at, at + pieceBytes);
    const readBytes = await file.read(piece, header.length + at);
    if (readBytes < piece.length) throw new LogCorruptedError(path, header.length + at + readBytes, 'it ends there');
    dataCrc = crc32(piece, dataCrc);
  }
  if (dataCrc !== header.readUInt32LE(20))
    throw new LogCorruptedError(path, header.length, 'the checksum of the snapshot is wrong');
  const voters = Array.from({ length: header.readUInt32LE(votersOffset) }, (_, position) =>
    readUint53(header, fixedHeaderBytes + 8 * position),
  );
  return {
    metadata: { index: readUint53(header, 32), term: readUint53(header, 40), voters },
    data,
    resetSequence: readUint53(header, 48),
  };
}

async function readHeader(file: File, path: string, sizeBytes: number): Promise<Buffer> {
  const start = Buffer.alloc(Math.min(sizeBytes, maxHeaderBytes));
  await file.read(start, 0);
  if (start.length < fixedHeaderBytes || start.toString('latin1', 0, 8) !== snapshotMagic)
    throw new LogCorruptedError(path, 0, 'it does not begin with the header of a snapshot');
  const length = start.readUInt32LE(16);
  if (length < fixedHeaderBytes || length > start.length)
    throw new LogCorruptedError(path, 16, 'its header has an impossible length');
  const header = start.subarray(0, length);
  if (crc32(header.subarray(12)) !== header.readUInt32LE(8))
    throw new LogCorruptedError(path, 0, 'the checksum of its header is wrong');
  const version = header.readUInt32LE(12);
  if (version !== formatVersion) throw new StorageFormatError(path, version);
  if (length !== fixedHeaderBytes + 8 * header.readUInt32LE(votersOffset))
    throw new LogCorruptedError(path, votersOffset, 'its list of voters has an impossible length');
  return header;
}
