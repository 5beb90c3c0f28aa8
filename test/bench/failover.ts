import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { formatTable } from './report.js';
import { percentile } from './statistics.js';
import type { RunningSystem, SystemProcess } from './system.js';
import { transferBody, type Accounts } from './rest-client.js';
import { until } from './until.js';

/** Light load, so that what is measured is the fail-over and not a queue. */
const REQUEST_EVERY_MS = 20;
/** Requests on their way at a time; while so many wait for an answer no further ones are sent. */
const MAXIMUM_PENDING = 256;
/** Commits that tell that the system works again. */
const SETTLED_COMMITS = 50;
const TARGET_P99_MS = 1_000;

export interface FailoverOptions {
  readonly kills: number;
  readonly accounts: () => Accounts;
}

/** One kill -9 of the leader; milliseconds from the kill. */
export interface Failover {
  readonly killed: string;
  readonly next: string;
  /** until a surviving coordinator named another leader */
  readonly leaderMs: number;
  /** until the first answer "committed" to a request that was sent after the kill */
  readonly commitMs: number;
  /** of the commits right before the kill, median: what a commit costs on this machine at this hour when all is well */
  readonly ordinaryCommitMs: number;
}

/** Sends requests to whichever coordinators live, at even distances, and remembers the commits. */
class LightLoad {
  private readonly pools = new Map<string, Pool>();
  private readonly committed: { readonly sentAt: number; readonly answeredAt: number }[] = [];
  private readonly ending = new AbortController();
  private avoided: string | undefined;
  private pending = 0;
  private turn = 0;
  private running: Promise<void> | undefined;

  constructor(
    coordinators: readonly SystemProcess[],
    private readonly accounts: () => Accounts,
  ) {
    for (const { name, ports } of coordinators) {
      this.pools.set(name, new Pool(`http://127.0.0.1:${ports['http']}`, { connections: MAXIMUM_PENDING }));
    }
  }

  start(): void {
    this.running = this.run();
  }

  /** A client notices a dead coordinator by the refused connection, and goes to the next. */
  avoid(name: string | undefined): void {
    this.avoided = name;
  }

  /** Duration until the first commit of a request that was sent at `moment` or later. */
  async firstCommitAfter(moment: number): Promise<number> {
    const first = await until(
      () =>
        this.committed
          .filter(({ sentAt }) => sentAt >= moment)
          .sort((one, other) => one.answeredAt - other.answeredAt)[0],
      'a commit after the kill',
    );
    return first.answeredAt - moment;
  }

  /** Waits for so many further commits; gives their median duration. */
  async commits(count: number): Promise<number> {
    const wanted = this.committed.length + count;
    await until(() => (this.committed.length >= wanted ? true : undefined), `${count} further commits`);
    return percentile(
      this.committed.slice(-count).map(({ sentAt, answeredAt }) => answeredAt - sentAt),
      0.5,
    );
  }

  async stop(): Promise<void> {
    this.ending.abort();
    await this.running;
    await Promise.all([...this.pools.values()].map((pool) => pool.destroy()));
  }

  private async run(): Promise<void> {
    while (!this.ending.signal.aborted) {
      if (this.pending < MAXIMUM_PENDING) void this.send();
      await delay(REQUEST_EVERY_MS, undefined, { signal: this.ending.signal }).catch(() => undefined);
    }
  }

  private async send(): Promise<void> {
    const living = [...this.pools].filter(([name]) => name !== this.avoided);
    const [, pool] = living[this.turn++ % living.length]!;
    const sentAt = performance.now();
    this.pending++;
    try {
      const answer = await pool.request({
        method: 'POST',
        path: '/v1/transactions/execute',
        headers: { 'content-type': 'application/json' },
        body: transferBody(this.accounts(), false),
      });
      await answer.body.dump();
      if (answer.statusCode === 200) this.committed.push({ sentAt, answeredAt: performance.now() });
    } catch {
      return; // the coordinator was killed, or the load ends; the next request follows anyway
    } finally {
      this.pending--;
    }
  }
}

