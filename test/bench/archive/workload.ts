import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { formatTable, type Bar } from '../report.js';
import { median } from '../statistics.js';
import { BASE, CODINGS } from './codings.js';
import type { CodingResult } from './measure.js';

const PROGRAM = fileURLToPath(new URL('process-main.js', import.meta.url));

export interface ArchiveResult {
  readonly keys: boolean;
  readonly transactions: number;
  /** medians of the rounds, by coding */
  readonly codings: Readonly<Record<string, CodingResult>>;
}

/** Memory and times of the archive of ended transactions, with the coordinator's coding of its blocks and with others. */
export function measureArchive(transactions: number, rounds: number): ArchiveResult[] {
  return [false, true].map((keys) => {
    const results = new Map(Object.keys(CODINGS).map((name) => [name, [] as CodingResult[]]));
    for (let round = 1; round <= rounds; round++) {
      for (const [name, ofCoding] of results) {
        process.stderr.write(`  round ${round} of ${rounds}: ${name}${keys ? ', with keys' : ''}\n`);
        ofCoding.push(runProcess(name, transactions, keys));
      }
    }
    const codings = Object.fromEntries(Array.from(results, ([name, ofCoding]) => [name, medians(ofCoding)]));
    return { keys, transactions, codings };
  });
}

export function archiveTable({ keys, transactions, codings }: ArchiveResult): string {
  const base = codings[BASE]!;
  const rows = (columns: readonly (readonly [keyof CodingResult, number])[]): string[][] =>
    Object.entries(codings).map(([name, result]) => [
      name,
      ...columns.map(([field, digits]) => {
        const ratio = base[field] > 0 ? ` (${(result[field] / base[field]).toFixed(2)})` : '';
        return result[field].toFixed(digits) + ratio;
      }),
    ]);
  return [
    `${transactions} ended transfers, ${keys ? 'with an idempotency key each' : 'without idempotency keys'}`,
    formatTable(
      ['bytes of each', 'blocks, index', 'resident outside heap', 'heap'],
      rows([
        ['bytesEach', 1],
        ['outsideBytesEach', 1],
        ['heapBytesEach', 1],
      ]),
    ),
    formatTable(
      ['look-ups', 'id p50 ms', 'p99', 'key p50 ms', 'p99', 'absent µs', 'page p50 ms', 'p99'],
      rows([
        ['idP50Ms', 2],
        ['idP99Ms', 2],
        ['keyP50Ms', 2],
        ['keyP99Ms', 2],
        ['absentMicroseconds', 1],
        ['pageP50Ms', 2],
        ['pageP99Ms', 2],
      ]),
    ),
    formatTable(
      ['adding', 'µs each', 'longest turn ms', 'turn ms, 1 MB'],
      rows([
        ['addMicroseconds', 1],
        ['longestAddMs', 1],
        ['longestLargeAddMs', 1],
      ]),
    ),
    formatTable(
      ['snapshot', 'made in ms', 'longest turn ms', 'restored in ms', 'longest turn ms'],
      rows([
        ['snapshotMs', 0],
        ['longestPieceMs', 1],
        ['restoreMs', 0],
        ['longestRestoreStepMs', 1],
      ]),
    ),
  ].join('\n\n');
}

export function archiveBars(results: readonly ArchiveResult[]): Bar[] {
  return results.flatMap(({ keys, codings }) =>
    Object.entries(codings).map(([name, { bytesEach }]) => ({
      label: `${name}${keys ? ', keys' : ''}`,
      value: bytesEach,
    })),
  );
}

function runProcess(name: string, transactions: number, keys: boolean): CodingResult {
  const arguments_ = ['--enable-source-maps', PROGRAM, name, String(transactions), keys ? 'keys' : 'none'];
  return JSON.parse(execFileSync(process.execPath, arguments_, { encoding: 'utf8' })) as CodingResult;
}

function medians(results: readonly CodingResult[]): CodingResult {
  const fields = Object.keys(results[0]!) as (keyof CodingResult)[];
  const pairs = fields.map((field) => [field, median(results.map((result) => result[field]))] as const);
  return Object.fromEntries(pairs) as unknown as CodingResult;
}
