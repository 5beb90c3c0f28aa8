import path from 'node:path';
import type { Bar } from '../report.js';
import { coreTable, coreTargets, measureCore } from './core.js';
import { measureMillion, millionTable, millionTargets } from './million.js';
import type { MemberTls } from './process-protocol.js';
import { compareReads, readTable, readTargets } from './reads.js';
import { isMet, targetTable, type Target } from './targets.js';
import { Trio, type TrioOptions } from './trio.js';
import { commandCostTable, compareWrites, writeBars, writeTable, writeTargets } from './writes.js';

/** The measurements of the workload, in their order. */
export const RAFT_PARTS = ['writes', 'reads', 'core', 'memory'] as const;
export type RaftPart = (typeof RAFT_PARTS)[number];

export interface RaftWorkloadOptions {
  /** of the data of all nodes; emptied first */
  readonly directory: string;
  readonly parts: readonly RaftPart[];
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  /** for `memory` */
  readonly commands: number;
  /** by id - 1; undefined: plain text */
  readonly tls: readonly MemberTls[] | undefined;
  readonly profileDirectory: string | undefined;
}

export interface RaftWorkloadResult {
  readonly result: Readonly<Record<string, unknown>>;
  readonly bars: readonly Bar[];
}

/** The library alone, against a bare replicated log in the same run. Prints tables as they come. */
export async function runRaftWorkload(options: RaftWorkloadOptions): Promise<RaftWorkloadResult> {
  const wants = (part: RaftPart): boolean => options.parts.includes(part);
  const result: Record<string, unknown> = { tls: options.tls !== undefined };
  const targets: Target[] = [];
  let bars: Bar[] = [];
  if (wants('writes') || wants('reads')) bars = await measureRates(options, wants, result, targets);
  if (wants('core')) {
    process.stderr.write('the core alone\n');
    const core = await measureCore(options.rounds);
    result['core'] = core;
    targets.push(...coreTargets(core));
    print(coreTable(core));
  }
  if (wants('memory')) {
    process.stderr.write(`${options.commands} commands\n`);
    const memory = await measureMillion({ trio: trioOptions(options, 'memory'), commands: options.commands });
    result['memory'] = memory;
    targets.push(...millionTargets(memory));
    print(millionTable(memory));
  }
  result['targets'] = targets.map((target) => ({ ...target, met: isMet(target) }));
  print(targetTable(targets));
  return { result, bars };
}

async function measureRates(
  options: RaftWorkloadOptions,
  wants: (part: RaftPart) => boolean,
  result: Record<string, unknown>,
  targets: Target[],
): Promise<Bar[]> {
  const { clients, rounds, seconds } = options;
  let bars: Bar[] = [];
  const raft = await Trio.start(trioOptions(options, 'raft'));
  try {
    if (wants('writes')) {
      const bound = await Trio.start({ kind: 'bare', directory: path.join(options.directory, 'bare') });
      try {
        const writes = await compareWrites(bound, raft, { proposers: clients, rounds, seconds });
        result['writes'] = writes;
        targets.push(...writeTargets(writes));
        print(writeTable(writes));
        print(commandCostTable(writes));
        bars = writeBars(writes);
      } finally {
        await bound.stop();
      }
    }
    if (wants('reads')) {
      const readers = clients.filter((count) => count > 1);
      const reads = await compareReads(raft, { readers, rounds, seconds });
      result['reads'] = reads;
      targets.push(...readTargets(reads));
      print(readTable(reads));
    }
  } finally {
    await raft.stop();
  }
  return bars;
}

function trioOptions(options: RaftWorkloadOptions, name: string): TrioOptions {
  const { tls, profileDirectory } = options;
  return {
    kind: 'raft',
    directory: path.join(options.directory, name),
    ...(tls && { tls }),
    ...(profileDirectory !== undefined && { profileDirectory }),
  };
}

function print(table: string): void {
  process.stdout.write(`\n${table}\n\n`);
}
