import { invariant, randomChance, randomFraction, randomItem, type Random } from '@concordat/foundation';
import type { SimulatedNode } from './simulated-node.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

/** How long a leader with a hung disk may lead, plus some ticks. */
const HUNG_LEADER_ELECTION_TIMEOUTS = 4;

/** Bytes per tick of a narrow link, a few times the growth of the log. */
const NARROW_BYTES_PER_TICK = 250;
/** Over a narrow link a follower has caught up within this many election timeouts; 20 were seen. */
const CATCH_UP_ELECTION_TIMEOUTS = 40;

/** Sequences of faults that chance alone seldom brings together: each is from a proof, or from an incident report. */
export class Scenarios {
  constructor(
    private readonly world: World,
    private readonly random: Random,
    private readonly transfer: () => boolean,
  ) {}

  /**
   * A leader asks another node to stand for election and is disconnected before it learns the result (thesis, 6.4.1).
   */
  handOverAndCut(): boolean {
    const { world } = this;
    const leader = world.leader();
    if (!leader || !this.transfer()) return false;
    const roundTripMs = 2 * world.network.weather.maximumDelayMs;
    world.later(randomFraction(this.random) * roundTripMs, () => this.cutOff(leader, 1));
    return true;
  }

  /**
   * A node long without a leader asks for votes just when all that still have the leader restart, and the leader is
   * disconnected: a vote now would break the lease of an earlier answer.
   */
  restartVoters(): boolean {
    const { world, random } = this;
    const leader = world.leader();
    const others = world.upNodes().filter((node) => node !== leader);
    if (!leader || others.length < 2) return false;
    const deaf = randomItem(random, others);
    world.readsOnly = true; // otherwise the deaf one would fall behind and get no votes
    world.trace.event(`node ${deaf.nodeId} will not hear the leader, and all others will begin anew`);
    world.later(0.3 * world.electionMs, () => this.cut(leader, deaf));
    world.later((1.5 + randomFraction(random)) * world.electionMs, () => {
      world.readsOnly = false;
      this.cutOff(leader, 1.5);
      for (const node of others) if (node !== deaf) this.restart(node, 0);
    });
    return true;
  }

  /**
   * A follower restarts twice, and asks the leader for reads each time; answers are late, and in the end its requests
   * are lost.
   */
  restartTwice(): boolean {
    const { world, random } = this;
    const leader = world.leader();
    const others = world.upNodes().filter((node) => node !== leader);
    if (!leader || others.length === 0) return false;
    const node = randomItem(random, others);
    const { electionMs, network } = world;
    network.weather = { ...network.weather, straggling: 0.8, straggleMs: 1.5 * electionMs };
    world.trace.event(`node ${node.nodeId} begins anew, and will again`);
    this.restart(node, 0);
    world.later((0.2 + randomFraction(random) / 2) * electionMs, () => {
      this.restart(node, 0);
      network.cutLink(node.nodeId, leader.nodeId);
      world.later(1.5 * electionMs, () => {
        network.heal();
        network.weather = world.profile.fairWeather;
      });
    });
    return true;
  }

  /**
   * Nodes stand for election while their leader is paused and so still believes that it leads. One of them has raised
   * its term; another has asked for pre-votes, and then hears the leader again and confirms its lease. Late messages of
   * that election arrive afterwards, and must not end the lease.
   */
  lateAnswers(): boolean {
    const { world } = this;
    const leader = world.leader();
    const others = world.upNodes().filter((node) => node !== leader);
    if (!leader || others.length < 2) return false;
    const { electionMs, network } = world;
    world.trace.event(`an election against node ${leader.nodeId} will be heard of late`);
    world.isStaging = true;
    world.readsOnly = true; // otherwise a rival falls behind those that hear the leader
    leader.pause();
    const late = { minDelayMs: 0.1 * electionMs, maximumDelayMs: 0.4 * electionMs };
    network.weather = { ...world.profile.fairWeather, ...late, straggling: 0.9, straggleMs: 3 * electionMs };
    const hasRisen = (node: SimulatedNode): boolean => (node.core?.term ?? 0) > (leader.core?.term ?? Infinity);
    const hasAsked = (node: SimulatedNode): boolean => node.core?.role === 'pre-candidate' && !hasRisen(node);
    this.whileLeading(leader, others, hasRisen, (rival) => {
      for (const node of others) if (node !== rival) this.cut(node, rival);
      this.whileLeading(leader, others, hasAsked, () =>
        world.later(2 * world.profile.tickMs, () => this.hearsAgain(leader, rival)),
      );
    });
    return true;
  }

  /**
   * The leader's disk hangs, without another fault: with a write in flight it may lead for some election timeouts, and
   * then another node must.
   */
  hungDisk(): boolean {
    const { world } = this;
    const leader = world.leader();
    if (!leader || leader.isStopping || !this.canDoWithout(leader)) return false;
    world.isStaging = true; // until the disk answers: a leader that is paused meanwhile counts no ticks
    this.mend(leader);
    world.trace.event(`the disk of node ${leader.nodeId} hangs`);
    leader.disk.hang();
    const hungMs = 10 * world.electionMs;
    world.later(hungMs, () => {
      leader.disk.recover();
      this.endStaging(leader);
    });
    this.expectSuccessor(leader, world.clock.monotonic() + hungMs);
    return true;
  }

