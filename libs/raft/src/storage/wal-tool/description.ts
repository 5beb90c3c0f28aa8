import { TextDecoder } from 'node:util';
import { decodeConfiguration } from '../../core/membership/configuration-codec.js';
import { formatId } from '../../core/membership/addressing.js';
import type { Configuration, Entry, HardState, NodeId } from '../../core/types.js';
import { describeIncarnation } from '../owner.js';
import type { PlacedRecord } from '../segment-scan.js';
import { segmentFormatVersion } from '../segment.js';
import type { SnapshotHeader } from '../snapshot-file.js';
import type { ShownEntries } from './arguments.js';
import type { DirectoryReader, FileReport, LockHolder, ReceivedReport, SegmentReport } from './directory-reader.js';

/** Formats parts of the log as words, or as values for JSON. */

export function describeHardState({ term, vote, commitIndex }: HardState): string {
  return `term ${term}, vote ${vote === 0 ? 'none' : vote}, commit ${commitIndex}`;
}

export function describeConfiguration({ groupId, members, voters, outgoing, learners }: Configuration): string {
  const named = (nodeId: NodeId): string => {
    const member = members.find((candidate) => candidate.nodeId === nodeId);
    return `${nodeId} (${formatId(member?.incarnation ?? 0)})`;
  };
  const lists = [
    ['voters', voters],
    ['outgoing', outgoing],
    ['learners', learners],
  ] as const;
  const roles = lists
    .filter(([, nodeIds]) => nodeIds.length > 0)
    .map(([name, nodeIds]) => `${name} ${nodeIds.map(named).join(' ')}`);
  return [`group ${formatId(groupId)}`, ...roles].join(', ');
}

export function describeHolder(holder: LockHolder): string {
  if (!holder) return 'not in use';
  if (holder.lives) return `in use by process ${holder.pid}: it may change while it is read`;
  return `not in use; process ${holder.pid}, which had it open, has ended`;
}

export function describeDirectory(reader: DirectoryReader): string {
  const owner = reader.owner ? describeIncarnation(reader.owner) : 'of an unknown node';
  return `${reader.directory}: ${owner}, ${describeHolder(reader.holder)}`;
}

export function describeSnapshot({ metadata, sizeBytes }: SnapshotHeader): string {
  const { index, term, configuration } = metadata;
  return `index ${index}, term ${term}, ${describeConfiguration(configuration)}, ${sizeBytes} bytes of data`;
}

export function describeReceived({ header, progress }: ReceivedReport): string {
  if (!header) return 'a part of a snapshot';
  const { index, term } = header.metadata;
  return `${progress?.nextOffset ?? 0} of ${header.sizeBytes} bytes of the snapshot at index ${index}, term ${term}`;
}

/** `frames 3 to 9`; a readable segment has at least one. */
export function describeFrames({ header, content }: SegmentReport): string {
  if (!header || !content) return 'no frame can be read';
  const last = header.firstSequence + content.records.length - 1;
  return last < header.firstSequence ? 'no sound frame' : `frames ${header.firstSequence} to ${last}`;
}

export function describeSegment(report: SegmentReport): string {
  if (!report.header) return `${report.sizeBytes} bytes`;
  const salt = report.header.salt.toString(16).padStart(8, '0');
  return `${report.sizeBytes} bytes, format ${segmentFormatVersion}, salt ${salt}, ${describeFrames(report)}`;
}

/** The lines for a frame; none when it has no entry in the requested range. */
export function describeRecord(record: PlacedRecord, show: ShownEntries): string[] {
  const entries = shownEntries(record, show);
  const everything = show.from === 0 && show.to === Number.MAX_SAFE_INTEGER;
  if (entries.length === 0 && !everything) return [];
  const hardState = record.hardState ? `  ${describeHardState(record.hardState)}` : '';
  const lines = [`  byte ${record.offset}  frame ${record.sequence}${hardState}`];
  for (const entry of entries) {
    lines.push(`    entry ${entry.index}  term ${entry.term}  ${entry.kind}  ${entry.data.length} bytes${gist(entry)}`);
    if (show.data && entry.data.length > 0) lines.push(`      ${dataAsText(entry.data)}`);
  }
  return lines;
}

export function shownEntries(record: PlacedRecord, show: ShownEntries): Entry[] {
  return record.entries.filter(({ index }) => index >= show.from && index <= show.to);
}

function gist({ kind, data }: Entry): string {
  const configuration = kind === 'configuration' ? decodeConfiguration(data) : undefined;
  return configuration ? `  ${describeConfiguration(configuration)}` : '';
}

/** Quoted text where the bytes are printable UTF-8, otherwise `0x…`. */
export function dataAsText(data: Uint8Array): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    if (!/(?![\n\r\t])[\p{Cc}\p{Cs}\p{Cn}]/u.test(text)) return JSON.stringify(text);
  } catch {
    // not UTF-8: shown as bytes
  }
  return `0x${Buffer.from(data).toString('hex')}`;
}

/** A file for `--json`; entries only where `show` is given. */
export function fileAsValue(report: FileReport, show?: ShownEntries): Record<string, unknown> {
  const { type, name, damage } = report;
  switch (report.type) {
    case 'segment': {
      const { header, content, sizeBytes } = report;
      const end = content && { endOffset: content.end, ending: content.ending.type };
      const frames = show && content?.records.flatMap((record) => recordAsValue(record, show));
      return { type, name, damage, sizeBytes, ...header, frameCount: content?.records.length, ...end, frames };
    }
    case 'snapshot':
      return { type, name, damage, ...report.header };
    case 'received':
      return { type, name, damage, ...report.header, receivedBytes: report.progress?.nextOffset };
    case 'other':
    case 'vanished':
      return { type, name, note: report.note };
  }
}

function recordAsValue(record: PlacedRecord, show: ShownEntries): unknown[] {
  const entries = shownEntries(record, show);
  const everything = show.from === 0 && show.to === Number.MAX_SAFE_INTEGER;
  if (entries.length === 0 && !everything) return [];
  const { offset, sequence, hardState } = record;
  return [{ offset, sequence, hardState, entries: entries.map((entry) => entryAsValue(entry, show.data)) }];
}

function entryAsValue({ index, term, kind, data }: Entry, withData: boolean): Record<string, unknown> {
  const value = { index, term, kind, sizeBytes: data.length };
  return withData ? { ...value, dataBase64: Buffer.from(data).toString('base64') } : value;
}
