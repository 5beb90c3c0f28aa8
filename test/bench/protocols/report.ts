import type { LinearFit } from '../linear-fit.js';
import { isMet, targetTable, type Target } from '../raft/targets.js';
import { formatTable, heading, type Bar } from '../report.js';
import { foreignText, MARKS_LEGEND } from '../rows/steady-row.js';
import type { Link } from '../system.js';
import type { EarlierFigures } from './earlier.js';
import { labelOf, type Cell } from './cells.js';
import { branchCosts, compareKinds, figuresOf, type BranchCost, type CellFigures } from './summary.js';
import type { ProtocolsMeasurement } from './workload.js';

const TWO_BRANCHES: Cell = { protocol: '2pc', branches: 2 };
const THREE_BRANCHES: Cell = { protocol: '2pc', branches: 3 };
const THREE_PHASE: Cell = { protocol: '3pc', branches: 3 };
const ONE_PHASE: Cell = { protocol: 'one-phase', branches: 1 };

const THREE_PHASE_LATENCY = 2;
const ONE_PHASE_THROUGHPUT = 1.8;
/** 2PC may lose so much of its share of the bound. */
const EARLIER_SHARE = 0.95;
/** A line explains so much of what branches cost, and its upper half rises at most so much faster than its lower. */
const LINEAR_R_SQUARED = 0.95;
const LINEAR_BEND = 1.5;
/** Fewer points lie on any line. */
const LINEAR_POINTS = 3;

export interface ProtocolsReport {
  readonly link: Link;
  readonly figures: readonly CellFigures[];
  readonly branchCosts: readonly BranchCost[];
  readonly earlier: readonly EarlierFigures[];
  readonly targets: readonly (Target & { readonly met: boolean })[];
  /** targets of which one side was not measured */
  readonly notMeasured: readonly string[];
}

/** Everything that follows from the measurements. */
export function protocolsReport(
  { link, rounds }: ProtocolsMeasurement,
  earlier: readonly EarlierFigures[],
): ProtocolsReport {
  const figures = rounds.map(figuresOf);
  const costs = branchCosts(figures);
  const targets: Target[] = [];
  const notMeasured: string[] = [];
  const add = (target: Omit<Target, 'measured' | 'unit'>, measured: number | undefined): void => {
    if (measured === undefined) notMeasured.push(target.what);
    else targets.push({ ...target, measured, unit: '' });
  };
  for (const clients of new Set(rounds.map((one) => one.clients))) {
    const at = `at ${clients} ${clients === 1 ? 'client' : 'clients'}`;
    add(
      { what: `3PC / 2PC of three branches, p50 ${at}`, atMost: THREE_PHASE_LATENCY },
      compareKinds(rounds, clients, THREE_PHASE, THREE_BRANCHES, 'p50Ms'),
    );
    add(
      { what: `one phase / 2PC of two branches, throughput ${at}`, atLeast: ONE_PHASE_THROUGHPUT },
      compareKinds(rounds, clients, ONE_PHASE, TWO_BRANCHES, 'perSecond'),
    );
    add(
      { what: `2PC's share of the bound / its share in the last transfer ${at}`, atLeast: EARLIER_SHARE },
      shareSince(figures, earlier, clients),
    );
    for (const { protocol, time } of costs.filter((cost) => cost.clients === clients)) {
      const bent = pointsOf(figures, protocol, clients) < LINEAR_POINTS ? undefined : time;
      add({ what: `${protocol}, cost per branch linear ${at}: R²`, atLeast: LINEAR_R_SQUARED }, bent?.rSquared);
      add({ what: `${protocol}, cost per branch linear ${at}: bend`, atMost: LINEAR_BEND }, bent?.bend);
    }
  }
  const judged = targets.map((target) => ({ ...target, met: isMet(target) }));
  return { link, figures, branchCosts: costs, earlier, targets: judged, notMeasured };
}

function pointsOf(figures: readonly CellFigures[], protocol: string, clients: number): number {
  return figures.filter((one) => one.cell.protocol === protocol && one.clients === clients).length;
}

/**
 * The bound of the same run stands for the machine, which may be another one, or busier. Compared is only with the
 * workload `transfer`: with the last run of this one a loss of 5 % could repeat itself unnoticed.
 */
function shareSince(
  figures: readonly CellFigures[],
  earlier: readonly EarlierFigures[],
  clients: number,
): number | undefined {
  const now = twoPhaseAt(figures, clients);
  const before = earlier.find((one) => one.workload === 'transfer' && one.clients === clients);
  return now && before && now.ratio / before.ratio;
}

function twoPhaseAt(figures: readonly CellFigures[], clients: number): CellFigures | undefined {
  const { protocol, branches } = TWO_BRANCHES;
  return figures.find(
    (one) => one.clients === clients && one.cell.protocol === protocol && one.cell.branches === branches,
  );
}