  /**
   * A follower was away so long that only a snapshot helps, and its link is so narrow that the next snapshot is due
   * before it has this one. It hears its leader all the time, so it must catch up.
   */
  narrowLink(): boolean {
    const { world } = this;
    const leader = world.leader();
    const others = world.upNodes().filter((node) => node !== leader);
    if (!leader || others.length < 2) return false;
    const follower = randomItem(this.random, others);
    world.isStaging = true;
    world.trace.event(`node ${follower.nodeId} will be away until the log is compacted, and then behind a narrow link`);
    for (const other of world.nodes.values()) if (other !== follower) this.cut(other, follower);
    const isCompacted = ({ core }: SimulatedNode): boolean =>
      (core?.inspect().startIndex ?? 0) > follower.core!.lastIndex;
    this.whileLeading(leader, [leader], isCompacted, () => {
      world.network.heal();
      world.network.narrowLink(leader.nodeId, follower.nodeId, world.profile.tickMs / NARROW_BYTES_PER_TICK);
      world.trace.event(`node ${follower.nodeId} is back, behind a narrow link`);
      this.expectCatchUp(leader, follower, leader.core!.commitIndex);
    });
    return true;
  }

  /** @throws Violation when the follower has not caught up in time */
  private expectCatchUp(leader: SimulatedNode, follower: SimulatedNode, index: number): void {
    const { world } = this;
    const until = world.clock.monotonic() + CATCH_UP_ELECTION_TIMEOUTS * world.electionMs;
    const hasCaughtUp = ({ core }: SimulatedNode): boolean => core!.commitIndex >= index;
    const isThere = (): boolean => hasCaughtUp(follower) || world.clock.monotonic() > until;
    this.whileLeading(leader, [follower], isThere, () => {
      if (!hasCaughtUp(follower))
        throw new Violation(
          'liveness',
          `node ${follower.nodeId} hears its leader and never catches up over a narrow link`,
        );
      world.trace.event(`node ${follower.nodeId} has caught up`);
      this.endStaging(leader);
    });
  }

  /**
   * @param until when the disk answers again; later checks belong to no hang, or to another
   * @throws Violation when it leads some election timeouts after the begin of a write
   */
  private expectSuccessor(old: SimulatedNode, until: number): void {
    const { world } = this;
    const { core } = old;
    const isOver = (): boolean => world.isCalm || world.clock.monotonic() >= until;
    if (!core || isOver()) return;
    const { persistedIndex, lastIndex } = core.inspect();
    if (persistedIndex === lastIndex) return world.later(world.profile.tickMs, () => this.expectSuccessor(old, until));
    world.later(HUNG_LEADER_ELECTION_TIMEOUTS * world.electionMs, () => {
      if (isOver() || old.core !== core || core.role !== 'leader') return;
      // A sync that had begun before may have returned; then the count began with the next write.
      if (core.inspect().persistedIndex > persistedIndex) return this.expectSuccessor(old, until);
      invariant(!old.isPaused, 'nothing but the disk is wrong with the leader while its disk hangs');
      throw new Violation('liveness', `node ${old.nodeId} leads with a disk that does not answer`);
    });
  }

  /** Whether the others are a healthy quorum. */
  private canDoWithout(leader: SimulatedNode): boolean {
    const { world } = this;
    const { voters, outgoing } = world.committedConfiguration();
    const isWell = (node: SimulatedNode | undefined): boolean =>
      node !== undefined && node !== leader && node.isUp && !node.isPaused && node.disk.isWell(world.profile.syncMs);
    const count = voters.filter((nodeId) => isWell(world.nodes.get(nodeId))).length;
    return outgoing.length === 0 && count > voters.length / 2;
  }

  private hearsAgain(leader: SimulatedNode, rival: SimulatedNode): void {
    const { world } = this;
    leader.resume();
    world.network.heal();
    world.network.weather = world.profile.fairWeather;
    for (const node of world.nodes.values()) if (node !== rival) this.cut(node, rival);
    const asksAnew = ({ core }: SimulatedNode): boolean => core?.role === 'pre-candidate';
    this.whileLeading(leader, [rival], asksAnew, () => {
      this.endStaging(leader);
      this.cutOff(leader, 1.5);
    });
  }

  private mend(leader: SimulatedNode): void {
    const { world } = this;
    leader.resume();
    world.network.heal();
    world.network.weather = world.profile.fairWeather;
    world.readsOnly = false;
  }

  /** Ends all faults; after a while others may come again. */
  private endStaging(leader: SimulatedNode): void {
    const { world } = this;
    this.mend(leader);
    world.later(2 * world.electionMs, () => (world.isStaging = false));
  }

  /** Waits until one of them has come so far, checking four times per tick; ends when the leader no longer leads. */
  private whileLeading(
    leader: SimulatedNode,
    others: readonly SimulatedNode[],
    isThere: (node: SimulatedNode) => boolean,
    then: (node: SimulatedNode) => void,
  ): void {
    if (this.world.isCalm || leader.core?.role !== 'leader') return this.endStaging(leader);
    const first = others.find(isThere);
    if (first) return then(first);
    this.world.later(this.world.profile.tickMs / 4, () => this.whileLeading(leader, others, isThere, then));
  }

  private restart(node: SimulatedNode, delayMs: number): void {
    node.crash(randomChance(this.random, 0.5));
    this.world.later(delayMs, () => node.boot());
  }

  private cut(left: SimulatedNode, right: SimulatedNode): void {
    this.world.network.cutLink(left.nodeId, right.nodeId);
    this.world.network.cutLink(right.nodeId, left.nodeId);
  }

  /** From all others, for this many election timeouts. */
  private cutOff(node: SimulatedNode, electionTimeouts: number): void {
    const { world } = this;
    for (const other of world.nodes.values()) if (other !== node) this.cut(node, other);
    world.trace.event(`node ${node.nodeId} is cut off`);
    world.later(electionTimeouts * world.electionMs, () => world.network.heal());
  }
}
