import type { ShownEntries } from './arguments.js';
import {
  describeDirectory,
  describeReceived,
  describeRecord,
  describeSegment,
  describeSnapshot,
  fileAsValue,
} from './description.js';
import type { DirectoryReader, FileReport } from './directory-reader.js';

export type PrintLine = (line: string) => void;

/** Prints everything in a directory; returns whether all of it is valid. */
export async function inspect(
  reader: DirectoryReader,
  show: ShownEntries,
  json: boolean,
  print: PrintLine,
): Promise<boolean> {
  let sound = true;
  let first = true;
  for await (const report of reader.files()) {
    if (first) print(json ? directoryAsJson(reader) : describeDirectory(reader)); // a file has named the owner
    first = false;
    sound &&= report.damage === undefined;
    if (json) print(JSON.stringify(fileAsValue(report, show)));
    else for (const line of describeFile(report, show)) print(line);
  }
  return sound;
}

export function directoryAsJson({ directory, owner, holder }: DirectoryReader): string {
  return JSON.stringify({ type: 'directory', directory, ...owner, holder });
}

function describeFile(report: FileReport, show: ShownEntries): string[] {
  const { name, damage } = report;
  const found = damage ? [`  DAMAGED at byte ${damage.offset}: ${damage.reason}`] : [];
  switch (report.type) {
    case 'segment': {
      const { content } = report;
      const records = content?.records.flatMap((record) => describeRecord(record, show)) ?? [];
      const torn = content?.ending.type === 'torn' ? [`  byte ${content.end}  an unfinished write`] : [];
      return ['', `${name}  ${describeSegment(report)}`, ...records, ...torn, ...found];
    }
    case 'snapshot':
      return ['', `${name}  ${report.header ? describeSnapshot(report.header) : ''}`.trimEnd(), ...found];
    case 'received':
      return ['', `${name}  ${describeReceived(report)}`, ...found];
    case 'other':
    case 'vanished':
      return ['', `${name}  ${report.note}`];
  }
}
