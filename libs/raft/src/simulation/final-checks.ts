import type { Clients } from './clients.js';
import type { Nemesis } from './nemesis.js';
import { isQuorum } from './quorum-rule.js';
import type { SimulatedNode } from './simulated-node.js';
import { Violation } from './violation.js';
import type { World } from './world.js';
import { checkLinearizable } from '../testing/linearizability.js';

/** After the faults there is a leader within this many election timeouts. */
const LEADER_ELECTION_TIMEOUTS = 5;
/** … and within this many more all requests are answered, and all members have the same state. */
const ANSWER_ELECTION_TIMEOUTS = 60;
const MAXIMUM_LINEARIZATION_STEPS = 5_000_000;

/** The members of the group that have their data. */
function livingMembers(world: World): SimulatedNode[] {
  return world
    .committedConfiguration()
    .members.map(({ nodeId }) => world.nodes.get(nodeId))
    .filter((node) => node !== undefined && !node.isLost) as SimulatedNode[];
}

/** A leader exists, and no member has a later term. */
function hasLeader(world: World): boolean {
  const core = world.leader()?.core;
  return core !== undefined && livingMembers(world).every((node) => (node.core?.term ?? 0) <= core.term);
}

function isSettled(world: World): boolean {
  const leader = world.leader()?.core;
  if (!leader || leader.configuration.outgoing.length > 0) return false;
  if (leader.configuration.members.some(({ returning }) => returning)) return false;
  return livingMembers(world).every(
    ({ core, machine, record }) =>
      core?.standing.kind === 'member' &&
      core.standing.incarnation === record.incarnation &&
      core.term === leader.term &&
      core.commitIndex === leader.lastIndex &&
      machine?.appliedIndex === leader.lastIndex,
  );
}

/**
 * Whether a quorum of every configuration that may still decide has its directories: of the latest committed one, and
 * of those after it in any log. An earlier one decides nothing, so its members may be gone: a node that still uses it,
 * such as a learner without the log, lacks a committed entry and cannot be elected.
 */
export function canRecover(world: World): boolean {
  const committedAt = world.checker.configurations.latest?.index ?? 0;
  const known = [...world.nodes.values()]
    .filter(({ lastConfigurationIndex }) => lastConfigurationIndex >= committedAt)
    .map(({ lastConfiguration }) => lastConfiguration);
  return [world.committedConfiguration(), ...known].every((configuration) => {
    if (configuration === undefined || configuration.members.length === 0) return true;
    const hasDirectory = (voter: number): boolean => {
      const node = world.nodes.get(voter);
      if (node === undefined || node.isLost) return false;
      return node.hasRightsIn(configuration) || !node.wasWiped; // no other node may have lost the rights
    };
    return isQuorum(configuration, hasDirectory);
  });
}

/**
 * Too many directories are lost: no node may be elected any more, because committed entries may be in none of the
 * others. An operator would have to act.
 *
 * @throws Violation
 */
export async function checkStandstill(world: World): Promise<void> {
  world.count('standstill');
  const { electionMs } = world;
  await world.runUntil(() => false, LEADER_ELECTION_TIMEOUTS * electionMs); // a leader finds out that it has no quorum
  const { elections, committedIndex } = world.checker;
  await world.runUntil(() => false, 2 * LEADER_ELECTION_TIMEOUTS * electionMs);
  if (world.checker.elections > elections || world.checker.committedIndex > committedIndex)
    throw new Violation('election safety', `somebody leads without a quorum of directories: ${describe(world)}`);
  if (world.leader()) throw new Violation('election safety', `a leader leads on without a quorum: ${describe(world)}`);
}

/**
 * Without faults the group must find a leader, answer all requests and bring all members to the same state.
 *
 * @throws Violation
 */
export async function checkRecovery(world: World, nemesis: Nemesis, clients: Clients): Promise<void> {
  const { electionMs } = world;
  if (!(await world.runUntil(() => hasLeader(world), LEADER_ELECTION_TIMEOUTS * electionMs)))
    throw new Violation(
      'liveness',
      `no leader within ${LEADER_ELECTION_TIMEOUTS} election timeouts: ${describe(world)}`,
    );
  clients.cease();
  const isAnswered = (): boolean =>
    clients.pending === 0 && nemesis.pendingTransfers === 0 && nemesis.membership.pending === 0;
  const isQuiet = (): boolean => isAnswered() && isSettled(world);
  if (!(await world.runUntil(isQuiet, ANSWER_ELECTION_TIMEOUTS * electionMs))) {
    const waiting =
      `${clients.pending} operations, ${nemesis.pendingTransfers} transfers and ` +
      `${nemesis.membership.pending} changes of the membership wait for an answer`;
    throw new Violation('liveness', `${isAnswered() ? 'members differ' : waiting}: ${describe(world)}`);
  }
  await readEverything(world, clients);
}

/** Reads each used key through each member; a change of leader costs another attempt. */
async function readEverything(world: World, clients: Clients): Promise<void> {
  let missing = 0;
  const read = async (node: SimulatedNode, key: string): Promise<void> => {
    if (await clients.read(0, node, key, false)) missing--;
    else world.later(world.profile.tickMs, () => void read(node, key));
  };
  for (const node of livingMembers(world)) {
    for (const key of clients.currentKeys()) {
      missing++;
      void read(node, key);
    }
  }
  if (!(await world.runUntil(() => missing === 0, ANSWER_ELECTION_TIMEOUTS * world.electionMs)))
    throw new Violation('liveness', `reads of a quiet group are not answered: ${describe(world)}`);
}

/** @throws Violation */
export function checkHistory(clients: Clients): void {
  const result = checkLinearizable(clients.history.history(), { maximumSteps: MAXIMUM_LINEARIZATION_STEPS });
  if (!result.linearizable) throw new Violation('linearizability', result.explanation);
}

function describe(world: World): string {
  const nodes = [...world.nodes.values()].map((node) => {
    const { core } = node;
    if (!core) return `${node.nodeId} is ${node.isLost ? 'lost' : 'down'}`;
    const { role, term, lastIndex, commitIndex } = core;
    return `${node.nodeId} ${role} of term ${term} at ${lastIndex}/${commitIndex}/${node.machine?.appliedIndex ?? 0}`;
  });
  const { voters, outgoing, learners } = world.committedConfiguration();
  return `${nodes.join('; ')}; voters ${voters.join()} outgoing ${outgoing.join()} learners ${learners.join()}`;
}
