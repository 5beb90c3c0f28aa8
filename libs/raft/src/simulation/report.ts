import type { SimulationReport } from './simulation.js';

/** Sums over many runs, by family. */
export interface Totals {
  runs: number;
  simulatedMs: number;
  steps: number;
  readonly counts: Record<string, number>;
}

export type TotalsByFamily = Record<string, Totals>;

function emptyTotals(): Totals {
  return { runs: 0, simulatedMs: 0, steps: 0, counts: {} };
}

export function addReport(totals: TotalsByFamily, report: SimulationReport): void {
  addTotals(totals, { [report.family]: { ...report, runs: 1 } });
}

/** Adds the totals of another worker. */
export function addTotals(totals: TotalsByFamily, others: TotalsByFamily): void {
  for (const [family, other] of Object.entries(others)) {
    const own = (totals[family] ??= emptyTotals());
    own.runs += other.runs;
    own.simulatedMs += other.simulatedMs;
    own.steps += other.steps;
    for (const [name, count] of Object.entries(other.counts)) own.counts[name] = (own.counts[name] ?? 0) + count;
  }
}

export function sumOf(totals: TotalsByFamily): Totals {
  const sum: TotalsByFamily = {};
  for (const family of Object.values(totals)) addTotals(sum, { all: family });
  return sum['all'] ?? emptyTotals();
}

export function hoursOf({ simulatedMs }: Totals): number {
  return simulatedMs / 3_600_000;
}

/** A table: hours, steps, elections and commits per family, then all counts. */
export function describeTotals(totals: TotalsByFamily): string {
  const line = (name: string, sum: Totals): string => {
    const figures = [sum.runs, hoursOf(sum).toFixed(1), sum.steps, sum.counts['elections'], sum.counts['committed']];
    return [name.padEnd(12), ...figures.map((figure) => String(figure ?? 0).padStart(12))].join('');
  };
  const sum = sumOf(totals);
  const header = [
    'family'.padEnd(12),
    ...['runs', 'hours', 'steps', 'elections', 'commits'].map((t) => t.padStart(12)),
  ];
  const counted = Object.entries(sum.counts).map(([name, count]) => `${name} ${count}`);
  return [
    header.join(''),
    ...Object.entries(totals).map(([family, own]) => line(family, own)),
    line('all', sum),
    counted.join(', '),
  ].join('\n');
}
