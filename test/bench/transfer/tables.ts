import { NO_USAGE } from '../machine/processes.js';
import type { Bar, Table } from '../report.js';
import { foreignText } from '../rows/steady-row.js';
import type { Comparison, Cost } from './comparison.js';

/** The comparisons of one system, by what it is called in tables: its link. */
export interface SystemComparisons {
  readonly link: string;
  readonly comparisons: readonly Comparison[];
}

/** Throughput and latency beside the bound. */
export function comparisonTable(systems: readonly SystemComparisons[]): Table {
  const rows = systems.flatMap(({ link, comparisons }) =>
    comparisons.map((one) => [
      link,
      String(one.clients),
      one.rawPerSecond.toFixed(0),
      one.systemPerSecond.toFixed(0),
      one.ratio.toFixed(3),
      one.rawP50Ms.toFixed(2),
      one.systemP50Ms.toFixed(2),
      one.p50Ratio.toFixed(1),
      one.systemP99Ms.toFixed(1),
      totalOf(one.perTransfer).cpuMs.toFixed(2),
      totalOf(one.perTransfer).wakeUps.toFixed(1),
      String(Object.values(one.aborted).reduce((sum, count) => sum + count, 0)),
      foreignText([...one.raw, ...one.system]),
    ]),
  );
  const header = [
    'link',
    'clients',
    'raw/s',
    'system/s',
    'ratio',
    'raw p50 ms',
    'p50 ms',
    'p50 ratio',
    'p99 ms',
    'CPU ms',
    'wake-ups',
    'aborts',
    'foreign',
  ];
  return { header, rows };
}

type Amount = Exclude<keyof Cost, 'cpuMs'>;

const AMOUNTS: readonly (readonly [amount: Amount, title: string])[] = [
  ['wakeUps', 'wake-ups'],
  ['writeCalls', 'writes'],
  ['kafkaRequests', 'Kafka requests'],
  ['appends', 'appends'],
  ['emptyAppends', 'empty appends'],
  ['fsyncs', 'fsyncs'],
];

/** What one transfer costs each process, and how large the process is. A dash: the process does not tell. */
export function costTable({ perTransfer, memoryMiB }: Comparison): Table {
  const row = (name: string, cost: Partial<Cost>, mebibytes: number): string[] => [
    name,
    (cost.cpuMs ?? 0).toFixed(3),
    ...AMOUNTS.map(([amount]) => cost[amount]?.toFixed(2) ?? '-'),
    mebibytes.toFixed(0),
  ];
  const rows = Object.entries(perTransfer).map(([name, cost]) => row(name, cost, memoryMiB[name] ?? 0));
  const memory = Object.values(memoryMiB).reduce((sum, one) => sum + one, 0);
  return {
    header: ['process', 'CPU ms', ...AMOUNTS.map(([, title]) => title), 'MiB'],
    rows: [...rows, row('all', totalOf(perTransfer), memory)],
  };
}

/** Below the cost tables. */
export const COSTS_LEGEND =
  'Each for one transfer. wake-ups: voluntary context switches of all threads. writes: system calls that write to ' +
  'files and sockets (PostgreSQL sends its answers by another call, which the kernel does not count). Kafka requests: ' +
  'those of clients. appends: messages from this node to its peers. fsyncs: of the logs of coordinators and of ' +
  'PostgreSQL. MiB: resident, of PostgreSQL with its shared memory once.';

function totalOf(perTransfer: Comparison['perTransfer']): Cost {
  const total: Record<string, number> = {};
  for (const [key, amount] of Object.values(perTransfer).flatMap((cost) => Object.entries(cost))) {
    total[key] = (total[key] ?? 0) + amount;
  }
  return { ...NO_USAGE, ...total };
}

export function comparisonBars(systems: readonly SystemComparisons[]): Bar[] {
  return systems.flatMap(({ link, comparisons }) =>
    comparisons.flatMap((one) => [
      { label: `raw, ${one.clients} clients`, value: one.rawPerSecond },
      { label: `${link}, ${one.clients} clients`, value: one.systemPerSecond },
    ]),
  );
}
