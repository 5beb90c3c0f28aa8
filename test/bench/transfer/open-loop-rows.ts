import type { Measurement } from '../closed-loop.js';
import { LatencyHistogram } from '../latency-histogram.js';
import type { OpenLoopMeasurement } from '../open-loop.js';
import type { Bar, Table } from '../report.js';
import { RowRunner } from '../rows/row-runner.js';
import { foreignText, type Row } from '../rows/steady-row.js';
import { median } from '../statistics.js';
import type { RunningSystem } from '../system.js';
import { inTurn, measurementText } from './interleaved.js';
import type { TransferLoad } from './load.js';

/** Of the throughput that the closed loop reaches. */
export const SHARES = [0.25, 0.5, 0.75, 0.9] as const;
/** Requests under way at a time. */
export const CONNECTIONS = 256;

export interface OpenLoopWorkload {
  /** of the closed loop that finds the capacity */
  readonly clients: number;
  readonly rounds: number;
  readonly seconds: number;
}

/** One system at one share of its capacity. */
export interface OpenLoopFigures {
  readonly link: string;
  readonly share: number;
  /** medians over the rounds */
  readonly capacityPerSecond: number;
  readonly wantedPerSecond: number;
  readonly reachedPerSecond: number;
  /** of all rounds together, from the intended start */
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** how late the load looked at its clock */
  readonly latenessP99Ms: number;
  readonly aborted: number;
  readonly conditions: readonly Pick<Row<unknown>, 'foreignShare' | 'doubts' | 'attempts'>[];
}

interface Recorded {
  readonly load: TransferLoad;
  readonly capacity: Row<Measurement>[];
  readonly open: readonly Row<OpenLoopMeasurement>[][];
}

/** In each round every system gets its capacity measured, and then each share of it. */
export async function measureOpenLoop(
  systems: readonly RunningSystem[],
  loads: readonly TransferLoad[],
  options: OpenLoopWorkload,
): Promise<OpenLoopFigures[]> {
  const rows = new RowRunner(systems);
  const recorded = loads.map((load): Recorded => ({ load, capacity: [], open: SHARES.map(() => []) }));
  for (let round = 1; round <= options.rounds; round++) {
    for (const turn of inTurn(recorded, round)) await takeTurn(turn, rows, round, options);
  }
  return recorded.flatMap((one) => SHARES.map((share, place) => figuresOf(one, share, one.open[place]!)));
}

async function takeTurn(
  { load, capacity, open }: Recorded,
  rows: RowRunner,
  round: number,
  { clients, seconds }: OpenLoopWorkload,
): Promise<void> {
  const label = `round ${round}, ${load.link.padEnd(6)}`;
  let perSecond = 0;
  await load.whileAwake(clients, async (connected) => {
    await connected.runIn();
    const closed = () => connected.closedLoop(seconds);
    const row = await rows.ofSystem(`${label} closed loop`, load.leadership, closed, measurementText);
    capacity.push(row);
    perSecond = row.value.perSecond;
    for (const [place, share] of SHARES.entries()) {
      const rate = Math.max(1, perSecond * share);
      const work = () => connected.openLoop({ perSecond: rate, seconds, connections: CONNECTIONS });
      const name = `${label} ${share * 100} % of it`;
      open[place]!.push(await rows.ofSystem(name, load.leadership, work, openLoopText));
    }
  });
}

function openLoopText({ requested, latencies, seconds }: OpenLoopMeasurement): string {
  const [p50, p99] = [latencies.percentile(0.5), latencies.percentile(0.99)];
  return `${requested} in ${seconds.toFixed(1)} s, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(1)} ms`;
}

function figuresOf(
  { load, capacity }: Recorded,
  share: number,
  rounds: readonly Row<OpenLoopMeasurement>[],
): OpenLoopFigures {
  const latencies = LatencyHistogram.merged(rounds.map(({ value }) => value.latencies));
  const lateness = LatencyHistogram.merged(rounds.map(({ value }) => value.lateness));
  const capacityPerSecond = median(capacity.map(({ value }) => value.perSecond));
  return {
    link: load.link,
    share,
    capacityPerSecond,
    wantedPerSecond: capacityPerSecond * share,
    reachedPerSecond: median(rounds.map(({ value }) => value.committed / value.seconds)),
    p50Ms: latencies.percentile(0.5),
    p90Ms: latencies.percentile(0.9),
    p99Ms: latencies.percentile(0.99),
    p999Ms: latencies.percentile(0.999),
    latenessP99Ms: lateness.percentile(0.99),
    aborted: rounds.flatMap(({ value }) => Object.values(value.aborted)).reduce((sum, count) => sum + count, 0),
    conditions: [...capacity, ...rounds].map(({ foreignShare, doubts, attempts }) => ({
      foreignShare,
      doubts,
      attempts,
    })),
  };
}

export function openLoopTable(figures: readonly OpenLoopFigures[]): Table {
  const header = ['link', 'load', 'wanted/s', 'reached/s', 'p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'late p99 ms', 'aborts', 'foreign']; // prettier-ignore
  const rows = figures.map((one) => [
    one.link,
    `${one.share * 100} %`,
    one.wantedPerSecond.toFixed(0),
    one.reachedPerSecond.toFixed(0),
    one.p50Ms.toFixed(2),
    ...[one.p90Ms, one.p99Ms, one.p999Ms, one.latenessP99Ms].map((value) => value.toFixed(1)),
    String(one.aborted),
    foreignText(one.conditions),
  ]);
  return { header, rows };
}

/** Below the table. */
export const OPEN_LOOP_LEGEND =
  'load: of the throughput that the closed loop reached in the same round. Requests are sent at even distances, ' +
  'whatever the answers do; a latency begins when its request was due. late: by how much the load itself was late.';

export function openLoopBars(figures: readonly OpenLoopFigures[]): Bar[] {
  return figures.map(({ link, share, p99Ms }) => ({ label: `${link}, ${share * 100} %`, value: p99Ms }));
}
