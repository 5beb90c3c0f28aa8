import { setTimeout as delay } from 'node:timers/promises';
import { errorMessage } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import { BANKS, type PartName } from '../local-system/ports.js';
import { isRunning } from '../local-system/process-table.js';
import { waitUntil } from '../local-system/wait.js';
import { request } from '../rest.js';
import { pathTo, type Path, type PathContext } from './crash-everywhere-paths.js';
import type { KafkaTap } from './kafka-tap.js';
import { nodeIdOf, type ScenarioLab } from './scenario-lab.js';

/** Within this time a process must reach its crash point. */
const REACH_TIMEOUT_MS = 45_000;
const COMMIT_TIMEOUT_MS = 60_000;
const HAND_OVER_TIMEOUT_MS = 20_000;
const POLL_MS = 30;
/** How long a pre-commit is delayed: enough to stop all coordinators meanwhile. */
const HOLD_MS = 3_000;
/** How long the coordinators are stopped at most: a termination timeout and some ballots. */
const SILENCE_MS = 8_000;
const LEADER_CHECK_MS = 1_000;
const PROVOKE_EVERY_MS = 1_000;

export interface Visit {
  readonly point: string;
  readonly victim: string;
  /** from arming to death, in milliseconds; undefined: never reached */
  readonly reachedMs?: number;
  /** from the restart to readiness, in milliseconds */
  readonly backMs?: number;
  readonly problem?: string;
}

/**
 * Kills processes at crash points: arms one, leads the process there, waits for its death, restarts it and waits for a
 * commit. The leader and one bank may be visited at the same time, never two coordinators or two banks.
 */
export class Visitor {
  readonly visits: Visit[] = [];
  private readonly busy = new Set<string>();

  constructor(
    private readonly lab: ScenarioLab,
    private readonly tap: KafkaTap | undefined,
    private readonly threePhase: () => string | undefined,
    private readonly total: number,
  ) {}

  async leader(point: string): Promise<void> {
    await this.visit(point, await this.lab.leader(), {});
  }

  /** The same for a follower that becomes the leader after a restart with these variables. */
  async preparedLeader(point: string, environment: Readonly<Record<string, string>>): Promise<void> {
    const leader = await this.lab.leader();
    const follower = this.lab.coordinators().find(({ name }) => name !== leader)?.name;
    if (!follower) throw new LabError('The group has no follower.');
    await this.lab.kill(follower);
    await this.lab.revive(follower, environment);
    await this.lab.arm(follower, `${point}=kill`);
    await this.handOver(follower);
    await this.visit(point, follower, { follows: false, isArmed: true });
    if (isRunning(this.lab.process(follower))) await this.lab.kill(follower); // its environment must not stay
    await this.lab.restartDead();
  }

  /** A busy node may not take over in time; then it is asked again, unless it has led and died already. */
  private async handOver(follower: PartName): Promise<void> {
    const isDone = async (): Promise<boolean> => {
      if (!isRunning(this.lab.process(follower))) return true;
      try {
        await this.lab.changeGroup('POST', 'leader', { nodeId: nodeIdOf(follower) });
        return true;
      } catch {
        return false;
      }
    };
    if (await waitUntil(isDone, { timeoutMs: HAND_OVER_TIMEOUT_MS })) return;
    throw new LabError(`${follower} did not take the leadership over within ${HAND_OVER_TIMEOUT_MS / 1000} s.`);
  }

  async bank(point: string, bank: string): Promise<void> {
    await waitUntil(() => !this.busy.has(bank), { timeoutMs: REACH_TIMEOUT_MS });
    this.busy.add(bank);
    try {
      if (this.pathTo(point).toFresh === true) {
        await this.lab.kill(bank);
        await this.lab.revive(bank);
      }
      await this.visit(point, bank, { follows: false });
    } finally {
      this.busy.delete(bank);
    }
  }

  /**
   * kill -9 of the first bank to reach the point while all coordinators are stopped during a transaction in three
   * phases: its branches decide without them. No other visit may run meanwhile.
   */
  async silentBank(point: string, environment: Readonly<Record<string, string>>): Promise<void> {
    const start = Date.now();
    const dead = (): string[] => BANKS.filter((bank) => !isRunning(this.lab.process(bank)));
    for (const bank of BANKS) await this.lab.arm(bank, `${point}=kill`);
    while (dead().length === 0 && Date.now() < start + REACH_TIMEOUT_MS) await this.silence(() => dead().length > 0);
    const reachedMs = Date.now() - start;
    await Promise.all(BANKS.map((bank) => this.lab.arm(bank, '').catch(() => undefined)));
    const [victim, ...others] = dead(); // several may have reached it
    if (victim === undefined) {
      return this.note({ point, victim: 'no bank', problem: `not reached within ${REACH_TIMEOUT_MS / 1000} s` });
    }
    await Promise.all(others.map((bank) => this.lab.revive(bank, environment)));
    await this.revive(victim, { point, victim: [victim, ...others].join(', '), reachedMs }, environment);
  }

