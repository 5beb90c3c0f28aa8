import { setTimeout as delay } from 'node:timers/promises';
import { median } from '../statistics.js';
import { CoordinatorGroup, until, type CoordinatorProcess } from './group.js';
import { StateClients, type RestFigures } from './load.js';
import type { CoordinatorStatus, Pauses } from './protocol.js';

/** Open while nothing is said to be open: something to ask for. */
const BASELINE_OPEN = 20;
const WARM_UP_SECONDS = 3;
/** What is unanswered is asked again after 1, 2, 4, … seconds at first: the state that lasts comes behind that. */
const SETTLING_MS = 45_000;
/** The log grows by so much at a time until the leader has taken a snapshot. */
const GROWTH_BYTES = 8 * 1024 * 1024;
const MAXIMUM_GROWTHS = 100;
/** How long a new leader is watched. */
const WATCHED_SECONDS = 15;
const QUERIES = [
  '/v1/transactions?limit=50',
  '/v1/transactions?status=committing&limit=50',
  '/v1/in-doubt',
  '/metrics',
];
const QUERY_REPEATS = 5;

export interface StateOptions {
  /** of the data of all nodes; emptied first */
  readonly directory: string;
  readonly open: number;
  readonly clients: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly execArgv: readonly string[];
}

/** REST and the process, at a number of open transactions: medians of the rounds. */
export interface Level {
  readonly open: number;
  readonly executePerSecond: number;
  readonly executeP50Ms: number;
  readonly executeP99Ms: number;
  readonly getP99Ms: number;
  readonly residentMiB: number;
  readonly heapMiB: number;
  readonly pauses: Pauses;
}

export interface StateResult {
  readonly none: Level;
  readonly many: Level;
  readonly openingSeconds: number;
  /** of the leader, from before a snapshot to its end, under load */
  readonly snapshot: Pauses & { readonly seconds: number; readonly sizeMiB: number };
  readonly queryMs: Readonly<Record<string, number>>;
  readonly queryPauses: Pauses;
  /** of a killed follower, from the start of its process */
  readonly restartMs: number;
  /** of a leader after all were killed, from the start of their processes */
  readonly restartAllMs: number;
  /** of the new leader after kill -9 of the old one */
  readonly takeOver: Pauses & { readonly leaderMs: number; readonly firstCommitMs: number };
}

/** What so many open transactions cost, beside none. */
export async function measureState(options: StateOptions): Promise<StateResult> {
  const group = await CoordinatorGroup.start(options.directory, options.execArgv);
  try {
    const few = await openOn(group, BASELINE_OPEN);
    await onLeader(group, options, (clients) => clients.measure(WARM_UP_SECONDS, few));
    const none = await measureLevel(group, options, few);
    note(`none open: p99 of execute ${none.executeP99Ms.toFixed(1)} ms`);
    const begun = performance.now();
    const ids = await openOn(group, options.open);
    const openingSeconds = (performance.now() - begun) / 1000;
    note(`${options.open} opened in ${openingSeconds.toFixed(0)} s`);
    await delay(SETTLING_MS);
    const many = await measureLevel(group, options, ids);
    note(`${options.open} open: p99 of execute ${many.executeP99Ms.toFixed(1)} ms`);
    const snapshot = await measureSnapshot(group);
    note(`a snapshot took ${snapshot.seconds.toFixed(1)} s, longest pause ${snapshot.maximumMs.toFixed(0)} ms`);
    const { queryMs, queryPauses } = await measureQueries(group);
    const restartMs = await restartFollower(group);
    note(`a follower was back after ${restartMs.toFixed(0)} ms`);
    const takeOver = await measureTakeOver(group);
    note(`take-over: longest pause ${takeOver.maximumMs.toFixed(0)} ms`);
    const restartAllMs = await restartAll(group);
    note(`all were back after ${restartAllMs.toFixed(0)} ms`);
    return { none, many, openingSeconds, snapshot, queryMs, queryPauses, restartMs, restartAllMs, takeOver };
  } finally {
    await group.stop();
  }
}

/** On whichever node leads, should that change on the way; gives ids of some. */
async function openOn(group: CoordinatorGroup, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let left = count; left > 0;) {
    const leader = await group.leader();
    const opened = await leader.call('open', { count: left });
    left -= opened.count;
    ids.push(...opened.ids);
    if (left === 0) break;
    const { maximumMs, busyMaximumMs, collectionMs } = await leader.call('pauses', null);
    note(
      `the leadership was lost with ${left} to open; longest pause ${maximumMs.toFixed(0)} ms, ` +
        `${busyMaximumMs.toFixed(0)} ms of it computing; longest collection ${collectionMs.toFixed(0)} ms`,
    );
  }
  return ids;
}

