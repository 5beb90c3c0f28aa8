import { fitLine, type LinearFit } from '../linear-fit.js';
import { roundRatio } from '../protocols/summary.js';
import { targetTable, type Target } from '../raft/targets.js';
import { formatTable, heading, type Bar } from '../report.js';
import { foreignText, MARKS_LEGEND, type Row } from '../rows/steady-row.js';
import { median } from '../statistics.js';
import type { ClsFigures } from './cls.js';
import { CONTENDERS, type ContenderName } from './contenders.js';
import type { BranchRows, CostedMeasurement, SdkMeasurement, TransferRows } from './measurement.js';

const LATENCY = { clients: 1, ratio: 2.5 };
const THROUGHPUT = { clients: 64, ratio: 0.3 };
const CLS = { clients: 1, ratio: 1.05 };
/** A line explains so much of what branches cost, and its upper half rises at most so much faster than its lower. */
const LINEAR = { rSquared: 0.95, bend: 1.5, points: 3 };

/** Medians over the rounds. */
export interface ContenderFigures {
  readonly name: ContenderName;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** throughput over that of raw, round by round */
  readonly ratio: number;
  /** p50 over that of one-shot transactions, round by round */
  readonly p50Ratio: number;
  /** CPU of one transaction, by process, in milliseconds */
  readonly cpuMs: Readonly<Record<string, number>>;
  readonly aborted: number;
}

