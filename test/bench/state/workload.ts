import path from 'node:path';
import { isMet, targetTable, type Target } from '../raft/targets.js';
import { formatTable, type Bar } from '../report.js';
import { measureState, type Level, type StateOptions, type StateResult } from './measure.js';
import type { Pauses } from './protocol.js';

const PREFACE = `Three real coordinators: REST, Raft over gRPC, logs and snapshots on disk. Kafka, PostgreSQL and
the participants are left out, because nothing of what is measured depends on them: each process
has participants in its memory, which answer at once. Of the open transactions 70 % are active
with two prepared branches, 15 % undecided (one branch never votes), 15 % decided (one branch
never says that it has ended); the coordinators keep asking the latter two. A pause is given
as the time that passed and, of it, what the process was computing: with other work on the machine
it also waits for a processor. Beside them stands the longest collection of garbage.`;

const MAXIMUM_PAUSE_MS = 50;

/** Prints its tables as they come. */
export async function runStateWorkload(options: StateOptions): Promise<{ result: unknown; bars: readonly Bar[] }> {
  process.stdout.write(`${PREFACE}\n\n`);
  const result = await measureState(options);
  const targets = stateTargets(result);
  for (const table of [levelTable(result), otherTable(result), targetTable(targets)]) {
    process.stdout.write(`\n${table}\n`);
  }
  const met = targets.map((target) => ({ ...target, met: isMet(target) }));
  return { result: { ...result, targets: met }, bars: stateBars(result) };
}

/** Where the data of the workload are kept. */
export function stateDirectory(results: string): string {
  return path.join(results, 'state');
}

function pauseText({ maximumMs, busyMaximumMs, collectionMs }: Pauses): string {
  return `${maximumMs.toFixed(0)} ms (${busyMaximumMs.toFixed(0)}, ${collectionMs.toFixed(0)})`;
}

function levelTable({ none, many }: StateResult): string {
  const row = (level: Level): string[] => [
    String(level.open),
    level.executePerSecond.toFixed(0),
    ...[level.executeP50Ms, level.executeP99Ms, level.getP99Ms].map((value) => value.toFixed(1)),
    pauseText(level.pauses),
    level.heapMiB.toFixed(0),
    level.residentMiB.toFixed(0),
  ];
  return formatTable(
    ['open', 'execute/s', 'p50 ms', 'p99 ms', 'GET p99 ms', 'longest pause', 'heap MiB', 'resident MiB'],
    [row(none), row(many)],
  );
}

function otherTable({
  snapshot,
  queryMs,
  queryPauses,
  restartMs,
  restartAllMs,
  takeOver,
  openingSeconds,
}: StateResult): string {
  const ms = (value: number): string => `${value.toFixed(value < 100 ? 1 : 0)} ms`;
  return formatTable(
    ['with that many open', 'measured'],
    [
      ['opening them', `${openingSeconds.toFixed(0)} s`],
      ['snapshot: size', `${snapshot.sizeMiB.toFixed(1)} MiB`],
      ['snapshot: longest pause of the leader', pauseText(snapshot)],
      ...Object.entries(queryMs).map(([query, duration]) => [`GET ${query}`, ms(duration)]),
      ['these questions: longest pause', pauseText(queryPauses)],
      ['restart of a follower', ms(restartMs)],
      ['restart of all, until one leads', ms(restartAllMs)],
      ['kill -9 of the leader: next leader', ms(takeOver.leaderMs)],
      ['kill -9 of the leader: first commit', ms(takeOver.firstCommitMs)],
      ['kill -9 of the leader: longest pause of the next', pauseText(takeOver)],
    ],
  );
}

function stateTargets({ none, many, snapshot, queryPauses, restartMs, restartAllMs, takeOver }: StateResult): Target[] {
  const pause = (what: string, measured: number): Target => ({ what, measured, unit: 'ms', atMost: MAXIMUM_PAUSE_MS });
  return [
    { what: 'restart of a coordinator', measured: restartMs / 1000, unit: 's', atMost: 10 },
    { what: 'restart of all', measured: restartAllMs / 1000, unit: 's', atMost: 10 },
    {
      what: 'p99 of execute by that with none open',
      measured: many.executeP99Ms / none.executeP99Ms,
      unit: '',
      atMost: 2,
    },
    { what: 'p99 of GET by that with none open', measured: many.getP99Ms / none.getP99Ms, unit: '', atMost: 2 },
    pause('longest pause while a snapshot is taken', snapshot.busyMaximumMs),
    pause('longest pause while lists are asked for', queryPauses.busyMaximumMs),
    pause('longest pause of a new leader', takeOver.busyMaximumMs),
  ];
}

function stateBars({ none, many, snapshot, queryPauses, takeOver }: StateResult): Bar[] {
  return [
    { label: 'none open', value: none.pauses.busyMaximumMs },
    { label: `${many.open} open`, value: many.pauses.busyMaximumMs },
    { label: 'snapshot', value: snapshot.busyMaximumMs },
    { label: 'lists', value: queryPauses.busyMaximumMs },
    { label: 'take-over', value: takeOver.busyMaximumMs },
  ];
}