  /** Stops all coordinators as soon as one transaction in three phases is prepared and not pre-committed. */
  private async silence(isOver: () => boolean): Promise<void> {
    const { lab } = this;
    const leader = await lab.leader();
    await lab.arm(leader, `coordinator.pre-commit.before-append=delay:${HOLD_MS}`);
    const isHeld = async (): Promise<boolean> => {
      const { body } = await request('GET', `${lab.url(leader)}/debug/failpoints`);
      return Array.isArray(body['armed']) && body['armed'].length === 0;
    };
    if (!(await waitUntil(isHeld, { timeoutMs: HOLD_MS, pollMs: POLL_MS }))) {
      await lab.arm(leader, ''); // another one may lead by now
      return;
    }
    const names = lab.coordinators().map(({ name }) => name);
    for (const name of names) lab.pause(name);
    try {
      await waitUntil(isOver, { timeoutMs: SILENCE_MS, pollMs: POLL_MS });
    } finally {
      for (const name of names) lab.wake(name);
    }
  }

  /**
   * @param follows whether the point moves with the leadership, when that moves by itself
   * @param isArmed the process has its point already, and may have died of it
   */
  private async visit(point: string, first: string, { follows = true, isArmed = false }): Promise<void> {
    const start = Date.now();
    if (!isArmed) await this.lab.arm(first, `${point}=kill`);
    const { victim, died } = await this.untilDead(point, first, follows);
    if (!died) {
      await this.lab.arm(victim, '').catch(() => undefined);
      return this.note({ point, victim, problem: `not reached within ${REACH_TIMEOUT_MS / 1000} s` });
    }
    await this.revive(victim, { point, victim, reachedMs: Date.now() - start });
  }

  private async revive(
    victim: string,
    visit: Visit,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    try {
      const backMs = await this.lab.revive(victim, environment);
      await this.lab.waitForCommits(1, COMMIT_TIMEOUT_MS);
      this.note({ ...visit, backMs });
    } catch (error) {
      this.note({ ...visit, problem: errorMessage(error) });
    }
  }

  private async untilDead(point: string, first: string, follows: boolean): Promise<{ victim: string; died: boolean }> {
    let victim = first;
    const end = Date.now() + REACH_TIMEOUT_MS;
    const { provoke, everyMs = PROVOKE_EVERY_MS } = this.pathTo(point);
    let provoking: Promise<void> | undefined;
    let [provokeAt, checkAt] = [0, Date.now() + LEADER_CHECK_MS];
    const isDead = (): boolean => !isRunning(this.lab.process(victim));
    while (!isDead() && Date.now() < end) {
      if (provoke && !provoking && Date.now() >= provokeAt) {
        provokeAt = Date.now() + everyMs;
        const done = (): void => void (provoking = undefined);
        provoking = provoke(this.context(victim)).then(done, done); // the crash may make it fail
      }
      if (follows && Date.now() >= checkAt) {
        checkAt = Date.now() + LEADER_CHECK_MS;
        victim = await this.follow(point, victim);
      }
      await delay(POLL_MS);
    }
    await provoking;
    return { victim, died: isDead() };
  }

  /** Moves the point with the leadership, if that has moved by itself. */
  private async follow(point: string, victim: string): Promise<string> {
    try {
      const leader = await this.lab.leader();
      if (leader === victim) return victim;
      await this.lab.arm(victim, '');
      await this.lab.arm(leader, `${point}=kill`);
      return leader;
    } catch {
      return victim; // it has just died, or there is no leader now
    }
  }

  private pathTo(point: string): Path {
    return pathTo(point, this.lab.state().link) ?? {};
  }

  private context(victim: string): PathContext {
    const { lab, tap, threePhase } = this;
    return { lab, tap, victim, threePhase, withQuietBank: (work) => this.withQuietBank(work) };
  }

  private async withQuietBank<Value>(work: (bank: string) => Promise<Value>): Promise<Value> {
    const bank = BANKS.find((candidate) => !this.busy.has(candidate));
    if (bank === undefined) throw new LabError('No bank is quiet.');
    this.busy.add(bank);
    try {
      return await work(bank);
    } finally {
      this.busy.delete(bank);
    }
  }

  private note(visit: Visit): void {
    this.visits.push(visit);
    const { point, victim, reachedMs, backMs, problem } = visit;
    const what = problem ?? `died after ${reachedMs} ms, ready again after ${backMs} ms`;
    this.lab.narration.observation(`${this.visits.length} of ${this.total}  ${point}: ${victim} ${what}`);
  }
}
