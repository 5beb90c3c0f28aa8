import { randomChance, randomFraction, randomItem, type Random } from '@concordat/foundation';
import { isJoint } from '../core/membership/configuration.js';
import { SimulatedDisk } from './simulated-disk.js';
import type { SimulatedNode } from './simulated-node.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

/** With fewer voters a copy of one would be alone with at most one other. */
const LEAST_VOTERS_FOR_COPY = 3;
/** How long the two run side by side while elections go on around them. */
const TROUBLE_ELECTION_TIMEOUTS = 10;
/** … and then without faults, within which a copy must notice that it is one. */
const PEACE_ELECTION_TIMEOUTS = 8;

/**
 * Two processes with one id: the second one on a directory of its own (an old machine, or a wrong setting), or on an
 * older copy of the first one's (a backup restored elsewhere, a cloned machine). Both reach all nodes, messages to
 * their id reach one of them or both, and elections go on around them. The first process is connected to all others
 * when a copy starts, and stays so, as the guarantee for copies requires.
 */
export class Twins {
  constructor(
    private readonly world: World,
    private readonly random: Random,
    private readonly transfer: () => boolean,
  ) {}

  begin(): boolean {
    const { world, random } = this;
    if (!world.leader() || !this.isQuiet()) return false;
    const original = randomItem(random, [...world.nodes.values()]);
    const isCopy = randomChance(random, 0.6);
    if (isCopy && world.committedConfiguration().voters.length < LEAST_VOTERS_FOR_COPY) return false;
    world.isStaging = true;
    const disk = isCopy ? original.disk.copy() : this.emptyDisk();
    world.trace.event(
      `node ${original.nodeId} will get a second process on ${isCopy ? 'a copy' : 'a disk of its own'}`,
    );
    const { electionMs } = world;
    world.later(randomItem(random, [0, 2, 6]) * randomFraction(random) * electionMs, () => {
      if (world.isCalm) return;
      const twin = world.startTwin(original, disk, randomChance(random, 0.5));
      if (!isCopy) original.wasWiped = true; // the other one may get its rights
      this.keepCalling(twin);
      this.trouble(original, isCopy, world.clock.monotonic() + TROUBLE_ELECTION_TIMEOUTS * electionMs);
      world.later(TROUBLE_ELECTION_TIMEOUTS * electionMs, () => this.peace(twin, isCopy));
    });
    return true;
  }

  private emptyDisk(): SimulatedDisk {
    const disk = new SimulatedDisk(this.world.clock, this.random);
    disk.syncMs = this.world.profile.syncMs;
    return disk;
  }

  /** All nodes are up and healthy, and have their rights. */
  private isQuiet(): boolean {
    const { world } = this;
    const committed = world.committedConfiguration();
    if (isJoint(committed) || world.checker.committedIndex < 2) return false;
    return [...world.nodes.values()].every((node) => {
      const isWell = node.isUp && !node.isPaused && !node.isStopping && node.disk.isWell(world.profile.syncMs);
      return isWell && node.hasRightsIn(committed) && node.hasRightsIn(node.lastConfiguration ?? committed);
    });
  }

  /** Its streams are opened again and again. */
  private keepCalling(twin: SimulatedNode): void {
    const { world } = this;
    if (!world.twins.has(twin.nodeId)) return;
    for (const other of world.nodes.values())
      if (other.nodeId !== twin.nodeId && !world.network.isCut(twin.nodeId, other.nodeId)) twin.call(other);
    world.later(world.profile.tickMs, () => this.keepCalling(twin));
  }

  /** Leaders change, and nodes hear only some of the others. */
  private trouble(original: SimulatedNode, isCopy: boolean, until: number): void {
    const { world, random } = this;
    const { electionMs } = world;
    if (world.isCalm || world.clock.monotonic() >= until) return;
    const troubles = [() => this.isolateLeader(), () => this.bridge(original), () => void this.transfer()];
    if (!isCopy) troubles.push(() => this.restart(original));
    randomItem(random, troubles)();
    world.later((0.5 + 2 * randomFraction(random)) * electionMs, () => this.trouble(original, isCopy, until));
  }

  private isolateLeader(): void {
    const leader = this.world.leader();
    if (!leader) return;
    this.world.trace.event(`node ${leader.nodeId} is cut off from the others`);
    this.cutBetween(
      [leader],
      [...this.world.nodes.values()].filter((node) => node !== leader),
    );
  }

  /** Two halves that only the doubtful id reaches. */
  private bridge(original: SimulatedNode): void {
    const others = [...this.world.nodes.values()].filter((node) => node !== original);
    const left = others.filter(() => randomChance(this.random, 0.5));
    const right = others.filter((node) => !left.includes(node));
    const ids = (nodes: readonly SimulatedNode[]): string => nodes.map(({ nodeId }) => nodeId).join();
    this.world.trace.event(`only ${original.nodeId} reaches both ${ids(left)} and ${ids(right)}`);
    this.cutBetween(left, right);
  }

  private restart(node: SimulatedNode): void {
    const { world, random } = this;
    world.trace.event(`node ${node.nodeId} is killed`);
    node.crash(randomChance(random, 0.5));
    world.later(3 * randomFraction(random) * world.electionMs, () => node.boot());
  }

  private cutBetween(left: readonly SimulatedNode[], right: readonly SimulatedNode[]): void {
    const { network, electionMs } = this.world;
    for (const one of left) {
      for (const other of right) {
        network.cutLink(one.nodeId, other.nodeId);
        network.cutLink(other.nodeId, one.nodeId);
      }
    }
    this.world.later((0.5 + 2 * randomFraction(this.random)) * electionMs, () => network.heal());
  }

  private peace(twin: SimulatedNode, isCopy: boolean): void {
    const { world } = this;
    const { electionMs } = world;
    world.later(PEACE_ELECTION_TIMEOUTS * electionMs, () => {
      const isUnnoticed = isCopy && twin.isUp && world.twins.has(twin.nodeId);
      if (isUnnoticed && !world.isCalm)
        throw new Violation('liveness', `the second node ${twin.nodeId}, on a copy, is never told that it is one`);
      world.endTwin(twin);
      world.later(4 * electionMs, () => (world.isStaging = false));
    });
  }
}
