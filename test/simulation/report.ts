import type { SimulationReport } from './simulation.js';

/** Sums over many runs. */
export interface Totals {
  seeds: number;
  simulatedMs: number;
  events: number;
  committed: number;
  aborted: number;
  leaders: number;
  readonly faults: Record<string, number>;
  readonly rulings: Record<string, number>;
  readonly ballots: Record<string, number>;
  readonly backups: Record<string, number>;
  readonly strangers: Record<string, number>;
  readonly oddities: Record<string, number>;
}

export const NO_TOTALS: Totals = {
  seeds: 0,
  simulatedMs: 0,
  events: 0,
  committed: 0,
  aborted: 0,
  leaders: 0,
  faults: {},
  rulings: {},
  ballots: {},
  backups: {},
  strangers: {},
  oddities: {},
};

const NUMBERS = ['simulatedMs', 'events', 'committed', 'aborted', 'leaders'] as const;
const COUNTS = ['faults', 'rulings', 'ballots', 'backups', 'strangers', 'oddities'] as const;

/** Everything but the number of seeds, which is counted before a run: it may not come to its end. */
export function addReport(totals: Totals, report: SimulationReport): void {
  for (const name of NUMBERS) totals[name] += report[name];
  for (const name of COUNTS) addCounts(totals[name], report[name]);
}

export function addTotals(totals: Totals, others: Totals): void {
  totals.seeds += others.seeds;
  for (const name of NUMBERS) totals[name] += others[name];
  for (const name of COUNTS) addCounts(totals[name], others[name]);
}

export function hoursOf({ simulatedMs }: Totals): number {
  return simulatedMs / 3_600_000;
}

export function describeTotals(totals: Totals): string {
  const { seeds, events, committed, aborted, leaders, faults, rulings, ballots, backups, strangers, oddities } = totals;
  const list = (counts: Record<string, number>): string =>
    Object.entries(counts)
      .sort(([, one], [, other]) => other - one)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return [
    `${hoursOf(totals).toFixed(1)} simulated hours, ${seeds} seeds, ${events} events`,
    `${committed} transactions committed, ${aborted} aborted, ${leaders} leaders`,
    `faults: ${list(faults)}`,
    `rulings: ${list(rulings)}`,
    `ballots: ${list(ballots)}`,
    `backups: ${list(backups)}`,
    `messages of another cluster: ${list(strangers)}`,
    `odd operations: ${list(oddities)}`,
  ].join('\n');
}

/** A name may be anything that a handler calls its error, `constructor` too. */
function addCounts(sums: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts))
    sums[name] = (Object.hasOwn(sums, name) ? sums[name]! : 0) + count;
}
