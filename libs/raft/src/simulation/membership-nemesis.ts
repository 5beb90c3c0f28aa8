import { randomChance, randomItem, type Random } from '@concordat/foundation';
import type { MembershipChange } from '../core/membership/membership-change.js';
import type { Configuration, NodeId } from '../core/types.js';
import { MembershipRefusedError, NotLeaderError, ProposalUnknownError } from '../driver/errors.js';
import { ProcessGoneError, type SimulatedNode } from './simulated-node.js';
import type { World } from './world.js';

/** A machine in no configuration is retired after this many election timeouts. */
const RETIRE_ELECTION_TIMEOUTS = 6;
const CATCH_UP_ELECTION_TIMEOUTS = 4;

/**
 * Changes the group while it runs: adds machines as learners, promotes, demotes, removes and replaces members, and
 * retires former ones. A member that lost its data is replaced before anything else.
 */
export class MembershipNemesis {
  /** calls without an answer */
  pending = 0;
  readonly outcomes = { done: 0, refused: 0, unknown: 0 };

  constructor(
    private readonly world: World,
    private readonly random: Random,
  ) {}

  /**
   * A random change, sometimes two at once, of which one must wait or be refused. @returns whether one was requested
   */
  change(): boolean {
    this.retire();
    if (this.awaitsVerdict()) return false;
    if (randomChance(this.random, 0.2)) this.changeOnce();
    return this.changeOnce();
  }

  /** Whether the data of a node may be lost, which its next start will show. */
  private awaitsVerdict(): boolean {
    return [...this.world.nodes.values()].some(({ disk, core, isLost }) => disk.isRotten && !core && !isLost);
  }

  private changeOnce(): boolean {
    const leader = this.world.leader();
    if (!leader?.core) return false;
    const { configuration } = leader.core;
    const lost = this.world.lostNodes().find(({ nodeId }) => names(configuration, nodeId));
    const changes = lost ? this.replacement(configuration, lost.nodeId) : this.anyChange(configuration);
    if (changes.length === 0) return false;
    this.ask(leader, changes);
    return true;
  }

  private anyChange({ voters, learners, members }: Configuration): MembershipChange[] {
    const { random, world } = this;
    const { minVoters, maximumMembers } = world.profile;
    const learner = learners.length > 0 ? randomItem(random, learners) : undefined;
    const voter = randomItem(random, voters);
    const options: (() => MembershipChange[])[] = [];
    if (members.length < maximumMembers) options.push(() => this.addition());
    if (learner !== undefined) {
      options.push(
        () => [{ type: 'promote', nodeId: learner }],
        () => [
          { type: 'promote', nodeId: learner },
          { type: randomChance(random, 0.5) ? 'remove' : 'demote', nodeId: voter },
        ],
        () => [{ type: 'remove', nodeId: learner }],
      );
    }
    if (voters.length > minVoters)
      options.push(() => [{ type: randomChance(random, 0.7) ? 'remove' : 'demote', nodeId: voter }]);
    return options.length > 0 ? randomItem(random, options)() : [];
  }

  /** Steps that remove the lost node and never make a majority depend on it. */
  private replacement({ voters, learners }: Configuration, lost: NodeId): MembershipChange[] {
    if (!voters.includes(lost)) return [{ type: 'remove', nodeId: lost }];
    const successor = learners.find((learner) => this.world.nodes.get(learner)?.isLost === false);
    if (successor === undefined) return this.addition();
    return [
      { type: 'promote', nodeId: successor },
      { type: 'remove', nodeId: lost },
    ];
  }

  private addition(): MembershipChange[] {
    const member = this.world.newMember();
    this.world.join(member);
    return [{ type: 'add-learner', member }];
  }

  private ask(leader: SimulatedNode, changes: readonly MembershipChange[]): void {
    const { world } = this;
    const catchUpTimeoutMs = CATCH_UP_ELECTION_TIMEOUTS * world.electionMs;
    world.trace.event(`node ${leader.nodeId} is asked to change: ${describe(changes)}`);
    world.count('membership calls');
    this.pending++;
    leader
      .invoke((raft) => raft.changeMembership(changes, { catchUpTimeoutMs }))
      .then(
        () => this.answered('done'),
        (error: unknown) => {
          if (error instanceof ProposalUnknownError) return this.answered('unknown');
          const isRefused = [MembershipRefusedError, NotLeaderError, ProcessGoneError].some(
            (kind) => error instanceof kind,
          );
          if (!isRefused) throw error;
          this.answered('refused');
        },
      )
      .catch((error: unknown) => world.violate(error));
  }

  private answered(outcome: keyof typeof this.outcomes): void {
    this.pending--;
    this.outcomes[outcome]++;
    this.world.trace.event(`the change is ${outcome}`);
  }

  /** Retires machines that no node has as a member. */
  retire(): void {
    const { world } = this;
    if (this.pending > 0) return;
    const now = world.clock.monotonic();
    const committed = world.committedConfiguration();
    for (const node of [...world.nodes.values()]) {
      if (names(committed, node.nodeId)) continue;
      if (now - node.createdAt < RETIRE_ELECTION_TIMEOUTS * world.electionMs) continue;
      const isNamed = [...world.nodes.values()].some(
        (other) => other !== node && other.lastConfiguration && names(other.lastConfiguration, node.nodeId),
      );
      if (!isNamed) world.retire(node);
    }
  }
}

function names({ members }: Configuration, nodeId: NodeId): boolean {
  return members.some((member) => member.nodeId === nodeId);
}

function describe(changes: readonly MembershipChange[]): string {
  return changes
    .map((change) => `${change.type} ${change.type === 'add-learner' ? change.member.nodeId : change.nodeId}`)
    .join(', ');
}
