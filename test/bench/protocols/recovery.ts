import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { leaderOf } from '../failover.js';
import { until } from '../until.js';
import { isMet, targetTable, type Target } from '../raft/targets.js';
import { formatTable } from '../report.js';
import type { RunningSystem, SystemProcess } from '../system.js';
import { AccountTurns, transactionBody, type Cell, type ProtocolName } from './cells.js';
import { DisappearanceWatch, PreparedBranches, type Disappearance } from './in-doubt.js';
import { untilKnown } from './known-participants.js';

const POLL_MS = 10;
/** Nothing of before the kill seen for so long: it is over. */
const QUIET_MS = 3_000;
const PATIENCE_MS = 120_000;
/** A client whose coordinator is dead tries the next one after so long. */
const RETRY_MS = 50;
/** Commits that tell that the system works again. */
const SETTLED_COMMITS = 500;
const TARGET_MS = 5_000;

const KILLS = ['leader', 'all coordinators'] as const;
export type KillKind = (typeof KILLS)[number];

export interface RecoveryOptions {
  readonly protocols: readonly ProtocolName[];
  readonly branches: number;
  readonly clients: number;
  /** kills of each kind, for each protocol */
  readonly kills: number;
}

/** One kill -9 under load; milliseconds from the kill. */
export interface Recovery extends Disappearance {
  readonly kind: KillKind;
  readonly protocol: ProtocolName;
  /** until a coordinator named a leader that lives */
  readonly leaderMs: number;
}

/** Each client sends one transaction after the other, to another coordinator when its own does not answer. */
class SteadyLoad {
  private readonly pools: readonly Pool[];
  private readonly turns: AccountTurns;
  private readonly loops: Promise<void>[] = [];
  private ended = false;
  private committed = 0;

  constructor(
    coordinators: readonly SystemProcess[],
    private readonly cell: Cell,
    private readonly clients: number,
  ) {
    this.pools = coordinators.map(
      ({ ports }) => new Pool(`http://127.0.0.1:${ports['http']}`, { connections: clients }),
    );
    this.turns = new AccountTurns(clients);
  }

  start(): void {
    for (let client = 0; client < this.clients; client++) this.loops.push(this.loop(client));
  }

  /** Waits for so many further commits. */
  async commits(count: number): Promise<void> {
    const wanted = this.committed + count;
    await until(() => (this.committed >= wanted ? true : undefined), `${count} further commits`);
  }

  async stop(): Promise<void> {
    this.ended = true;
    await Promise.all(this.pools.map((pool) => pool.destroy()));
    await Promise.all(this.loops);
  }

  private async loop(client: number): Promise<void> {
    for (let place = client; !this.ended;) {
      if (await this.send(client, this.pools[place % this.pools.length]!)) continue;
      place++;
      await delay(RETRY_MS);
    }
  }

  /** Whether the coordinator answered with an outcome. */
  private async send(client: number, pool: Pool): Promise<boolean> {
    try {
      const answer = await pool.request({
        method: 'POST',
        path: '/v1/transactions/execute',
        headers: { 'content-type': 'application/json' },
        body: transactionBody(this.cell, this.turns.next(client)),
      });
      await answer.body.dump();
      if (answer.statusCode === 200) this.committed++;
      return answer.statusCode < 500;
    } catch {
      return false; // killed, not there yet, or the load ends
    }
  }
}

/** Kills the leader, and then all coordinators at once, time and again, under the load of each protocol. */
export async function measureRecovery(system: RunningSystem, options: RecoveryOptions): Promise<Recovery[]> {
  await untilKnown(system, options.branches);
  const prepared = await PreparedBranches.connect(system.participants());
  const recoveries: Recovery[] = [];
  try {
    for (const protocol of options.protocols) {
      const load = new SteadyLoad(system.coordinators(), { protocol, branches: options.branches }, options.clients);
      load.start();
      try {
        for (const kind of KILLS)
          recoveries.push(...(await killRepeatedly(system, prepared, load, kind, protocol, options.kills)));
      } finally {
        await load.stop();
      }
    }
  } finally {
    await prepared.close();
  }
  return recoveries;
}

