import { join } from 'node:path';
import { invariant, type Logger, type Random } from '@concordat/foundation';
import type { HardState } from '../core/types.js';
import { LogCorruptedError } from './errors.js';
import type { File, FileSystem } from './file-system.js';
import { frameHeaderBytes, maxPayloadBytes, sealFrame } from './frame.js';
import type { StorageOwner } from './owner.js';
import { encodeRecord, recordSizeBytes, type LogRecord } from './record.js';
import {
  parseSegmentName,
  readSegment,
  readSegmentHeader,
  segmentHeaderBytes,
  segmentName,
  writeSegmentHeader,
  type SegmentContent,
  type SegmentHeader,
  type SequencedRecord,
} from './segment.js';

export interface SegmentedLogOptions {
  readonly directory: string;
  readonly owner: StorageOwner;
  readonly segmentSizeBytes: number;
  readonly fileSystem: FileSystem;
  readonly random: Random;
  readonly logger: Logger;
}

interface Segment {
  readonly path: string;
  /** the largest index of an entry in it that is not void; 0 for none */
  lastIndex: number;
}

/** The segment that is written to. */
interface Tail {
  readonly file: File;
  readonly sizeBytes: number;
  readonly salt: number;
  offset: number;
}

interface Spare {
  readonly path: string;
  readonly file: File;
  readonly sizeBytes: number;
}

const zeroChunk = Buffer.alloc(1024 * 1024);
/** The buffer for frames is kept up to this size; a larger frame gets one of its own. */
const keptBufferBytes = 1024 * 1024;

/**
 * The write-ahead log: a row of segments, written to at the end of the last one.
 *
 * `append` writes one frame, durably, in one step. When the tail is full the frame goes to a new segment: header
 * and frame are made durable in a spare file, which then gets its name, so every named segment begins with a
 * whole header. The spare is allocated in the background once the tail is half full.
 *
 * Not safe for concurrent appends; any rejection leaves the log unusable.
 */
export class SegmentedLog {
  private readonly segments: Segment[] = [];
  private tail: Tail | undefined;
  private spare: Promise<Spare> | undefined;
  private buffer = Buffer.alloc(64 * 1024);
  private hardState: HardState = { term: 0, vote: 0, commitIndex: 0 };
  private sequence = 1;
  private chain = 0;

  constructor(private readonly options: SegmentedLogOptions) {}

  /** The number that the next frame will have. */
  get nextSequence(): number {
    return this.sequence;
  }

  /**
   * Reads all segments, cuts a torn tail and makes sure that what was read is on disk. In an empty directory the
   * first segment is created.
   *
   * @throws LogCorruptedError, StorageOwnerError, StorageFormatError
   */
  async open(): Promise<readonly SequencedRecord[]> {
    const names = await this.options.fileSystem.list(this.options.directory);
    const firstSequences = names.map(parseSegmentName).filter((sequence) => sequence !== undefined);
    firstSequences.sort((a, b) => a - b);
    if (firstSequences.length === 0) {
      await this.append({ hardState: this.hardState, entries: [] });
      return [];
    }
    const records: SequencedRecord[] = [];
    for (const [position, firstSequence] of firstSequences.entries()) {
      const isLast = position === firstSequences.length - 1;
      for (const record of await this.load(firstSequence, position === 0, isLast)) records.push(record);
    }
    return records;
  }

  /** Makes a record durable as one frame. */
  async append(record: LogRecord): Promise<void> {
    const lastIndex = record.entries.at(-1)?.index ?? 0;
    const tail = this.tail;
    if (!tail || tail.offset + frameHeaderBytes + recordSizeBytes(record) > tail.sizeBytes) {
      await this.roll({ hardState: record.hardState ?? this.hardState, entries: record.entries }, lastIndex);
    } else {
      const end = this.encode(record, 0, tail.salt);
      await tail.file.writeDurably(this.buffer.subarray(0, end), tail.offset);
      tail.offset += end;
      const segment = this.segments.at(-1);
      invariant(segment, 'a tail belongs to a segment');
      segment.lastIndex = Math.max(segment.lastIndex, lastIndex);
      if (tail.offset > tail.sizeBytes / 2) this.prepareSpare();
    }
    this.hardState = record.hardState ?? this.hardState;
    if (this.buffer.length > keptBufferBytes) this.buffer = Buffer.alloc(64 * 1024);
  }

  /** Removes the leading segments that hold no entry behind `index`; the tail stays. */
  async removeThrough(index: number): Promise<void> {
    const { fileSystem, directory } = this.options;
    for (let first = this.segments[0]; first && this.segments.length > 1; first = this.segments[0]) {
      if (first.lastIndex > index) return;
      this.segments.shift();
      await fileSystem.remove(first.path);
      // One at a time: were a later name to vanish before an earlier one, the gap would look like lost data.
      await fileSystem.syncDirectory(directory);
    }
  }

  /** Declares every entry written so far void (a reset), so that `removeThrough` may drop their segments. */
  voidEntries(): void {
    for (const segment of this.segments) segment.lastIndex = 0;
  }

  async close(): Promise<void> {
    const spare = await this.spare?.catch(() => undefined);
    this.spare = undefined;
    await spare?.file.close();
    await this.tail?.file.close();
    this.tail = undefined;
  }