export function contenderFigures({ rounds }: TransferRows): ContenderFigures[] {
  const of = (name: ContenderName) => rounds[name].map(({ value }) => value.measurement);
  return CONTENDERS.map((name) => {
    const measured = of(name);
    return {
      name,
      perSecond: median(measured.map(({ perSecond }) => perSecond)),
      p50Ms: median(measured.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(measured.map(({ p99Ms }) => p99Ms)),
      ratio: roundRatio(measured, of('raw'), 'perSecond'),
      p50Ratio: roundRatio(measured, of('one-shot'), 'p50Ms'),
      cpuMs: medianCpu(rounds[name]),
      aborted: sum(measured.flatMap(({ aborted }) => Object.values(aborted))),
    };
  });
}

function medianCpu(rows: readonly Row<CostedMeasurement>[]): Record<string, number> {
  const names = new Set(rows.flatMap(({ value }) => Object.keys(value.cpuMs)));
  return Object.fromEntries([...names].map((name) => [name, median(rows.map(({ value }) => value.cpuMs[name] ?? 0))]));
}

/** The time of one transaction by its branches. */
export function branchFit(rows: readonly BranchRows[]): LinearFit | undefined {
  return fitLine(rows.map(({ branches, rounds }) => [branches, p50Of(rounds)]));
}

/** @returns only those whose rows were measured */
export function sdkTargets({ transfers, cls, branches }: SdkMeasurement): Target[] {
  const interactiveAt = (clients: number): ContenderFigures | undefined => {
    const rows = transfers.find((one) => one.clients === clients);
    return rows && contenderFigures(rows).find(({ name }) => name === 'interactive');
  };
  const latency = interactiveAt(LATENCY.clients);
  const throughput = interactiveAt(THROUGHPUT.clients);
  const alone = cls.find(({ clients }) => clients === CLS.clients);
  const fit = branches.length >= LINEAR.points ? branchFit(branches) : undefined;
  return [
    ...(latency ? [{ what: 'interactive p50 by one-shot p50, 1 client', measured: latency.p50Ratio, unit: '', atMost: LATENCY.ratio }] : []), // prettier-ignore
    ...(throughput ? [{ what: 'interactive by raw throughput, 64 clients', measured: throughput.ratio, unit: '', atLeast: THROUGHPUT.ratio }] : []), // prettier-ignore
    ...(alone ? [{ what: 'nestjs-cls in a service that can join, p50 by alone', measured: alone.p50Ratio, unit: '', atMost: CLS.ratio }] : []), // prettier-ignore
    ...(fit ? [{ what: 'branches by time: R²', measured: fit.rSquared, unit: '', atLeast: LINEAR.rSquared }] : []),
    ...(fit?.bend === undefined ? [] : [{ what: 'branches by time: upper by lower half', measured: fit.bend, unit: '', atMost: LINEAR.bend }]), // prettier-ignore
  ];
}

export function printSdkReport(measured: SdkMeasurement): void {
  const { transfers, cls, branches } = measured;
  const parts = [
    ...(transfers.length > 0
      ? [heading('Services that call each other over HTTP'), transferTable(transfers), TRANSFER_LEGEND, MARKS_LEGEND]
      : []),
    ...transfers.flatMap((rows) => [heading(`${rows.clients} clients: CPU of one transaction, ms`), cpuTable(rows)]),
    ...(cls.length > 0 ? [heading('nestjs-cls without a global transaction'), clsTable(cls), CLS_LEGEND] : []),
    ...(branches.length > 0 ? [heading('Services in one transaction, 1 client'), branchTable(branches)] : []),
    targetTable(sdkTargets(measured)),
  ];
  process.stdout.write(`\n${parts.join('\n\n')}\n`);
}

const TRANSFER_LEGEND =
  'ratio: throughput over that of raw. p50 ×: over the p50 of one-shot. local: the same services without a global ' +
  'transaction, each commits on its own. one-shot answers when the transaction is decided, interactive when all ' +
  'branches have ended, and "interactive, decided" when it is decided.';

const CLS_LEGEND = 'Two processes take short turns. CPU: of the process, its idle share included, for one transaction.';

function transferTable(transfers: readonly TransferRows[]): string {
  const rows = transfers.flatMap((one) =>
    contenderFigures(one).map((figures) => [
      figures.name,
      String(one.clients),
      figures.perSecond.toFixed(0),
      figures.ratio.toFixed(3),
      figures.p50Ms.toFixed(2),
      figures.p50Ratio.toFixed(2),
      figures.p99Ms.toFixed(1),
      sum(Object.values(figures.cpuMs)).toFixed(2),
      String(figures.aborted),
      foreignText(one.rounds[figures.name]),
    ]),
  );
  const header = ['', 'clients', 'per s', 'ratio', 'p50 ms', 'p50 ×', 'p99 ms', 'CPU ms', 'aborts', 'foreign'];
  return formatTable(header, rows);
}

function cpuTable(rows: TransferRows): string {
  const figures = contenderFigures(rows);
  const names = [...new Set(figures.flatMap(({ cpuMs }) => Object.keys(cpuMs)))];
  return formatTable(
    ['process', ...figures.map(({ name }) => name)],
    names.map((process) => [process, ...figures.map(({ cpuMs }) => (cpuMs[process] ?? 0).toFixed(3))]),
  );
}

function clsTable(cls: readonly ClsFigures[]): string {
  const header = ['clients', 'alone/s', 'joined/s', 'alone p50 ms', 'joined p50 ms', 'p50 ×', 'CPU ×', 'foreign'];
  const rows = cls.map(({ clients, alone, joined, p50Ratio, cpuRatio, rounds }) => [
    String(clients),
    alone.perSecond.toFixed(0),
    joined.perSecond.toFixed(0),
    alone.p50Ms.toFixed(3),
    joined.p50Ms.toFixed(3),
    p50Ratio.toFixed(3),
    cpuRatio.toFixed(3),
    foreignText(rounds),
  ]);
  return formatTable(header, rows);
}

function branchTable(branches: readonly BranchRows[]): string {
  const rows = branches.map(({ branches: count, rounds }) => [
    String(count),
    p50Of(rounds).toFixed(2),
    (p50Of(rounds) / count).toFixed(2),
    median(rounds.map(({ value }) => sum(Object.values(value.cpuMs)))).toFixed(1),
    foreignText(rounds),
  ]);
  return formatTable(['branches', 'p50 ms', 'by branches', 'CPU ms', 'foreign'], rows);
}

export function sdkBars({ transfers }: SdkMeasurement): Bar[] {
  return transfers.flatMap((one) =>
    contenderFigures(one).map(({ name, perSecond }) => ({ label: `${name}, ${one.clients}`, value: perSecond })),
  );
}

function p50Of(rounds: readonly Row<CostedMeasurement>[]): number {
  return median(rounds.map(({ value }) => value.measurement.p50Ms));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
