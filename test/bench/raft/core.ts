import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { formatTable } from '../report.js';
import { median } from '../statistics.js';
import type { Target } from './targets.js';

const PROGRAM = path.resolve(import.meta.dirname, 'core-process.js');

/** Entries that the core alone carries through a leader and two followers in one process. */
export interface CoreThroughput {
  /** proposals that go into the leader at a time */
  readonly batchSize: number;
  readonly rounds: readonly number[];
  /** median */
  readonly entriesPerSecond: number;
}

export async function measureCore(rounds: number): Promise<CoreThroughput[]> {
  const measured = new Map<number, number[]>();
  for (let round = 1; round <= rounds; round++) {
    const { stdout } = await promisify(execFile)(process.execPath, ['--enable-source-maps', PROGRAM]);
    for (const line of stdout.trim().split('\n')) {
      const { batchSize, entriesPerSecond } = JSON.parse(line) as { batchSize: number; entriesPerSecond: number };
      measured.set(batchSize, [...(measured.get(batchSize) ?? []), entriesPerSecond]);
    }
  }
  return [...measured].map(([batchSize, all]) => ({ batchSize, rounds: all, entriesPerSecond: median(all) }));
}

export function coreTable(throughputs: readonly CoreThroughput[]): string {
  const rows = throughputs.map(({ batchSize, entriesPerSecond }) => [String(batchSize), entriesPerSecond.toFixed(0)]);
  return formatTable(['core alone, proposals at a time', 'entries/s'], rows);
}

/** With as many proposals at a time as there are proposers in the other measurements. */
export function coreTargets(throughputs: readonly CoreThroughput[]): Target[] {
  return throughputs
    .filter(({ batchSize }) => batchSize > 1)
    .map(({ batchSize, entriesPerSecond }) => ({
      what: `core alone, ${batchSize} proposals at a time`,
      measured: entriesPerSecond,
      unit: 'entries/s',
      atLeast: 500_000,
    }));
}