  private async load(firstSequence: number, isFirst: boolean, isLast: boolean): Promise<readonly SequencedRecord[]> {
    const path = join(this.options.directory, segmentName(firstSequence));
    const buffer = await this.options.fileSystem.readFile(path);
    const header = readSegmentHeader(buffer, path, this.options.owner);
    if (header.firstSequence !== firstSequence)
      throw new LogCorruptedError(path, 24, `its header says that it begins with frame ${header.firstSequence}`);
    if (!isFirst && (firstSequence !== this.sequence || header.previousChain !== this.chain))
      throw new LogCorruptedError(path, 16, `it does not follow on frame ${this.sequence - 1} of the segment before`);
    const content = readSegment(buffer, path, header, isLast);
    if (content.records[0]?.hardState === undefined)
      throw new LogCorruptedError(path, segmentHeaderBytes, 'the first frame of the segment is missing');
    this.sequence = firstSequence + content.records.length;
    this.chain = content.chain;
    const lastIndex = content.records.reduce((last, { entries }) => Math.max(last, entries.at(-1)?.index ?? 0), 0);
    this.segments.push({ path, lastIndex });
    for (const record of content.records) this.hardState = record.hardState ?? this.hardState;
    if (isLast) await this.openTail(path, buffer, header, content);
    return content.records;
  }

  /**
   * What was read may be in the system's cache only: written by a process that died before its sync, or left
   * behind by a failed one. Only the last frame can be in that state. It is written again, not merely synced,
   * because a failed sync may have marked its pages as clean.
   */
  private async openTail(path: string, buffer: Buffer, header: SegmentHeader, content: SegmentContent): Promise<void> {
    const file = await this.options.fileSystem.open(path, 'update');
    this.tail = { file, sizeBytes: buffer.length, salt: header.salt, offset: content.end };
    if (content.torn) {
      const cutBytes = buffer.length - content.end;
      this.options.logger.warn(
        `${path}: cut an unfinished write at byte ${content.end}, behind frame ${this.sequence - 1}; ` +
          'it was never acknowledged',
      );
      await file.writeDurably(Buffer.alloc(cutBytes), content.end);
    }
    await file.writeDurably(buffer.subarray(content.lastFrameStart, content.end), content.lastFrameStart);
    await file.sync();
  }

  private async roll(record: LogRecord, lastIndex: number): Promise<void> {
    const { fileSystem, directory, owner, random } = this.options;
    const sizeBytes = segmentHeaderBytes + frameHeaderBytes + recordSizeBytes(record);
    const spare = await this.takeSpare(sizeBytes);
    const firstSequence = this.sequence;
    const salt = random.uint32();
    const previousChain = this.chain;
    const end = this.encode(record, segmentHeaderBytes, salt);
    writeSegmentHeader(this.buffer, { salt, previousChain, firstSequence }, owner);
    await spare.file.writeDurably(this.buffer.subarray(0, end), 0);
    const path = join(directory, segmentName(firstSequence));
    await fileSystem.rename(spare.path, path);
    await fileSystem.syncDirectory(directory);
    const full = this.tail;
    this.tail = { file: spare.file, sizeBytes: spare.sizeBytes, salt, offset: end };
    this.segments.push({ path, lastIndex });
    await full?.file.close();
  }

  /** Puts a frame into the buffer at `offset`, takes its sequence number, and returns the offset behind it. */
  private encode(record: LogRecord, offset: number, salt: number): number {
    const payloadBytes = recordSizeBytes(record);
    invariant(payloadBytes <= maxPayloadBytes, `a batch has at most ${maxPayloadBytes} bytes`);
    const needed = offset + frameHeaderBytes + payloadBytes;
    if (this.buffer.length < needed) this.buffer = Buffer.alloc(Math.max(needed, 2 * this.buffer.length));
    const end = encodeRecord(record, this.buffer, offset + frameHeaderBytes);
    invariant(end === needed, 'a record has the size that was announced');
    this.chain = sealFrame(this.buffer, offset, payloadBytes, {
      sequence: this.sequence++,
      salt,
      previousChain: this.chain,
    });
    return end;
  }

  private prepareSpare(): void {
    if (this.spare) return;
    this.spare = this.allocate(this.options.segmentSizeBytes);
    this.spare.catch(() => undefined); // whoever takes it meets the error
  }

  private async takeSpare(neededBytes: number): Promise<Spare> {
    if (neededBytes > this.options.segmentSizeBytes) {
      const prepared = await this.spare; // it has the same name
      await prepared?.file.close();
      this.spare = undefined;
      return this.allocate(neededBytes);
    }
    this.prepareSpare();
    const spare = await this.spare;
    invariant(spare, 'a spare was prepared');
    this.spare = undefined;
    return spare;
  }

  /** Writes zeros over the whole length, so that later syncs find the blocks allocated and the size settled. */
  private async allocate(sizeBytes: number): Promise<Spare> {
    const { fileSystem, directory } = this.options;
    const path = join(directory, 'spare.tmp');
    const file = await fileSystem.open(path, 'create');
    try {
      for (let at = 0; at < sizeBytes; at += zeroChunk.length)
        await file.write(zeroChunk.subarray(0, Math.min(zeroChunk.length, sizeBytes - at)), at);
      await file.sync();
    } finally {
      await file.close();
    }
    return { path, file: await fileSystem.open(path, 'update'), sizeBytes };
  }
}