async function onLeader<T>(
  group: CoordinatorGroup,
  { clients }: Pick<StateOptions, 'clients'>,
  work: (clients: StateClients, leader: CoordinatorProcess) => Promise<T>,
): Promise<T> {
  const leader = await group.leader();
  const connections = new StateClients(leader.url, clients);
  try {
    return await work(connections, leader);
  } finally {
    await connections.close();
  }
}

async function measureLevel(group: CoordinatorGroup, options: StateOptions, ids: readonly string[]): Promise<Level> {
  return onLeader(group, options, async (clients, leader) => {
    await leader.call('pauses', null);
    const figures: RestFigures[] = [];
    for (let round = 0; round < options.rounds; round++) figures.push(await clients.measure(options.seconds, ids));
    const pauses = await leader.call('pauses', null);
    const status: CoordinatorStatus = await leader.status();
    const refused = figures.flatMap(({ execute, get }) => Object.keys({ ...execute.aborted, ...get.aborted }));
    if (refused.length > 0) throw new Error(`requests were refused: ${[...new Set(refused)].join(', ')}`);
    return {
      open: status.open,
      executePerSecond: median(figures.map(({ execute }) => execute.perSecond)),
      executeP50Ms: median(figures.map(({ execute }) => execute.p50Ms)),
      executeP99Ms: median(figures.map(({ execute }) => execute.p99Ms)),
      getP99Ms: median(figures.map(({ get }) => get.p99Ms)),
      residentMiB: status.residentMiB,
      heapMiB: status.heapMiB,
      pauses,
    };
  });
}

/** Requests go on while the log grows until the leader has another snapshot. */
async function measureSnapshot(group: CoordinatorGroup): Promise<StateResult['snapshot']> {
  return onLeader(group, { clients: 1 }, async (clients, leader) => {
    const before = leader.newestSnapshot();
    let over = false;
    const load = clients.until(() => over);
    await leader.call('pauses', null);
    const begun = performance.now();
    try {
      for (let growth = 0; leader.newestSnapshot() === before; growth++) {
        if (growth === MAXIMUM_GROWTHS) throw new Error('the leader takes no snapshot');
        await leader.call('grow', { bytes: GROWTH_BYTES });
      }
    } finally {
      over = true;
      await load;
    }
    const seconds = (performance.now() - begun) / 1000;
    const pauses = await leader.call('pauses', null);
    return { ...pauses, seconds, sizeMiB: leader.snapshotBytes() / 2 ** 20 };
  });
}

async function measureQueries(group: CoordinatorGroup): Promise<Pick<StateResult, 'queryMs' | 'queryPauses'>> {
  return onLeader(group, { clients: 1 }, async (clients, leader) => {
    await leader.call('pauses', null);
    const queryMs: Record<string, number> = {};
    for (const path of QUERIES) {
      const durations: number[] = [];
      for (let repeat = 0; repeat < QUERY_REPEATS; repeat++) durations.push(await clients.durationOf(path));
      queryMs[path] = median(durations);
    }
    return { queryMs, queryPauses: await leader.call('pauses', null) };
  });
}

async function restartFollower(group: CoordinatorGroup): Promise<number> {
  const leader = await group.leader();
  const follower = await group.follower();
  await follower.kill();
  const begun = performance.now();
  const next = group.revive(follower);
  await next.start();
  await until(async () => {
    const [status, { commitIndex }] = await Promise.all([next.status(), leader.status()]);
    return status.ready && status.appliedIndex >= commitIndex ? true : undefined;
  }, 'the follower');
  return performance.now() - begun;
}

async function measureTakeOver(group: CoordinatorGroup): Promise<StateResult['takeOver']> {
  const old = await group.leader();
  await Promise.all(group.members.map((member) => member.call('pauses', null)));
  const begun = performance.now();
  await old.kill();
  const leader = await group.leader();
  const leaderMs = performance.now() - begun;
  const taken = await onLeader(group, { clients: 1 }, async (clients) => {
    while ((await clients.execute(0)) !== undefined) continue;
    const firstCommitMs = performance.now() - begun;
    const end = begun + WATCHED_SECONDS * 1000;
    await clients.until(() => performance.now() > end);
    return { ...(await leader.call('pauses', null)), leaderMs, firstCommitMs };
  });
  await group.revive(old).start();
  return taken;
}

async function restartAll(group: CoordinatorGroup): Promise<number> {
  const members = [...group.members];
  await Promise.all(members.map((member) => member.kill()));
  const begun = performance.now();
  await Promise.all(members.map((member) => group.revive(member).start()));
  await group.leader();
  return performance.now() - begun;
}

function note(sentence: string): void {
  process.stderr.write(`  ${sentence}\n`);
}
