import { join } from 'node:path';
import { invariant, type Clock, type Logger, type Random } from '@concordat/foundation';
import { randomId } from '../core/membership/addressing.js';
import type { HardState } from '../core/types.js';
import type { File, FileSystem } from './file-system.js';
import { frameHeaderBytes, sealFrame } from './frame.js';
import { checkOwner, type DirectoryOwner } from './owner.js';
import { encodeRecord, recordSizeBytes, type LogRecord } from './record.js';
import { checkSegmentPlace, readSegment, type SegmentContent, type SequencedRecord } from './segment-scan.js';
import {
  parseSegmentName,
  readSegmentHeader,
  segmentHeaderBytes,
  segmentName,
  writeSegmentHeader,
  type SegmentHeader,
} from './segment.js';
import type { SpaceWatch } from './space-watch.js';
import { SpareSegments } from './spare-segments.js';

export interface SegmentedLogOptions {
  readonly directory: string;
  /** its incarnation becomes known here */
  readonly owner: DirectoryOwner;
  readonly segmentSizeBytes: number;
  readonly fileSystem: FileSystem;
  readonly random: Random;
  readonly clock: Clock;
  readonly space: SpaceWatch;
  readonly logger: Logger;
}

interface Segment {
  readonly path: string;
  /** the largest index of a valid entry in it; 0 for none */
  lastIndex: number;
}

/** The segment that is written to. */
interface Tail {
  readonly file: File;
  readonly sizeBytes: number;
  readonly salt: number;
  offset: number;
}

/** The buffer for frames is kept up to this size; a larger frame gets one of its own. */
const keptBufferBytes = 1024 * 1024;

/**
 * The write-ahead log: a sequence of segments, appended to at the end of the last one.
 *
 * `append` writes one frame, durably, in one step. When the tail is full the frame goes to a new segment: header and
 * frame are made durable in a spare file, which then gets its name, so every named segment begins with a complete
 * header. The spare is allocated in the background once the tail is half full, so a full disk is noticed while there is
 * space for votes. An `append` waits for space only when the tail has none left.
 *
 * Not safe for concurrent appends; any rejection leaves the log unusable.
 */
export class SegmentedLog {
  private readonly segments: Segment[] = [];
  private readonly spares: SpareSegments;
  private tail: Tail | undefined;
  private buffer = Buffer.alloc(64 * 1024);
  private hardState: HardState = { term: 0, vote: 0, commitIndex: 0 };
  private sequence = 1;
  private chain = 0;
  /** before everything is read a full disk is an error */
  private opened = false;

  constructor(private readonly options: SegmentedLogOptions) {
    this.spares = new SpareSegments(options);
  }

  /** The number of the next frame. */
  get nextSequence(): number {
    return this.sequence;
  }

  /**
   * Reads all segments, cuts a torn tail and ensures that what was read is on disk. In an empty directory it creates
   * the first segment, with a new incarnation of the node.
   *
   * @throws LogCorruptedError, StorageOwnerError, StorageFormatError
   */
  async open(): Promise<readonly SequencedRecord[]> {
    const names = await this.options.fileSystem.list(this.options.directory);
    const firstSequences = names.map(parseSegmentName).filter((sequence) => sequence !== undefined);
    firstSequences.sort((a, b) => a - b);
    const records: SequencedRecord[] = [];
    for (const [position, firstSequence] of firstSequences.entries()) {
      const isLast = position === firstSequences.length - 1;
      for (const record of await this.load(segmentName(firstSequence), position === 0, isLast)) records.push(record);
    }
    if (firstSequences.length === 0) {
      this.options.owner.become(randomId(this.options.random));
      await this.append({ hardState: this.hardState, entries: [] });
    }
    this.opened = true;
    return records;
  }

  /** Makes a record durable as one frame. */
  async append(record: LogRecord): Promise<void> {
    const lastIndex = record.entries.at(-1)?.index ?? 0;
    const tail = this.tail;
    if (!tail || tail.offset + frameHeaderBytes + recordSizeBytes(record) > tail.sizeBytes) {
      await this.roll({ hardState: record.hardState ?? this.hardState, entries: record.entries }, lastIndex);
    } else {
      const end = this.encode(record, 0, tail.salt, tail.offset);
      await tail.file.writeDurably(this.buffer.subarray(0, end), tail.offset);
      tail.offset += end;
      const segment = this.segments.at(-1);
      invariant(segment, 'a tail belongs to a segment');
      segment.lastIndex = Math.max(segment.lastIndex, lastIndex);
      if (tail.offset > tail.sizeBytes / 2) this.spares.prepare();
    }
    this.hardState = record.hardState ?? this.hardState;
    if (this.buffer.length > keptBufferBytes) this.buffer = Buffer.alloc(64 * 1024);
  }