/** Kills the leader with -9, time and again, each time after everything is up and working. */
export async function measureFailover(system: RunningSystem, options: FailoverOptions): Promise<Failover[]> {
  const load = new LightLoad(system.coordinators(), options.accounts);
  const failovers: Failover[] = [];
  load.start();
  try {
    for (let kill = 1; kill <= options.kills; kill++) {
      const ordinaryCommitMs = await load.commits(SETTLED_COMMITS);
      const failover = { ...(await killLeader(system, load)), ordinaryCommitMs };
      failovers.push(failover);
      const { killed, next, leaderMs, commitMs } = failover;
      process.stderr.write(
        `  kill ${kill}: ${killed} → ${next}, leader after ${leaderMs.toFixed(0)} ms, ` +
          `commit after ${commitMs.toFixed(0)} ms\n`,
      );
      await system.restart(killed);
      load.avoid(undefined);
    }
  } finally {
    await load.stop();
  }
  return failovers;
}

async function killLeader(system: RunningSystem, load: LightLoad): Promise<Omit<Failover, 'ordinaryCommitMs'>> {
  const coordinators = system.coordinators();
  const killed = await until(() => leaderOf(coordinators), 'a leader');
  load.avoid(killed.name);
  const moment = performance.now();
  process.kill(killed.pid, 'SIGKILL');
  const survivors = coordinators.filter(({ name }) => name !== killed.name);
  const [next, commitMs] = await Promise.all([
    until(async () => {
      const leader = await leaderOf(survivors);
      return leader && { name: leader.name, leaderMs: performance.now() - moment };
    }, 'another leader'),
    load.firstCommitAfter(moment),
  ]);
  return { killed: killed.name, next: next.name, leaderMs: next.leaderMs, commitMs };
}

/** Which of these leads, as any of them tells; one that is dead tells nothing. */
export async function leaderOf(coordinators: readonly SystemProcess[]): Promise<SystemProcess | undefined> {
  for (const { ports } of coordinators) {
    const leaderId = await leaderIdAt(ports['http']!);
    const leader = coordinators.find(({ name }) => name === `coordinator-${leaderId}`);
    if (leader) return leader;
  }
  return undefined;
}

async function leaderIdAt(port: number): Promise<number | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/cluster`);
    const { leaderId } = (await answer.json()) as { leaderId: number | null };
    return leaderId ?? undefined;
  } catch {
    return undefined;
  }
}

/** Smallest, quantiles and largest. */
export function failoverDistribution(
  failovers: readonly Failover[],
): Record<'leaderMs' | 'commitMs' | 'ordinaryCommitMs', number[]> {
  const of = (figures: readonly number[]): number[] => [
    Math.min(...figures),
    ...[0.5, 0.9, 0.99].map((fraction) => percentile(figures, fraction)),
    Math.max(...figures),
  ];
  return {
    leaderMs: of(failovers.map(({ leaderMs }) => leaderMs)),
    commitMs: of(failovers.map(({ commitMs }) => commitMs)),
    ordinaryCommitMs: of(failovers.map(({ ordinaryCommitMs }) => ordinaryCommitMs)),
  };
}

export function failoverTable(failovers: readonly Failover[]): string {
  const { leaderMs, commitMs, ordinaryCommitMs } = failoverDistribution(failovers);
  const cells = (figures: readonly number[]): string[] => figures.map((figure) => figure.toFixed(0));
  const table = formatTable(
    [`ms, ${failovers.length} kills`, 'min', 'p50', 'p90', 'p99', 'max'],
    [
      ['from the kill to another leader', ...cells(leaderMs)],
      ['from the kill to the first commit', ...cells(commitMs)],
      ['a commit before the kill (median)', ...cells(ordinaryCommitMs)],
    ],
  );
  const verdict = commitMs[3]! <= TARGET_P99_MS ? 'met' : 'MISSED';
  return `${table}\ntarget: first commit within ${TARGET_P99_MS} ms at p99: ${verdict}`;
}