async function killRepeatedly(
  system: RunningSystem,
  prepared: PreparedBranches,
  load: SteadyLoad,
  kind: KillKind,
  protocol: ProtocolName,
  kills: number,
): Promise<Recovery[]> {
  const recoveries: Recovery[] = [];
  for (let kill = 1; kill <= kills; kill++) {
    await load.commits(SETTLED_COMMITS);
    const victims =
      kind === 'leader' ? [await until(() => leaderOf(system.coordinators()), 'a leader')] : system.coordinators();
    const killedAtMs = Date.now();
    const killed = performance.now();
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    const [gone, leaderMs] = await Promise.all([
      follow(prepared, new DisappearanceWatch(killedAtMs, QUIET_MS), killed),
      firstLeader(system, victims, killed),
      kind === 'all coordinators' ? restart(system, victims) : undefined,
    ]);
    const recovery = { kind, protocol, ...gone, leaderMs };
    if (kind === 'leader') await restart(system, victims);
    recoveries.push(recovery);
    process.stderr.write(
      `  ${protocol}, kill ${kill} of ${kind}: ${recovery.inDoubt} branches in doubt, leader after ` +
        `${recovery.leaderMs.toFixed(0)} ms, none in doubt after ${recovery.begunBeforeMs.toFixed(0)} ms\n`,
    );
  }
  return recoveries;
}

/** Looks until nothing of before the kill is in doubt any more. */
async function follow(prepared: PreparedBranches, watch: DisappearanceWatch, killed: number): Promise<Disappearance> {
  for (;;) {
    const branches = await prepared.list();
    const afterMs = performance.now() - killed;
    watch.saw(branches, afterMs);
    const result = watch.result(afterMs);
    if (result) return result;
    if (afterMs > PATIENCE_MS)
      throw new Error(`branches of before the kill are in doubt after ${PATIENCE_MS / 1000} s`);
    await delay(POLL_MS);
  }
}

/** Milliseconds from the kill until one that was not killed, or was started again, leads. */
async function firstLeader(system: RunningSystem, victims: readonly SystemProcess[], killed: number): Promise<number> {
  const dead = new Set(victims.map(({ pid }) => pid));
  await until(() => leaderOf(system.coordinators().filter(({ pid }) => !dead.has(pid))), 'a leader');
  return performance.now() - killed;
}

/**
 * Side by side, but each begins only when the one before stands in `system.json`: they write the file one by one. A
 * single one of them would not get ready without the others.
 */
async function restart(system: RunningSystem, victims: readonly SystemProcess[]): Promise<void> {
  const restarts: Promise<void>[] = [];
  for (const { name, pid } of victims) {
    const back = system.restart(name);
    back.catch(() => undefined); // told below, with the others
    restarts.push(back);
    await Promise.race([back, until(() => system.processes.find((one) => one.name === name && one.pid !== pid), name)]);
  }
  await Promise.all(restarts);
}

export function recoveryTargets(recoveries: readonly Recovery[]): Target[] {
  const protocols = [...new Set(recoveries.map(({ protocol }) => protocol))];
  return protocols.flatMap((protocol) =>
    KILLS.flatMap((kind): Target[] => {
      const of = recoveries.filter((one) => one.protocol === protocol && one.kind === kind);
      if (of.length === 0) return [];
      const from = kind === 'leader' ? 'from the kill' : 'from the first leader';
      const measured = Math.max(...of.map((one) => inDoubtMs(one)));
      return [
        { what: `${protocol}, ${kind} killed: last branch in doubt, ${from}`, measured, unit: 'ms', atMost: TARGET_MS },
      ];
    }),
  );
}

/** How long a transaction of before was in doubt: from the kill, or from when there could be an answer at all. */
function inDoubtMs({ kind, leaderMs, begunBeforeMs }: Recovery): number {
  return kind === 'leader' ? begunBeforeMs : Math.max(0, begunBeforeMs - leaderMs);
}

export function recoveryText(recoveries: readonly Recovery[]): string {
  const rows = recoveries.map((one) => [
    one.protocol,
    one.kind,
    String(one.inDoubt),
    one.leaderMs.toFixed(0),
    one.preparedBeforeMs.toFixed(0),
    one.begunBeforeMs.toFixed(0),
    inDoubtMs(one).toFixed(0),
  ]);
  const header = [
    '',
    'killed',
    'in doubt',
    'leader ms',
    'prepared before: gone ms',
    'begun before: gone ms',
    'counts as',
  ];
  return [formatTable(header, rows), targetTable(recoveryTargets(recoveries))].join('\n\n');
}

/** For the file of results. */
export function recoveryResult(recoveries: readonly Recovery[]): unknown {
  const targets = recoveryTargets(recoveries).map((target) => ({ ...target, met: isMet(target) }));
  return { recoveries, targets };
}