export function protocolsText(report: ProtocolsReport): string {
  const missing = report.notMeasured.map((what) => `not measured: ${what}`);
  return [
    heading(`Link ${report.link}`),
    figuresTable(report.figures),
    MARKS_LEGEND,
    ...aborts(report),
    ...(report.branchCosts.some(({ time }) => time) ? [costTable(report.branchCosts)] : []),
    earlierTable(report.figures, report.earlier),
    report.targets.length > 0 ? targetTable(report.targets) : '',
    missing.join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** Each client has accounts of its own, so nothing should abort. */
function aborts({ figures }: ProtocolsReport): string[] {
  const reasons = figures.flatMap(({ cell, clients, aborted }) =>
    Object.entries(aborted).map(([reason, count]) => `${labelOf(cell)}, ${clients} clients: ${count} ${reason}`),
  );
  return reasons.length > 0 ? [`DOUBTFUL, because not everything went well:\n${reasons.join('\n')}`] : [];
}

function figuresTable(figures: readonly CellFigures[]): string {
  const rows = figures.map((one) => [
    labelOf(one.cell),
    String(one.clients),
    one.boundPerSecond.toFixed(0),
    one.perSecond.toFixed(0),
    one.ratio.toFixed(2),
    one.boundP50Ms.toFixed(2),
    one.p50Ms.toFixed(2),
    one.p50Ratio.toFixed(1),
    one.p99Ms.toFixed(1),
    one.cpuMs.toFixed(2),
    one.memoryMiB.toFixed(0),
    String(Object.values(one.aborted).reduce((sum, count) => sum + count, 0)),
    foreignText(one.conditions),
  ]);
  const header = ['', 'clients', 'raw/s', 'system/s', 'ratio', 'raw p50 ms', 'p50 ms', 'p50 ratio', 'p99 ms', 'CPU ms'];
  return formatTable([...header, 'MiB', 'aborts', 'foreign'], rows);
}

/** What one more branch costs, and how straight the line is. */
function costTable(costs: readonly BranchCost[]): string {
  const cells = (fit: LinearFit | undefined): string[] =>
    fit ? [fit.slope.toFixed(2), fit.rSquared.toFixed(3), fit.bend?.toFixed(2) ?? '-'] : ['-', '-', '-'];
  const rows = costs.map(({ protocol, clients, time, boundTime, cpu }) => [
    protocol,
    String(clients),
    ...cells(time),
    ...cells(boundTime),
    ...cells(cpu),
  ]);
  const columns = (what: string): string[] => [`${what} ms/branch`, 'R²', 'bend'];
  return formatTable(['per branch', 'clients', ...columns('time'), ...columns('raw'), ...columns('CPU')], rows);
}

function earlierTable(figures: readonly CellFigures[], earlier: readonly EarlierFigures[]): string {
  const row = (what: string, clients: number, perSecond: number, p50Ms: number, ratio: number): string[] => [
    what,
    String(clients),
    perSecond.toFixed(0),
    p50Ms.toFixed(2),
    ratio.toFixed(2),
  ];
  const rows = [...new Set(figures.map(({ clients }) => clients))].flatMap((clients) => {
    const now = twoPhaseAt(figures, clients);
    if (!now) return [];
    const before = earlier.filter((one) => one.clients === clients);
    return [
      row('now', clients, now.perSecond, now.p50Ms, now.ratio),
      ...before.map((one) => row(one.file, clients, one.perSecond, one.p50Ms, one.ratio)),
    ];
  });
  if (rows.length === 0) return '';
  const table = formatTable(['2PC of two branches', 'clients', 'system/s', 'p50 ms', 'ratio to raw'], rows);
  return earlier.length > 0 ? table : `${table}\n(no earlier result in bench-results)`;
}

/** Every link beside the others: throughput, its share of the bound and p50, by kind and clients. */
export function linksText(reports: readonly ProtocolsReport[]): string {
  const [first] = reports;
  if (!first || reports.length === 1) return '';
  const rows = first.figures.map(({ cell, clients, boundPerSecond }, place) => [
    labelOf(cell),
    String(clients),
    boundPerSecond.toFixed(0),
    ...reports.flatMap(({ figures }) => {
      const { perSecond, ratio, p50Ms } = figures[place]!;
      return [perSecond.toFixed(0), ratio.toFixed(2), p50Ms.toFixed(2)];
    }),
  ]);
  const columns = reports.flatMap(({ link }) => [`${link}/s`, 'ratio', 'p50 ms']);
  return `${heading('Links')}\n\n${formatTable(['', 'clients', 'raw/s', ...columns], rows)}`;
}

export function protocolsBars(reports: readonly ProtocolsReport[]): Bar[] {
  return reports.flatMap(({ link, figures }) =>
    figures.flatMap((one) => [
      { label: `raw, ${one.clients} clients`, value: one.boundPerSecond },
      { label: `${link}, ${labelOf(one.cell)}, ${one.clients} cl.`, value: one.perSecond },
    ]),
  );
}
