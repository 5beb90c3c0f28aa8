import { SeededRandom } from '@concordat/foundation';
import type { SimulationReport, Simulator } from '@concordat/foundation/testing';
import { Clients } from './clients.js';
import { canRecover, checkHistory, checkRecovery, checkStandstill } from './final-checks.js';
import { Nemesis } from './nemesis.js';
import { drawProfile, isLong } from './profile.js';
import { Violation } from './violation.js';
import { World } from './world.js';

export interface SimulationOptions {
  readonly seed: number;
  /** number of first nodes; by default drawn from the seed */
  readonly nodes?: number | undefined;
  /** prints the trace */
  readonly print?: ((line: string) => void) | undefined;
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
    violation = error.message;
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
      run: {
        elections: world.checker.elections,
        committed: world.checker.committedIndex,
        configurations: world.checker.configurations.changeCount,
        messages: world.network.sent,
      },
      faults: Object.fromEntries([...world.counts, ...nemesis.counts].sort()),
      operations: { ...outcomes },
      transfers: { ...nemesis.transfers },
      changes: { ...nemesis.membership.outcomes },
    },
  };
}

/** As a program. */
export const RAFT_SIMULATOR: Simulator = {
  command: 'npm run simulate -- raft',
  usage: `  --nodes N        start groups of this many nodes; by default each seed chooses
  --storms         skip the seeds of many simulated hours
`,
  options: { nodes: { type: 'string' }, storms: { type: 'boolean' } },
  prepare: (choices) => {
    const nodes = choices['nodes'] === undefined ? undefined : Number(choices['nodes']);
    if (nodes !== undefined && !(Number.isSafeInteger(nodes) && nodes > 0))
      throw new TypeError(`--nodes is a number of nodes, not "${choices['nodes']}"`);
    return {
      skips: (seed) => choices['storms'] === true && isLong(seed),
      simulate: (seed, print) => simulate({ seed, nodes, print }),
    };
  },
};
