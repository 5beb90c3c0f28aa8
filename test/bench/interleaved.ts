import { closedLoop, type Attempt, type Measurement } from './closed-loop.js';
import { ProcessMeter } from './processes.js';
import { RawBound, type RawOrder } from './raw-bound.js';
import { formatTable, type Bar } from './report.js';
import { RestClients } from './rest-client.js';
import { median } from './statistics.js';
import type { RunningSystem } from './system.js';

const WARM_UP_SECONDS = 20;
const WARM_UP_CLIENTS = 64;

export interface InterleavedOptions {
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly rawOrder: RawOrder;
  readonly withKeys: boolean;
  readonly accounts: () => readonly [string, string];
}

export interface Comparison {
  readonly clients: number;
  readonly raw: readonly Measurement[];
  readonly system: readonly Measurement[];
  /** medians over the rounds */
  readonly rawPerSecond: number;
  readonly systemPerSecond: number;
  readonly ratio: number;
  readonly rawP50Ms: number;
  readonly systemP50Ms: number;
  readonly p50Ratio: number;
  readonly systemP99Ms: number;
  readonly aborted: Readonly<Record<string, number>>;
  /** CPU in milliseconds and write system calls, of each process, for one transfer */
  readonly perTransfer: Record<string, { cpuMs: number; writeCalls: number }>;
}

/** Measures bound and system in turns, so that a noisy machine is noisy for both. */
export async function compare(system: RunningSystem, options: InterleavedOptions): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  await warmUp(system, options);
  for (const clients of options.clients) comparisons.push(await compareAt(system, clients, options));
  return comparisons;
}

/** A cold JVM takes twice as long, and a cold Node process is no better. */
async function warmUp(system: RunningSystem, { withKeys, accounts }: InterleavedOptions): Promise<void> {
  process.stderr.write(`  warming up for ${WARM_UP_SECONDS} s\n`);
  const rest = new RestClients(await system.leaderUrl(), WARM_UP_CLIENTS);
  try {
    await closedLoop(WARM_UP_CLIENTS, { seconds: WARM_UP_SECONDS }, rest.transfer(accounts, withKeys));
  } finally {
    await rest.close();
  }
}

async function compareAt(system: RunningSystem, clients: number, options: InterleavedOptions): Promise<Comparison> {
  const { rounds, seconds, rawOrder, withKeys, accounts } = options;
  const raw = await RawBound.connect(system.databaseUrls(), clients);
  const rest = new RestClients(await system.leaderUrl(), clients);
  const rawAttempt = raw.attempt(rawOrder, accounts);
  const systemAttempt = rest.transfer(accounts, withKeys);
  const rawRounds: Measurement[] = [];
  const systemRounds: Measurement[] = [];
  const costs: ReturnType<ProcessMeter['perTransfer']>[] = [];
  try {
    await closedLoop(clients, { seconds }, systemAttempt); // this load, too
    for (let round = 1; round <= rounds; round++) {
      rawRounds.push(await run(`raw    ${clients} clients, round ${round}`, clients, seconds, rawAttempt));
      const meter = new ProcessMeter(system);
      const measured = await run(`system ${clients} clients, round ${round}`, clients, seconds, systemAttempt);
      systemRounds.push(measured);
      costs.push(meter.perTransfer(Math.max(1, measured.committed)));
    }
  } finally {
    await Promise.all([raw.close(), rest.close()]);
  }
  return summarise(clients, rawRounds, systemRounds, costs.at(-1)!);
}

async function run(label: string, clients: number, seconds: number, attempt: Attempt): Promise<Measurement> {
  const measured = await closedLoop(clients, { seconds }, attempt);
  const aborted = Object.entries(measured.aborted).map(([reason, count]) => `, ${count} ${reason}`);
  process.stderr.write(
    `  ${label}: ${measured.perSecond.toFixed(0)}/s, p50 ${measured.p50Ms.toFixed(2)} ms${aborted.join('')}\n`,
  );
  return measured;
}

function summarise(
  clients: number,
  raw: readonly Measurement[],
  system: readonly Measurement[],
  perTransfer: Comparison['perTransfer'],
): Comparison {
  const of = (rounds: readonly Measurement[], field: 'perSecond' | 'p50Ms' | 'p99Ms'): number =>
    median(rounds.map((round) => round[field]));
  const aborted: Record<string, number> = {};
  for (const round of system) {
    for (const [reason, count] of Object.entries(round.aborted)) aborted[reason] = (aborted[reason] ?? 0) + count;
  }
  return {
    clients,
    raw,
    system,
    rawPerSecond: of(raw, 'perSecond'),
    systemPerSecond: of(system, 'perSecond'),
    ratio: median(system.map((round, index) => round.perSecond / raw[index]!.perSecond)),
    rawP50Ms: of(raw, 'p50Ms'),
    systemP50Ms: of(system, 'p50Ms'),
    p50Ratio: median(system.map((round, index) => round.p50Ms / raw[index]!.p50Ms)),
    systemP99Ms: of(system, 'p99Ms'),
    aborted,
    perTransfer,
  };
}

export function comparisonTable(comparisons: readonly Comparison[]): string {
  const rows = comparisons.map((one) => [
    String(one.clients),
    one.rawPerSecond.toFixed(0),
    one.systemPerSecond.toFixed(0),
    one.ratio.toFixed(2),
    one.rawP50Ms.toFixed(2),
    one.systemP50Ms.toFixed(2),
    one.p50Ratio.toFixed(1),
    one.systemP99Ms.toFixed(1),
    String(Object.values(one.aborted).reduce((sum, count) => sum + count, 0)),
  ]);
  const header = ['clients', 'raw/s', 'system/s', 'ratio', 'raw p50 ms', 'p50 ms', 'p50 ratio', 'p99 ms', 'aborts'];
  return formatTable(header, rows);
}

/** Where the CPU of one transfer goes, and how often it calls into the kernel to write. */
export function costTable(comparisons: readonly Comparison[]): string {
  const names = Object.keys(comparisons[0]?.perTransfer ?? {});
  const rows = names.map((name) => [
    name,
    ...comparisons.map(({ perTransfer }) => {
      const { cpuMs, writeCalls } = perTransfer[name]!;
      return `${cpuMs.toFixed(3)} ms / ${writeCalls.toFixed(1)}`;
    }),
  ]);
  return formatTable(['CPU / writes per transfer', ...comparisons.map(({ clients }) => `${clients} clients`)], rows);
}

export function comparisonBars(comparisons: readonly Comparison[]): Bar[] {
  return comparisons.flatMap((one) => [
    { label: `raw, ${one.clients} clients`, value: one.rawPerSecond },
    { label: `concordat, ${one.clients} clients`, value: one.systemPerSecond },
  ]);
}
