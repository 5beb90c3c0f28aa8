import { SeededRandom } from '@concordat/foundation';
import { Clients } from './clients.js';
import { canRecover, checkHistory, checkRecovery, checkStandstill } from './final-checks.js';
import { Nemesis } from './nemesis.js';
import { drawProfile, type Family } from './profile.js';
import { Violation, type Rule } from './violation.js';
import { World } from './world.js';

export interface SimulationOptions {
  readonly seed: number;
  /** number of first nodes; by default drawn from the seed */
  readonly nodes?: number | undefined;
  /** prints the trace */
  readonly print?: ((line: string) => void) | undefined;
}

/** The result of a run, with or without a violation. */
export interface SimulationReport {
  readonly seed: number;
  readonly family: Family;
  /** the rule that was broken, if any, and how */
  readonly violation: { readonly rule: Rule; readonly what: string } | undefined;
  /** equal for two runs of one seed */
  readonly fingerprint: string;
  readonly simulatedMs: number;
  readonly steps: number;
  /** by name: faults, actions of operators, and events of nodes and clients */
  readonly counts: Readonly<Record<string, number>>;
}

/** One run: a group under the faults of its profile, then without, when it must recover. */
export async function simulate({ seed, nodes, print }: SimulationOptions): Promise<SimulationReport> {
  const random = new SeededRandom(seed);
  const profile = drawProfile(seed, random.fork(), nodes);
  const world = new World(random.uint32(), profile, print);
  world.trace.line(() => `profile ${JSON.stringify(profile)}`);
  world.found();
  const clients = new Clients(world, random.fork());
  const nemesis = new Nemesis(world, random.fork());
  const unhandled = (error: unknown): void => world.violate(error);
  process.on('unhandledRejection', unhandled);
  let violation: SimulationReport['violation'];
  try {
    await world.runUntil(() => false, profile.faultyMs);
    nemesis.cease();
    if (canRecover(world)) await checkRecovery(world, nemesis, clients);
    else await checkStandstill(world);
    checkHistory(clients);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = { rule: error.rule, what: error.what };
  } finally {
    process.off('unhandledRejection', unhandled);
    for (const node of world.upNodes()) node.crash(false);
  }
  const { outcomes } = clients;
  return {
    seed,
    family: profile.family,
    violation,
    fingerprint: world.trace.fingerprint,
    simulatedMs: world.clock.monotonic(),
    steps: world.steps,
    counts: {
      ...Object.fromEntries([...world.counts, ...nemesis.counts].sort()),
      elections: world.checker.elections,
      committed: world.checker.committedIndex,
      configurations: world.checker.configurations.changeCount,
      messages: world.network.sent,
      'operations committed': outcomes.committed,
      'operations refused': outcomes.refused,
      'operations unknown': outcomes.unknown,
      reads: outcomes.reads,
      'transfers done': nemesis.transfers.done,
      'transfers failed': nemesis.transfers.failed,
      'changes done': nemesis.membership.outcomes.done,
      'changes unknown': nemesis.membership.outcomes.unknown,
    },
  };
}
