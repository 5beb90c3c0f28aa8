import type { Measurement } from '../closed-loop.js';
import { ProcessMeter } from '../machine/processes.js';
import { formatTable, type Bar } from '../report.js';
import { median } from '../statistics.js';
import type { LoadLength } from './process-protocol.js';
import type { Target } from './targets.js';
import type { Trio } from './trio.js';

/**
 * Three etcd 3.6 nodes on such a machine with clients over gRPC, for scale: writes by concurrent clients. Ours are
 * proposed in the leader's process, so they should be no slower at 1 and three times as fast at the others.
 */
const ETCD_WRITES: Readonly<Record<number, { readonly perSecond: number; readonly times: number }>> = {
  1: { perSecond: 1_540, times: 1 },
  64: { perSecond: 11_500, times: 3 },
  512: { perSecond: 14_600, times: 3 },
};

/** Many small batches first: what runs once for each of them is compiled only after it ran thousands of times. */
const WARM_UP = { proposers: 8, seconds: 10 };
/** Then some rounds of each load that are not counted. */
const WARM_UP_ROUNDS = 1;
const ATTEMPTS = 3;

export interface WriteOptions {
  readonly proposers: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** CPU in microseconds and write system calls for one command, by process; the leader's is marked. */
export type CommandCost = Readonly<Record<string, { readonly cpuMicroseconds: number; readonly writeCalls: number }>>;

export interface WriteComparison {
  readonly proposers: number;
  readonly bound: readonly Measurement[];
  readonly raft: readonly Measurement[];
  /** medians over the rounds; ratios are medians of the ratios of each round */
  readonly boundPerSecond: number;
  readonly raftPerSecond: number;
  readonly ratio: number;
  readonly boundP50Ms: number;
  readonly raftP50Ms: number;
  readonly p50Ratio: number;
  readonly boundP99Ms: number;
  readonly raftP99Ms: number;
  /** of the last round */
  readonly costs: CommandCost;
}

/** Commands proposed in the leader's process, bound and Raft in turns. */
export async function compareWrites(bound: Trio, raft: Trio, options: WriteOptions): Promise<WriteComparison[]> {
  const comparisons: WriteComparison[] = [];
  process.stderr.write(`  warming up for ${2 * WARM_UP.seconds} s\n`);
  for (const trio of [bound, raft]) await write(trio, WARM_UP.proposers, { seconds: WARM_UP.seconds });
  for (const proposers of options.proposers) {
    comparisons.push(await compareAt(bound, raft, proposers, options));
    await Promise.all([bound.agree(), raft.agree()]);
  }
  return comparisons;
}

async function compareAt(bound: Trio, raft: Trio, proposers: number, options: WriteOptions): Promise<WriteComparison> {
  const length = { seconds: options.seconds };
  const rounds: { readonly bound: Measurement; readonly raft: Measurement }[] = [];
  let costs: CommandCost = {};
  for (let round = 1 - WARM_UP_ROUNDS; round <= options.rounds; round++) {
    const boundMeter = meterOf(bound);
    const ofBound = await write(bound, proposers, length);
    const boundCosts = costsOf(boundMeter, ofBound);
    const raftMeter = meterOf(raft);
    const ofRaft = await write(raft, proposers, length);
    if (round < 1) continue;
    costs = { ...boundCosts, ...(await withLeaderMarked(raft, costsOf(raftMeter, ofRaft))) };
    rounds.push({ bound: ofBound, raft: ofRaft });
    const [boundText, raftText] = [ofBound, ofRaft].map(
      ({ perSecond, p50Ms, p99Ms }) =>
        `${perSecond.toFixed(0)}/s (p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms)`,
    );
    process.stderr.write(`  ${proposers} proposers, round ${round}: bound ${boundText}, raft ${raftText}\n`);
  }
  return summarise(proposers, rounds, costs);
}

/** A change of leadership in between makes a measurement worthless, not the run. */
export async function write(trio: Trio, proposers: number, length: LoadLength): Promise<Measurement> {
  for (let attempt = 1; ; attempt++) {
    const leader = await trio.leader();
    try {
      return await leader.call('write', { proposers, length });
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      process.stderr.write(`  measured again: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

function meterOf(trio: Trio): ProcessMeter {
  return new ProcessMeter({ processes: trio.members.map(({ name, pid }) => ({ name, pid, role: 'node', ports: {} })) });
}

function costsOf(meter: ProcessMeter, { committed }: Measurement): CommandCost {
  const costs = Object.entries(meter.perTransfer(Math.max(1, committed)));
  return Object.fromEntries(
    costs
      .filter(([name]) => name !== 'load') // this process only waits
      .map(([name, { cpuMs, writeCalls }]) => [name, { cpuMicroseconds: cpuMs * 1000, writeCalls }]),
  );
}

async function withLeaderMarked(raft: Trio, costs: CommandCost): Promise<CommandCost> {
  const { name } = await raft.leader();
  return Object.fromEntries(Object.entries(costs).map(([key, cost]) => [key === name ? `${key} (leader)` : key, cost]));
}

function summarise(
  proposers: number,
  rounds: readonly { readonly bound: Measurement; readonly raft: Measurement }[],
  costs: CommandCost,
): WriteComparison {
  const middle = (figure: (round: { bound: Measurement; raft: Measurement }) => number): number =>
    median(rounds.map(figure));
  return {
    proposers,
    bound: rounds.map((round) => round.bound),
    raft: rounds.map((round) => round.raft),
    boundPerSecond: middle(({ bound }) => bound.perSecond),
    raftPerSecond: middle(({ raft }) => raft.perSecond),
    ratio: middle(({ bound, raft }) => raft.perSecond / bound.perSecond),
    boundP50Ms: middle(({ bound }) => bound.p50Ms),
    raftP50Ms: middle(({ raft }) => raft.p50Ms),
    p50Ratio: middle(({ bound, raft }) => raft.p50Ms / bound.p50Ms),
    boundP99Ms: middle(({ bound }) => bound.p99Ms),
    raftP99Ms: middle(({ raft }) => raft.p99Ms),
    costs,
  };
}

export function writeTable(comparisons: readonly WriteComparison[]): string {
  const rows = comparisons.map((one) => [
    String(one.proposers),
    one.boundPerSecond.toFixed(0),
    one.raftPerSecond.toFixed(0),
    one.ratio.toFixed(2),
    one.boundP50Ms.toFixed(2),
    one.raftP50Ms.toFixed(2),
    one.p50Ratio.toFixed(1),
    one.boundP99Ms.toFixed(2),
    one.raftP99Ms.toFixed(2),
    ETCD_WRITES[one.proposers]?.perSecond.toFixed(0) ?? '',
  ]);
  const header = ['proposers', 'bound/s', 'raft/s', 'ratio', 'bound p50 ms', 'p50 ms', 'p50 ratio'];
  return formatTable([...header, 'bound p99 ms', 'p99 ms', 'etcd/s'], rows);
}

/** Where the CPU of one command goes, and how often a process calls into the kernel to write. */
export function commandCostTable(comparisons: readonly WriteComparison[]): string {
  const names = [...new Set(comparisons.flatMap(({ costs }) => Object.keys(costs)))].sort();
  const rows = names.map((name) => [
    name,
    ...comparisons.map(({ costs }) => {
      const cost = costs[name];
      return cost ? `${cost.cpuMicroseconds.toFixed(1)} µs / ${cost.writeCalls.toFixed(3)}` : '';
    }),
  ]);
  return formatTable(
    ['CPU / writes per command', ...comparisons.map(({ proposers }) => `${proposers} proposers`)],
    rows,
  );
}

export function writeTargets(comparisons: readonly WriteComparison[]): Target[] {
  return comparisons.flatMap(({ proposers, ratio, p50Ratio, raftPerSecond }) => {
    const etcd = ETCD_WRITES[proposers];
    const targets: Target[] =
      proposers === 1
        ? [{ what: 'p50 by the bound, 1 proposer', measured: p50Ratio, unit: '', atMost: 2 }]
        : [{ what: `throughput by the bound, ${proposers} proposers`, measured: ratio, unit: '', atLeast: 0.5 }];
    if (etcd) {
      const measured = raftPerSecond / etcd.perSecond;
      targets.push({ what: `throughput by etcd's, ${proposers}`, measured, unit: '', atLeast: etcd.times });
    }
    return targets;
  });
}

export function writeBars(comparisons: readonly WriteComparison[]): Bar[] {
  return comparisons.flatMap(({ proposers, boundPerSecond, raftPerSecond }) => [
    { label: `raw, ${proposers} proposers`, value: boundPerSecond },
    { label: `concordat, ${proposers} proposers`, value: raftPerSecond },
  ]);
}
