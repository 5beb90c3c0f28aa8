import { isZeroFrom } from './binary.js';
import { LogCorruptedError } from './errors.js';
import { chainAfter, findFrame, isInterruptedWrite, readFrame } from './frame.js';
import { decodeRecord, type LogRecord } from './record.js';
import { segmentHeaderBytes, segmentName, type SegmentHeader } from './segment.js';

export interface SequencedRecord extends LogRecord {
  readonly sequence: number;
}

/** A record with the place of its frame in the segment. */
export interface PlacedRecord extends SequencedRecord {
  readonly offset: number;
  readonly end: number;
}

/** What follows the last complete frame. */
export type SegmentEnding =
  | { readonly type: 'zeros' }
  /** a write that was never acknowledged */
  | { readonly type: 'torn' }
  | { readonly type: 'damaged'; readonly offset: number; readonly reason: string };

export interface SegmentContent {
  readonly records: readonly PlacedRecord[];
  /** chain value of the last frame */
  readonly chain: number;
  /** offset after the last complete frame */
  readonly end: number;
  readonly ending: SegmentEnding;
}

/** The end of a log: the number and chain value of its latest frame. */
export interface LogPosition {
  readonly sequence: number;
  readonly chain: number;
}

/**
 * Reads the frames of a segment up to its end or to the first damage.
 *
 * @param isLast only the last segment may end with a torn write
 */
export function scanSegment(buffer: Buffer, header: SegmentHeader, isLast: boolean): SegmentContent {
  const { salt } = header;
  const records: PlacedRecord[] = [];
  let previousChain = header.previousChain;
  let at = segmentHeaderBytes;
  const finish = (ending: SegmentEnding): SegmentContent => ({ records, chain: previousChain, end: at, ending });
  const damaged = (reason: string): SegmentContent => finish({ type: 'damaged', offset: at, reason });
  for (let sequence = header.firstSequence; ; sequence++) {
    const frame = readFrame(buffer, at, salt);
    if (!frame || frame.sequence !== sequence || frame.chain !== chainAfter(buffer, at, previousChain)) break;
    const record = decodeRecord(frame.payload);
    if (!record) return damaged('a frame with a valid checksum has unknown content');
    if (records.length === 0 && !record.hardState) return damaged('the first frame has no hard state');
    records.push({ sequence, offset: at, end: frame.end, ...record });
    previousChain = frame.chain;
    at = frame.end;
  }
  if (records.length === 0) return damaged('the first frame of the segment is missing or not valid');
  if (isZeroFrom(buffer, at)) return finish({ type: 'zeros' });
  const later = findFrame(buffer, at, salt);
  if (later !== undefined) return damaged(`the frame there is not valid, but valid data follow at byte ${later}`);
  if (!isLast) return damaged('the frame there is not valid, and the log goes on in a later segment');
  if (!isInterruptedWrite(buffer, at, { sequence: header.firstSequence + records.length, salt, previousChain }))
    return damaged('the bytes there are neither a valid frame nor an interrupted write');
  return finish({ type: 'torn' });
}

/**
 * The same, for callers that cannot handle damage.
 *
 * @throws LogCorruptedError
 */
export function readSegment(buffer: Buffer, file: string, header: SegmentHeader, isLast: boolean): SegmentContent {
  const content = scanSegment(buffer, header, isLast);
  if (content.ending.type === 'damaged')
    throw new LogCorruptedError(file, content.ending.offset, content.ending.reason);
  return content;
}

/**
 * Checks that a segment matches its name, and continues the one before.
 *
 * @param previous the end of the segment before; undefined for the first segment
 * @throws LogCorruptedError
 */
export function checkSegmentPlace(
  file: string,
  name: string,
  header: SegmentHeader,
  previous: LogPosition | undefined,
): void {
  if (segmentName(header.firstSequence) !== name)
    throw new LogCorruptedError(file, 24, `its header says that it begins with frame ${header.firstSequence}`);
  if (previous && (header.firstSequence !== previous.sequence + 1 || header.previousChain !== previous.chain))
    throw new LogCorruptedError(file, 16, `it does not continue frame ${previous.sequence} of the segment before`);
}
