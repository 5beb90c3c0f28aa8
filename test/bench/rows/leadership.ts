import { until } from '../until.js';
import type { RunningSystem, SystemProcess } from '../system.js';
import type { SystemAccess } from '../system-access.js';

/** Who leads, and since which election. */
interface Standing {
  readonly leaderId: number | null;
  readonly term: number;
}

/**
 * Keeps one coordinator the leader of a system while it is measured: the one that led at the start, and is warm. An
 * election in between has moved the work to another process, so what was measured across it is no row.
 */
export class Leadership {
  private constructor(
    private readonly access: SystemAccess,
    private readonly coordinators: readonly SystemProcess[],
    private readonly expected: SystemProcess,
  ) {}

  /** Waits until a coordinator leads and is ready; that one is to lead from now on. */
  static async of(system: RunningSystem): Promise<Leadership> {
    const coordinators = system.coordinators();
    const access = system.access();
    const leader = await until(async () => {
      const standing = await firstStanding(access, coordinators);
      const named = coordinators.find(({ name }) => name === `coordinator-${standing?.leaderId}`);
      return named && (await isReady(access, named)) ? named : undefined;
    }, 'a leader that is ready');
    return new Leadership(access, coordinators, leader);
  }

  /** The REST address of the one that leads. */
  get url(): string {
    return this.access.urlOf(this.expected);
  }

  get name(): string {
    return this.expected.name;
  }

  /** Waits until the expected one leads and is ready; hands the leadership back to it if another one has it. */
  async settle(): Promise<void> {
    await until(async () => {
      const standing = await standingAt(this.access, this.expected);
      if (!standing) return undefined;
      if (standing.leaderId === this.expectedId) return (await isReady(this.access, this.expected)) || undefined;
      if (standing.leaderId !== null) await this.handBack();
      return undefined;
    }, `${this.expected.name} to lead and to be ready`);
  }

  /** Runs it under the expected leader, and tells whether the leadership changed meanwhile, even if it came back. */
  async during<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly leaderChanged: boolean }> {
    await this.settle();
    const before = await standingAt(this.access, this.expected);
    const result = await work();
    const after = await standingAt(this.access, this.expected);
    const isSame = before !== undefined && after?.term === before.term && after.leaderId === this.expectedId;
    return { result, leaderChanged: !isSame };
  }

  private get expectedId(): number {
    return Number(this.expected.name.split('-').at(-1));
  }

  /** By any member, which forwards it; refused during an election, and then asked for again. */
  private async handBack(): Promise<void> {
    for (const coordinator of this.coordinators) {
      const answer = await this.access
        .fetch(`${this.access.urlOf(coordinator)}/v1/cluster/leader`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ nodeId: this.expectedId }),
        })
        .catch(() => undefined);
      if (answer?.ok === true) return;
    }
  }
}

async function firstStanding(
  access: SystemAccess,
  coordinators: readonly SystemProcess[],
): Promise<Standing | undefined> {
  for (const coordinator of coordinators) {
    const standing = await standingAt(access, coordinator);
    if (standing?.leaderId != null) return standing;
  }
  return undefined;
}

async function standingAt(access: SystemAccess, coordinator: SystemProcess): Promise<Standing | undefined> {
  try {
    return (await (await access.fetch(`${access.urlOf(coordinator)}/v1/cluster`)).json()) as Standing;
  } catch {
    return undefined;
  }
}

async function isReady(access: SystemAccess, coordinator: SystemProcess): Promise<boolean> {
  return await access.fetch(`${access.urlOf(coordinator)}/readyz`).then(
    ({ status }) => status === 200,
    () => false,
  );
}
