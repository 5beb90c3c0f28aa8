import { invariant } from '@concordat/foundation';
import type { Entry, EntryKind, HardState } from '../core/types.js';
import { readUint53, writeUint32, writeUint53 } from './binary.js';

/*
 * The payload of a frame is a row of items, each led by a type byte:
 *
 *   1  hard state: term, vote, commitIndex (8 bytes each)
 *   2  entry: kind (1 byte), index, term (8 bytes each), length (4 bytes), data
 *
 * An entry replaces what an earlier frame says of its index and of all later ones, so no truncation item is
 * needed; compaction removes files, and a reset of the log is written in the snapshot (see snapshot-file.ts).
 */
const hardStateType = 1;
const entryType = 2;
const hardStateBytes = 1 + 3 * 8;
const entryHeaderBytes = 1 + 1 + 2 * 8 + 4;
const kinds = ['normal', 'no-op', 'configuration'] as const;
const kindNumbers: Readonly<Record<EntryKind, number>> = { normal: 0, 'no-op': 1, configuration: 2 };

/** The content of one `persist`. */
export interface LogRecord {
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
}

export function recordSizeBytes(record: LogRecord): number {
  let size = record.hardState ? hardStateBytes : 0;
  for (const entry of record.entries) size += entryHeaderBytes + entry.data.length;
  return size;
}

/** Writes a record at `offset` and returns the offset after it. */
export function encodeRecord(record: LogRecord, buffer: Buffer, offset: number): number {
  let at = offset;
  if (record.hardState) {
    at = buffer.writeUInt8(hardStateType, at);
    at = writeUint53(buffer, record.hardState.term, at);
    at = writeUint53(buffer, record.hardState.vote, at);
    at = writeUint53(buffer, record.hardState.commitIndex, at);
  }
  for (const entry of record.entries) at = encodeEntry(entry, buffer, at);
  return at;
}

/** Every command goes through here: plain stores take half the time of `Buffer`'s methods. */
function encodeEntry({ kind, index, term, data }: Entry, buffer: Buffer, offset: number): number {
  const kindNumber = kindNumbers[kind];
  invariant(kindNumber >= 0, 'an entry has one of the kinds');
  buffer[offset] = entryType;
  buffer[offset + 1] = kindNumber;
  let at = writeUint53(buffer, index, offset + 2);
  at = writeUint53(buffer, term, at);
  at = writeUint32(buffer, data.length, at);
  buffer.set(data, at);
  return at + data.length;
}

/** Reads a record; the entries' data are views of `payload`. Undefined when the payload is invalid. */
export function decodeRecord(payload: Buffer): LogRecord | undefined {
  let hardState: HardState | undefined;
  const entries: Entry[] = [];
  for (let at = 0; at < payload.length;) {
    const type = payload[at];
    if (type === hardStateType && at + hardStateBytes <= payload.length) {
      hardState = {
        term: readUint53(payload, at + 1),
        vote: readUint53(payload, at + 9),
        commitIndex: readUint53(payload, at + 17),
      };
      if (Number.isNaN(hardState.term + hardState.vote + hardState.commitIndex)) return undefined;
      at += hardStateBytes;
    } else if (type === entryType && at + entryHeaderBytes <= payload.length) {
      const entry = decodeEntry(payload, at);
      if (!entry) return undefined;
      entries.push(entry);
      at += entryHeaderBytes + entry.data.length;
    } else {
      return undefined;
    }
  }
  return { hardState, entries };
}

function decodeEntry(payload: Buffer, at: number): Entry | undefined {
  const kind = kinds[payload[at + 1] ?? kinds.length];
  const index = readUint53(payload, at + 2);
  const term = readUint53(payload, at + 10);
  const dataStart = at + entryHeaderBytes;
  const dataEnd = dataStart + payload.readUInt32LE(at + 18);
  if (kind === undefined || Number.isNaN(index + term) || dataEnd > payload.length) return undefined;
  return { index, term, kind, data: payload.subarray(dataStart, dataEnd) };
}
