import type { Measurement } from '../closed-loop.js';
import { NO_USAGE, type Usage } from '../machine/processes.js';
import type { Counters } from '../rows/product-counters.js';
import type { Row } from '../rows/steady-row.js';
import { median } from '../statistics.js';

/** Of one process, for one transfer: what the operating system counts, and what the process itself counts. */
export type Cost = Usage & Counters;

/** What one row of a system says. */
export interface SystemRound {
  readonly measurement: Measurement;
  /** of each process, for one transfer */
  readonly perTransfer: Readonly<Record<string, Cost>>;
  /** of each process, at the end of the row */
  readonly memoryMiB: Readonly<Record<string, number>>;
}

/** The rows of one system at one number of clients; bound and system of one place are neighbours in time. */
export interface ComparedRounds {
  readonly clients: number;
  readonly raw: readonly Row<Measurement>[];
  readonly system: readonly Row<SystemRound>[];
}

export interface Comparison extends ComparedRounds {
  /** medians over the rounds */
  readonly rawPerSecond: number;
  readonly systemPerSecond: number;
  /** throughput over that of the bound, round by round */
  readonly ratio: number;
  readonly rawP50Ms: number;
  readonly systemP50Ms: number;
  readonly p50Ratio: number;
  readonly systemP99Ms: number;
  readonly aborted: Readonly<Record<string, number>>;
  readonly perTransfer: Readonly<Record<string, Cost>>;
  readonly memoryMiB: Readonly<Record<string, number>>;
}

export function summarise({ clients, raw, system }: ComparedRounds): Comparison {
  const bounds = raw.map(({ value }) => value);
  const rounds = system.map(({ value }) => value.measurement);
  const of = (measurements: readonly Measurement[], field: 'perSecond' | 'p50Ms' | 'p99Ms'): number =>
    median(measurements.map((one) => one[field]));
  const ratio = (field: 'perSecond' | 'p50Ms'): number =>
    median(rounds.map((round, index) => round[field] / bounds[index]![field]));
  const aborted: Record<string, number> = {};
  for (const [reason, count] of rounds.flatMap((round) => Object.entries(round.aborted))) {
    aborted[reason] = (aborted[reason] ?? 0) + count;
  }
  return {
    clients,
    raw,
    system,
    rawPerSecond: of(bounds, 'perSecond'),
    systemPerSecond: of(rounds, 'perSecond'),
    ratio: ratio('perSecond'),
    rawP50Ms: of(bounds, 'p50Ms'),
    systemP50Ms: of(rounds, 'p50Ms'),
    p50Ratio: ratio('p50Ms'),
    systemP99Ms: of(rounds, 'p99Ms'),
    aborted,
    perTransfer: medianCosts(system.map(({ value }) => value.perTransfer)),
    memoryMiB: mediansByName(system.map(({ value }) => value.memoryMiB)),
  };
}

/** A process that does not tell something has no such entry. */
function medianCosts(rounds: readonly Readonly<Record<string, Cost>>[]): Record<string, Cost> {
  const names = new Set(rounds.flatMap((round) => Object.keys(round)));
  const costOf = (name: string): Cost => {
    const costs = rounds.flatMap((round) => (name in round ? [round[name]!] : []));
    return { ...NO_USAGE, ...mediansByName(costs.map((cost): Record<string, number> => ({ ...cost }))) };
  };
  return Object.fromEntries([...names].map((name) => [name, costOf(name)]));
}

function mediansByName(rounds: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = new Set(rounds.flatMap((round) => Object.keys(round)));
  return Object.fromEntries(
    [...names].map((name) => [name, median(rounds.flatMap((round) => (name in round ? [round[name]!] : [])))]),
  );
}
