import type { Measurement } from '../closed-loop.js';
import { fitLine, type LinearFit } from '../linear-fit.js';
import type { Row } from '../rows/steady-row.js';
import { median } from '../statistics.js';
import type { Cell, ProtocolName } from './cells.js';

/** What was measured of one kind of transaction at one number of clients; bound and system of one place are neighbours. */
export interface CellRounds {
  readonly cell: Cell;
  readonly clients: number;
  readonly bound: readonly Measurement[];
  readonly system: readonly Measurement[];
  /** CPU of all processes of the system, and of the load, for one transaction; milliseconds, by round */
  readonly cpuMs: readonly number[];
  /** of all processes of the system, and of the load, at the end; MiB, by round */
  readonly memoryMiB: readonly number[];
  /** of the measurements of the bound and of the system */
  readonly conditions: readonly RowConditions[];
}

export type RowConditions = Pick<Row<unknown>, 'foreignShare' | 'doubts' | 'attempts'>;

/** Medians over the rounds. */
export interface CellFigures {
  readonly cell: Cell;
  readonly clients: number;
  readonly boundPerSecond: number;
  readonly boundP50Ms: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** throughput over that of the bound, round by round */
  readonly ratio: number;
  /** p50 over that of the bound, round by round */
  readonly p50Ratio: number;
  readonly cpuMs: number;
  readonly memoryMiB: number;
  readonly conditions: readonly RowConditions[];
  readonly aborted: Readonly<Record<string, number>>;
}

export function figuresOf({ cell, clients, bound, system, cpuMs, memoryMiB, conditions }: CellRounds): CellFigures {
  const of = (rounds: readonly Measurement[], field: 'perSecond' | 'p50Ms' | 'p99Ms'): number =>
    median(rounds.map((round) => round[field]));
  const aborted: Record<string, number> = {};
  for (const [reason, count] of system.flatMap((round) => Object.entries(round.aborted))) {
    aborted[reason] = (aborted[reason] ?? 0) + count;
  }
  return {
    cell,
    clients,
    boundPerSecond: of(bound, 'perSecond'),
    boundP50Ms: of(bound, 'p50Ms'),
    perSecond: of(system, 'perSecond'),
    p50Ms: of(system, 'p50Ms'),
    p99Ms: of(system, 'p99Ms'),
    ratio: roundRatio(system, bound, 'perSecond'),
    p50Ratio: roundRatio(system, bound, 'p50Ms'),
    cpuMs: median(cpuMs),
    memoryMiB: median(memoryMiB),
    conditions,
    aborted,
  };
}

/** The median of the quotients round by round: what disturbs a whole round cancels out. */
export function roundRatio(
  above: readonly Measurement[],
  below: readonly Measurement[],
  field: 'perSecond' | 'p50Ms',
): number {
  return median(above.map((round, index) => round[field] / below[index]![field]));
}

/** One kind against another at the same number of clients; undefined where one of them was not measured. */
export function compareKinds(
  all: readonly CellRounds[],
  clients: number,
  above: Cell,
  below: Cell,
  field: 'perSecond' | 'p50Ms',
): number | undefined {
  const find = (wanted: Cell): CellRounds | undefined =>
    all.find(
      ({ cell, clients: at }) =>
        at === clients && cell.protocol === wanted.protocol && cell.branches === wanted.branches,
    );
  const [one, other] = [find(above), find(below)];
  return one && other && roundRatio(one.system, other.system, field);
}

/** What one more branch costs, by protocol and clients. */
export interface BranchCost {
  readonly protocol: ProtocolName;
  readonly clients: number;
  /** of the time per transaction in milliseconds, which is one over the throughput; undefined for one branch count */
  readonly time: LinearFit | undefined;
  readonly boundTime: LinearFit | undefined;
  /** of the CPU per transaction in milliseconds */
  readonly cpu: LinearFit | undefined;
}

export function branchCosts(figures: readonly CellFigures[]): BranchCost[] {
  const groups = new Map<string, CellFigures[]>();
  for (const one of figures) {
    if (one.cell.protocol === 'one-phase' || one.perSecond === 0) continue; // always one branch; nothing to divide by
    const key = `${one.cell.protocol} ${one.clients}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((group) => {
    const fit = (cost: (one: CellFigures) => number): LinearFit | undefined =>
      fitLine(group.map((one) => [one.cell.branches, cost(one)]));
    return {
      protocol: group[0]!.cell.protocol,
      clients: group[0]!.clients,
      time: fit(({ perSecond }) => 1000 / perSecond),
      boundTime: fit(({ boundPerSecond }) => 1000 / boundPerSecond),
      cpu: fit(({ cpuMs }) => cpuMs),
    };
  });
}
