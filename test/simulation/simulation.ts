import { randomChance, randomInteger, SeededRandom } from '@concordat/foundation';
import { Violation, type Choices, type SimulationReport, type Simulator } from '@concordat/foundation/testing';
import { Client, drawWorkload } from './clients.js';
import { drawHabits, Operator } from './operator.js';
import { FaultInjector, drawFaultPlan } from './faults.js';
import { checkEnd, checkNothingOlderThan, deadLetterCount, describeUnsettled, isSettled } from './final-checks.js';
import { HeldWork } from './held-branch.js';
import { LockClient } from './locks/lock-client.js';
import { OddWishes } from './odd-work.js';
import { drawPace, FAMILIES, familyOf } from './pace.js';
import { SABOTAGES, type Sabotage } from './sabotage.js';
import { World } from './world.js';

export interface SimulationOptions {
  readonly seed: number;
  /** a mistake to be put into the system, to see that it is found */
  readonly sabotage?: Sabotage | undefined;
  /** leaves all faults out */
  readonly calm?: boolean | undefined;
  /** prints the trace */
  readonly print?: ((line: string) => void) | undefined;
}

/** Apart from all other randomness, so that the other seeds stay what they are. */
const ODD_SEEDS_FROM = 1_000_003;
const ODD_SEEDS_SHARE = 0.25;
const ODD_WISHES_SHARE = 0.2;

/** In some runs clients ask for what handlers make something odd of. */
function drawOddWishes(seed: number): () => OddWishes {
  const random = new SeededRandom(seed + ODD_SEEDS_FROM);
  const share = randomChance(random, ODD_SEEDS_SHARE) ? ODD_WISHES_SHARE : 0;
  return () => new OddWishes(random.fork(), share);
}

/** Apart from all other randomness, too. */
const LOCK_SEEDS_FROM = 2_000_003;

function createLockClients(world: World, seed: number): LockClient[] {
  const random = new SeededRandom(seed + LOCK_SEEDS_FROM);
  const count = world.pace.family === 'locks' ? randomInteger(random, 3, 6) : 0;
  return Array.from({ length: count }, (_, position) => {
    return new LockClient(`owner-${position + 1}`, world, random.fork(), world.checker.locks);
  });
}

/** Outcomes are published after the end. */
const AFTERMATH_MS = 1_500;

/** One run: a workload and a fault plan drawn from the seed, then calm, in which everything must come to its end. */
export async function simulate({ seed, sabotage, calm, print }: SimulationOptions): Promise<SimulationReport> {
  const family = familyOf(seed);
  const pace = drawPace(family, new SeededRandom(seed).fork());
  const world = new World({ seed, pace, ...(sabotage && { sabotage }), ...(print && { print }) });
  const random = world.random.fork();
  const plan = drawFaultPlan(random.fork(), calm ?? randomChance(random, 0.05), world.roads.link);
  const isCalm = plan.classes.size === 0;
  if (isCalm) world.checker.expectCalm();
  const workload = drawWorkload(random, pace, isCalm);
  const oddWishes = drawOddWishes(seed);
  const held = new HeldWork(world, seed, isCalm);
  const injector = new FaultInjector(world, plan, random.fork());
  const clients = Array.from(
    { length: workload.clients },
    (_, position) => new Client(`client-${position + 1}`, world, random.fork(), workload, oddWishes(), held),
  );
  const lockClients = createLockClients(world, seed);
  const operator = new Operator(world, random.fork(), drawHabits(random, isCalm));
  const unexpected = (error: unknown): void => world.checker.violate(`a client failed: ${describe(error)}`);
  const unhandled = (error: unknown): void => world.checker.violate(`a promise was left alone with ${describe(error)}`);
  process.on('unhandledRejection', unhandled);
  let violation: string | undefined;
  try {
    if (!isCalm && (family === 'refounded' || randomChance(random, 0.15))) injector.backups.leaveByEarlierGroup();
    world.boot();
    operator.run().catch(unexpected);
    for (const client of [...clients, ...lockClients]) client.run().catch(unexpected);
    const finished = (): boolean => [...clients, ...lockClients].every((client) => client.finished);
    for (let round = 1; round <= pace.rounds; round++) {
      injector.start();
      operator.resume();
      await world.runUntil(() => pace.calmMs === 0 && finished(), pace.faultyMs);
      injector.heal();
      operator.heal();
      const healedAt = world.clock.monotonic();
      await world.runUntil(() => false, pace.calmMs);
      if (pace.calmMs > 0) checkNothingOlderThan(world, healedAt);
    }
    if (pace.calmMs > 0) for (const client of clients) client.retire();
    for (const client of lockClients) client.retire();
    const settled = await world.runUntil(() => finished() && isSettled(world), pace.livenessMs);
    if (!settled) throw new Violation(`AC5: healed, and yet ${describeUnsettled(world, clients)}`);
    await world.runUntil(() => false, AFTERMATH_MS);
    checkEnd(world, clients, plan);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error.message;
  } finally {
    process.off('unhandledRejection', unhandled);
  }
  const decisions = [...world.checker.transactions.values()].map(({ decision }) => decision);
  return {
    seed,
    family,
    violation,
    fingerprint: world.trace.fingerprint,
    steps: world.trace.events,
    simulatedMs: Math.round(world.clock.monotonic()),
    counts: {
      run: {
        committed: decisions.filter((decision) => decision === 'commit').length,
        aborted: decisions.filter((decision) => decision === 'abort').length,
        leaders: world.checker.replicas.leaderCount,
        [`link ${world.roads.link}`]: 1,
      },
      faults: injector.counts,
      rulings: operator.counts, // what operators did, by effect
      ballots: { ...world.checker.ballots.counts }, // decisions by ballots, and how often branches decided among themselves
      backups: { ...injector.backups.counts }, // prepared branches that came back
      'messages of another cluster': { said: injector.otherCluster.counts.said, 'put aside': deadLetterCount(world) },
      // how requests with an odd operation ended: committed, or the code of the refusal or of the reason
      locks: { ...world.checker.locks.counts, contested: world.checker.locks.lines.contested }, // what became of requests, and writes that a token kept out
      'held branches': { ...held.counts },
      'odd operations': { ...world.checker.said.counts },
    },
  };
}

/** As a program. */
export const SYSTEM_SIMULATOR: Simulator = {
  command: 'npm run simulate --',
  usage: `  --family NAME    run only seeds of this kind: ${FAMILIES.join(', ')}
  --calm           inject no faults
  --sabotage NAME  inject a bug: ${SABOTAGES.join(', ')}

npm run simulate -- raft [--help]   simulate the Raft library alone
`,
  options: { family: { type: 'string' }, calm: { type: 'boolean' }, sabotage: { type: 'string' } },
  prepare: (choices) => {
    const family = oneOf(FAMILIES, choices, 'family');
    const sabotage = oneOf(SABOTAGES, choices, 'sabotage');
    const calm = choices['calm'] === true ? true : undefined;
    return {
      skips: (seed) => family !== undefined && familyOf(seed) !== family,
      simulate: (seed, print) => simulate({ seed, sabotage, calm, print }),
    };
  },
};

function oneOf<T extends string>(names: readonly T[], choices: Choices, option: string): T | undefined {
  const chosen = choices[option];
  const found = names.find((name) => name === chosen);
  if (chosen !== undefined && found === undefined) throw new TypeError(`there is no ${option} "${chosen}"`);
  return found;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
