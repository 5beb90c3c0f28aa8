import type { Entry, HardState } from '../../core/types.js';
import { LogCorruptedError } from '../errors.js';
import { replayOrRefuse } from '../recovery.js';
import type { SequencedRecord } from '../segment-scan.js';
import type { SnapshotHeader } from '../snapshot-file.js';
import { describeDirectory, describeFrames, describeHardState, describeReceived, fileAsValue } from './description.js';
import type { DirectoryReader, FileReport } from './directory-reader.js';
import { directoryAsJson, type PrintLine } from './inspect.js';

interface Summary {
  readonly type: 'summary';
  readonly sound: boolean;
  readonly damagedFiles: number;
  /** what is wrong with the files together */
  readonly reason?: string;
  readonly hardState?: HardState;
  readonly snapshotIndex?: number;
  readonly firstIndex?: number;
  readonly lastIndex?: number;
}

/** `changed`: a running node removed files in between, and the files read do not fit together; read again. */
export type Verdict = 'sound' | 'damaged' | 'changed';

/** Checks everything in a directory, as a start of the node would and more. */
export async function verify(reader: DirectoryReader, json: boolean, print: PrintLine): Promise<Verdict> {
  let records: SequencedRecord[] = [];
  let snapshot: SnapshotHeader | undefined;
  let damagedFiles = 0;
  let first = true;
  let changed = false;
  for await (const report of reader.files()) {
    if (first) print(json ? directoryAsJson(reader) : describeDirectory(reader));
    first = false;
    if (report.damage) damagedFiles++;
    if (report.type === 'segment') for (const record of report.content?.records ?? []) records.push(record);
    if (report.type === 'vanished') changed = true;
    if (report.type === 'vanished' && report.name.endsWith('.wal')) records = []; // the log begins later now
    if (report.type === 'snapshot' && !report.damage) snapshot = report.header;
    print(json ? JSON.stringify(fileAsValue(report)) : describeFinding(report, reader.inUse));
  }
  const summary = summarize(reader, records, snapshot, damagedFiles);
  if (changed && damagedFiles === 0 && !summary.sound) return 'changed';
  print(json ? JSON.stringify(summary) : describeSummary(summary));
  return summary.sound ? 'sound' : 'damaged';
}

function describeFinding(report: FileReport, inUse: boolean): string {
  const { name, damage } = report;
  if (damage) return `${name}  DAMAGED at byte ${damage.offset}: ${damage.reason}`;
  switch (report.type) {
    case 'segment': {
      if (report.content?.ending.type !== 'torn') return `${name}  OK  ${describeFrames(report)}`;
      const consequence = inUse ? 'a write is under way' : 'an unfinished write, which the next start cuts';
      return `${name}  OK  ${describeFrames(report)}; at byte ${report.content.end} ${consequence}`;
    }
    case 'snapshot':
      return `${name}  OK  ${report.header?.sizeBytes ?? 0} bytes of data`;
    case 'received':
      return `${name}  OK  ${describeReceived(report)}`;
    case 'other':
    case 'vanished':
      return `${name}  -  ${report.note}`;
  }
}

function summarize(
  reader: DirectoryReader,
  records: readonly SequencedRecord[],
  snapshot: SnapshotHeader | undefined,
  damagedFiles: number,
): Summary {
  const common = { type: 'summary', damagedFiles } as const;
  if (damagedFiles > 0) return { ...common, sound: false };
  if (records.length === 0)
    return { ...common, sound: false, reason: 'there are snapshots, but no segment of the log' };
  try {
    const { hardState, entries } = replayOrRefuse(reader.directory, records, snapshot);
    return { ...common, sound: true, hardState, snapshotIndex: snapshot?.metadata.index, ...rangeOf(entries) };
  } catch (error) {
    if (!(error instanceof LogCorruptedError)) throw error;
    return { ...common, sound: false, reason: error.reason };
  }
}

function rangeOf(entries: readonly Entry[]): { readonly firstIndex?: number; readonly lastIndex?: number } {
  return { firstIndex: entries[0]?.index, lastIndex: entries.at(-1)?.index };
}

function describeSummary(summary: Summary): string {
  const { damagedFiles, reason, hardState, snapshotIndex, firstIndex, lastIndex } = summary;
  if (reason !== undefined) return `DAMAGED: ${reason}`;
  if (!hardState) return `DAMAGED: ${damagedFiles === 1 ? 'one file' : `${damagedFiles} files`}`;
  const snapshot = snapshotIndex === undefined ? 'no snapshot' : `snapshot at ${snapshotIndex}`;
  const entries = firstIndex === undefined ? 'no entries behind it' : `entries ${firstIndex} to ${lastIndex}`;
  return `sound: ${describeHardState(hardState)}; ${snapshot}; ${entries}`;
}
