/** By name, how often something was counted. */
export type Counts = Readonly<Record<string, number>>;

/** What happened in one run of a simulation. */
export interface SimulationReport {
  readonly seed: number;
  /** the kind of run that the seed stands for */
  readonly family: string;
  /** the rule that was broken, if one was, and how */
  readonly violation: string | undefined;
  /** equal for two runs of one seed */
  readonly fingerprint: string;
  readonly simulatedMs: number;
  readonly steps: number;
  /** by heading; what stands under `run` is told for each family, all else in sum */
  readonly counts: Readonly<Record<string, Counts>> & { readonly run: Counts };
}

/** A rule was broken. Ends the run. */
export class Violation extends Error {
  override readonly name: string = 'Violation';
}

/** Sums over many runs. */
export interface Totals {
  readonly runs: number;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly counts: Readonly<Record<string, Counts>>;
}

export type TotalsByFamily = Readonly<Record<string, Totals>>;

const NOTHING: Totals = { runs: 0, simulatedMs: 0, steps: 0, counts: {} };

export function totalsOf({ family, simulatedMs, steps, counts }: SimulationReport): TotalsByFamily {
  return { [family]: { runs: 1, simulatedMs, steps, counts } };
}

export function addTotals(one: TotalsByFamily, other: TotalsByFamily): TotalsByFamily {
  const added = Object.entries(other).map(([family, totals]) => [family, plus(one[family] ?? NOTHING, totals)]);
  return { ...one, ...Object.fromEntries(added) };
}

/** Of all families together. */
export function sumOf(totals: TotalsByFamily): Totals {
  return Object.values(totals).reduce(plus, NOTHING);
}

export function hoursOf({ simulatedMs }: Totals): number {
  return simulatedMs / 3_600_000;
}

/** For people: a table of the families, then a line for each heading. */
export function describeTotals(totals: TotalsByFamily): string {
  const sum = sumOf(totals);
  const { run = {}, ...others } = sum.counts;
  const columns = Object.keys(run);
  const row = ([first, ...cells]: readonly unknown[]): string =>
    `${String(first).padEnd(12)}${cells.map((cell) => String(cell).padStart(15)).join('')}`;
  const figures = (family: string, own: Totals): string => {
    const counts = columns.map((name) => own.counts['run']?.[name] ?? 0);
    return row([family, own.runs, hoursOf(own).toFixed(1), own.steps, ...counts]);
  };
  return [
    row(['family', 'runs', 'hours', 'steps', ...columns]),
    ...Object.entries(totals).map(([family, own]) => figures(family, own)),
    figures('all', sum),
    ...Object.entries(others).map(([heading, counts]) => `${heading}: ${inOrder(counts)}`),
  ].join('\n');
}

function inOrder(counts: Counts): string {
  const sorted = Object.entries(counts).sort(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${name} ${count}`).join(', ');
}

function plus(one: Totals, other: Totals): Totals {
  const counts: Record<string, Counts> = { ...one.counts };
  for (const [heading, own] of Object.entries(other.counts)) counts[heading] = addCounts(counts[heading] ?? {}, own);
  return {
    runs: one.runs + other.runs,
    simulatedMs: one.simulatedMs + other.simulatedMs,
    steps: one.steps + other.steps,
    counts,
  };
}

/** A name may be anything that a handler calls its error, `constructor` too. */
function addCounts(one: Counts, other: Counts): Counts {
  const sums: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(other)) sums[name] = (Object.hasOwn(one, name) ? one[name]! : 0) + count;
  return sums;
}