  /** Removes the leading segments without an entry after `index`; the tail stays. */
  async removeThrough(index: number): Promise<void> {
    const { fileSystem, directory } = this.options;
    for (let first = this.segments[0]; first && this.segments.length > 1; first = this.segments[0]) {
      if (first.lastIndex > index) return;
      this.segments.shift();
      await fileSystem.remove(first.path);
      // One at a time: if a later name disappeared before an earlier one, the gap would look like lost data.
      await fileSystem.syncDirectory(directory);
      this.spares.retryNow();
    }
  }

  /** Voids every entry written so far (a reset), so that `removeThrough` may drop their segments. */
  voidEntries(): void {
    for (const segment of this.segments) segment.lastIndex = 0;
  }

  /** An append that waits for disk space ends with StorageClosedError, and so do later ones. */
  stopWaiting(): void {
    this.spares.stopWaiting();
  }

  async close(): Promise<void> {
    await this.spares.close();
    await this.tail?.file.close();
    this.tail = undefined;
  }

  private async load(name: string, isFirst: boolean, isLast: boolean): Promise<readonly SequencedRecord[]> {
    const path = join(this.options.directory, name);
    const buffer = await this.options.fileSystem.readFile(path);
    const header = readSegmentHeader(buffer, path);
    checkOwner(path, header.owner, this.options.owner);
    this.options.owner.become(header.owner.incarnation);
    checkSegmentPlace(path, name, header, isFirst ? undefined : { sequence: this.sequence - 1, chain: this.chain });
    const content = readSegment(buffer, path, header, isLast);
    this.sequence = header.firstSequence + content.records.length;
    this.chain = content.chain;
    const lastIndex = content.records.reduce((last, { entries }) => Math.max(last, entries.at(-1)?.index ?? 0), 0);
    this.segments.push({ path, lastIndex });
    for (const record of content.records) this.hardState = record.hardState ?? this.hardState;
    if (isLast) await this.openTail(path, buffer, header, content);
    return content.records;
  }

  /**
   * What was read may be in the system's cache only: written by a process that died before its sync, or left by a
   * failed one. Only the last frame can be in that state. It is written again, not only synced, because a failed sync
   * may have marked its pages as clean.
   */
  private async openTail(path: string, buffer: Buffer, header: SegmentHeader, content: SegmentContent): Promise<void> {
    const file = await this.options.fileSystem.open(path, 'update');
    this.tail = { file, sizeBytes: buffer.length, salt: header.salt, offset: content.end };
    if (content.ending.type === 'torn') {
      const cutBytes = buffer.length - content.end;
      this.options.logger.warn(
        `${path}: cut an unfinished write at byte ${content.end}, behind frame ${this.sequence - 1}; ` +
          'it was never acknowledged',
      );
      await file.writeDurably(Buffer.alloc(cutBytes), content.end);
    }
    const lastFrameStart = content.records.at(-1)?.offset ?? content.end;
    await file.writeDurably(buffer.subarray(lastFrameStart, content.end), lastFrameStart);
    await file.sync();
  }

  private async roll(record: LogRecord, lastIndex: number): Promise<void> {
    const { fileSystem, directory, owner, random } = this.options;
    const neededBytes = segmentHeaderBytes + frameHeaderBytes + recordSizeBytes(record);
    const { path: sparePath, file, sizeBytes } = await this.spares.take(neededBytes, this.opened);
    const firstSequence = this.sequence;
    const salt = random.uint32();
    const previousChain = this.chain;
    const end = this.encode(record, segmentHeaderBytes, salt, segmentHeaderBytes);
    writeSegmentHeader(this.buffer, { salt, previousChain, firstSequence, sizeBytes }, owner);
    await file.writeDurably(this.buffer.subarray(0, end), 0);
    const path = join(directory, segmentName(firstSequence));
    await fileSystem.rename(sparePath, path);
    await fileSystem.syncDirectory(directory);
    const full = this.tail;
    this.tail = { file, sizeBytes, salt, offset: end };
    this.segments.push({ path, lastIndex });
    await full?.file.close();
  }

  /**
   * Encodes a frame at `offset`, takes its sequence number, and returns the offset after it.
   *
   * @param fileOffset position of the frame in its file
   */
  private encode(record: LogRecord, offset: number, salt: number, fileOffset: number): number {
    const payloadBytes = recordSizeBytes(record);
    const needed = offset + frameHeaderBytes + payloadBytes;
    if (this.buffer.length < needed) this.buffer = Buffer.alloc(Math.max(needed, 2 * this.buffer.length));
    const end = encodeRecord(record, this.buffer, offset + frameHeaderBytes);
    invariant(end === needed, 'a record has the size that was announced');
    this.chain = sealFrame(this.buffer, offset, payloadBytes, {
      sequence: this.sequence++,
      salt,
      previousChain: this.chain,
      fileOffset,
    });
    return end;
  }
}
