import { randomChance, randomFraction, randomInteger, randomItem, type Random } from '@concordat/foundation';
import { isJoint } from '../core/membership/configuration.js';
import type { NodeId } from '../core/types.js';
import { NotLeaderError, TransferFailedError, TransferRefusedError } from '../driver/errors.js';
import { MembershipNemesis } from './membership-nemesis.js';
import { foulWeather, type FaultName } from './profile.js';
import { Scenarios } from './scenarios.js';
import { ProcessGoneError, type SimulatedNode } from './simulated-node.js';
import { Twins } from './twins.js';
import type { World } from './world.js';

/** With fewer voters the loss of one's data would be the loss of a majority's. */
const LEAST_VOTERS_FOR_ROT = 3;

/**
 * All faults, and all actions of operators. Draws the next one by the weights of the profile; each fault ends after a
 * time, and `cease` ends them all.
 */
export class Nemesis {
  readonly membership: MembershipNemesis;
  readonly counts = new Map<FaultName, number>();
  readonly transfers = { done: 0, failed: 0, refused: 0 };
  /** transfers without an answer */
  pendingTransfers = 0;
  private isActive = true;
  private readonly draws: readonly FaultName[];
  private readonly faults: Readonly<Record<FaultName, () => boolean>>;

  constructor(
    private readonly world: World,
    private readonly random: Random,
  ) {
    this.membership = new MembershipNemesis(world, random);
    this.draws = Object.entries(world.profile.weights).flatMap(([name, weight]) =>
      new Array<FaultName>(Math.round(weight * 10)).fill(name as FaultName),
    );
    const scenarios = new Scenarios(world, random, () => this.transfer());
    const twins = new Twins(world, random, () => this.transfer());
    this.faults = {
      crash: () => this.crash(this.anyNode()),
      'crash-leader': () => this.crash(world.leader()),
      'crash-all': () => this.crashAll(),
      stop: () => this.stop(this.anyNode()),
      partition: () => this.partition(),
      'isolate-leader': () => this.isolate(world.leader()),
      'cut-one-way': () => this.cutOneWay(),
      bridge: () => this.bridge(),
      weather: () => this.changeWeather(),
      pause: () => this.pause(this.leaderOrAny()),
      'slow-disk': () => this.slowDisk(this.leaderOrAny()),
      'disk-full': () => this.fillDisk(this.leaderOrAny()),
      'sync-error': () => this.failSync(this.leaderOrAny()),
      'bit-rot': () => this.rot(),
      transfer: () => this.transfer(),
      membership: () => this.membership.change(),
      'hand-over-and-cut': () => scenarios.handOverAndCut(),
      'restart-voters': () => scenarios.restartVoters(),
      'restart-twice': () => scenarios.restartTwice(),
      'late-answers': () => scenarios.lateAnswers(),
      'hung-disk': () => scenarios.hungDisk(),
      'narrow-link': () => scenarios.narrowLink(),
      wipe: () => this.wipe(),
      twin: () => twins.begin(),
    };
    world.checker.onElection = () => this.meetLeader();
    this.scheduleNext();
  }

  /** Sometimes a leader is asked for a change before it knows what is committed. */
  private meetLeader(): void {
    const { membership: weight } = this.world.profile.weights;
    if (this.isActive && randomChance(this.random, Math.min(0.5, weight / 20)))
      this.world.later(0, () => void this.membership.change());
  }

  /** Ends all faults. */
  cease(): void {
    const { world } = this;
    this.isActive = false;
    world.isCalm = true;
    world.network.heal();
    world.network.loseAll(); // old messages would keep arriving, and keep old leaders in office
    world.network.weather = world.profile.fairWeather;
    for (const twin of [...world.twins.values()]) world.endTwin(twin);
    for (const node of world.nodes.values()) {
      node.resume();
      node.disk.capacityBytes = Number.POSITIVE_INFINITY;
      node.disk.syncMs = world.profile.syncMs;
      node.disk.failingSyncs = 0;
      node.disk.recover();
      node.boot();
    }
    world.trace.event('everything is mended');
  }

  private scheduleNext(): void {
    const { faultIntervalMs } = this.world.profile;
    this.world.later(faultIntervalMs * 2 * randomFraction(this.random), () => {
      if (!this.isActive) return;
      this.scheduleNext();
      if (this.world.isStaging) return;
      const name = randomItem(this.random, this.draws);
      if (this.faults[name]()) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    });
  }

  private mend(meanElectionTimeouts: number, action: () => void): void {
    const durationMs = 2 * randomFraction(this.random) * meanElectionTimeouts * this.world.electionMs;
    this.world.later(durationMs, action);
  }

  private anyNode(): SimulatedNode | undefined {
    const nodes = this.world.upNodes();
    return nodes.length > 0 ? randomItem(this.random, nodes) : undefined;
  }

  private leaderOrAny(): SimulatedNode | undefined {
    return randomChance(this.random, 0.5) ? this.world.leader() : this.anyNode();
  }

  private note(text: string): true {
    this.world.trace.event(text);
    return true;
  }

  private crash(node: SimulatedNode | undefined): boolean {
    if (!node) return false;
    const losesPower = randomChance(this.random, 0.6);
    node.crash(losesPower);
    this.mend(randomItem(this.random, [0.2, 1, 4]), () => node.boot());
    return this.note(`node ${node.nodeId} ${losesPower ? 'loses power' : 'is killed'}`);
  }

  private crashAll(): boolean {
    for (const node of this.world.upNodes()) this.crash(node);
    return true;
  }

  private stop(node: SimulatedNode | undefined): boolean {
    if (!node || node.isStopping || node.isPaused) return false;
    const restart = (): void => this.mend(1, () => node.boot());
    node.stop().then(restart, (error: unknown) => this.world.violate(error));
    return this.note(`node ${node.nodeId} is asked to stop`);
  }

  private pause(node: SimulatedNode | undefined): boolean {
    if (!node) return false;
    node.pause();
    this.mend(randomItem(this.random, [0.5, 2, 4]), () => node.resume());
    return this.note(`node ${node.nodeId} is paused`);
  }

  private ids(): NodeId[] {
    return [...this.world.nodes.keys()];
  }

  private cutBetween(left: readonly NodeId[], right: readonly NodeId[], bothWays: boolean): void {
    const { network } = this.world;
    for (const from of left) {
      for (const to of right) {
        network.cutLink(from, to);
        if (bothWays) network.cutLink(to, from);
      }
    }
    this.mend(randomItem(this.random, [0.5, 2, 5]), () => network.heal());
  }

  private partition(): boolean {
    const left = this.ids().filter(() => randomChance(this.random, 0.5));
    const right = this.ids().filter((nodeId) => !left.includes(nodeId));
    this.cutBetween(left, right, true);
    return this.note(`partition: ${left.join()} | ${right.join()}`);
  }

  /** Alone, or with a minority of the others. */
  private isolate(node: SimulatedNode | undefined): boolean {
    if (!node) return false;
    const others = this.ids().filter((nodeId) => nodeId !== node.nodeId);
    const isAlone = randomChance(this.random, 0.5);
    const company = isAlone ? [] : others.filter(() => randomChance(this.random, 0.3));
    const left = [node.nodeId, ...company];
    this.cutBetween(
      left,
      others.filter((nodeId) => !company.includes(nodeId)),
      true,
    );
    return this.note(`the leader is cut off: ${left.join()}`);
  }

  private cutOneWay(): boolean {
    const ids = this.ids();
    const from = randomChance(this.random, 0.5)
      ? (this.world.leader()?.nodeId ?? ids[0]!)
      : randomItem(this.random, ids);
    const others = ids.filter((nodeId) => nodeId !== from && randomChance(this.random, 0.7));
    const isDeaf = randomChance(this.random, 0.5);
    if (isDeaf) this.cutBetween(others, [from], false);
    else this.cutBetween([from], others, false);
    return this.note(isDeaf ? `${from} does not hear ${others.join()}` : `${others.join()} do not hear ${from}`);
  }

  /** Two halves that only one node reaches. */
  private bridge(): boolean {
    const ids = this.ids();
    if (ids.length < 3) return false;
    const middle = randomItem(this.random, ids);
    const others = ids.filter((nodeId) => nodeId !== middle);
    const left = others.filter(() => randomChance(this.random, 0.5));
    const right = others.filter((nodeId) => !left.includes(nodeId));
    this.cutBetween(left, right, true);
    return this.note(`only ${middle} reaches both ${left.join()} and ${right.join()}`);
  }

  private changeWeather(): boolean {
    const { world } = this;
    world.network.weather = foulWeather(this.random, world.profile);
    this.mend(4, () => (world.network.weather = world.profile.fairWeather));
    return this.note('the weather changes');
  }

  private slowDisk(node: SimulatedNode | undefined): boolean {
    if (!node) return false;
    const { disk } = node;
    disk.syncMs = this.world.electionMs * randomItem(this.random, [0.3, 1, 2]);
    this.mend(4, () => (disk.syncMs = this.world.profile.syncMs));
    return this.note(`node ${node.nodeId} has a slow disk`);
  }

  private fillDisk(node: SimulatedNode | undefined): boolean {
    if (!node) return false;
    const { disk } = node;
    disk.capacityBytes = disk.usedBytes() + randomInteger(this.random, 0, this.world.profile.segmentSizeBytes);
    this.mend(6, () => (disk.capacityBytes = Number.POSITIVE_INFINITY));
    return this.note(`the disk of node ${node.nodeId} is full`);
  }

  private failSync(node: SimulatedNode | undefined): boolean {
    if (!node) return false;
    node.disk.failingSyncs = 1;
    return this.note(`a sync of node ${node.nodeId} will fail`);
  }

  /** A bit changes on a machine that is down for a moment. */
  private rot(): boolean {
    const node = this.anyNode();
    if (!node || !this.canLose()) return false;
    node.crash(true);
    const place = node.disk.rot();
    this.mend(0.5, () => node.boot());
    return this.note(`a bit rots on node ${node.nodeId}: ${place ?? 'nothing is there yet'}`);
  }

  /** A machine returns with an empty directory; not before the group has begun. */
  private wipe(): boolean {
    const { world } = this;
    const node = randomItem(this.random, [...world.nodes.values()]);
    if (world.checker.committedIndex === 0 || node.isLost) return false;
    if (!world.profile.isReckless && !this.canForget()) return false;
    node.wipe();
    this.mend(randomItem(this.random, [0.2, 1, 4]), () => node.boot());
    return this.note(`node ${node.nodeId} loses its directory`);
  }

  /** Whether all members have their rights, so that the group tolerates the loss of one's. */
  private canForget(): boolean {
    const { world } = this;
    const committed = world.committedConfiguration();
    const configurations = [...world.nodes.values()].map(({ lastConfiguration }) => lastConfiguration ?? committed);
    return (
      this.canLose() &&
      [committed, ...configurations].every(({ members }) =>
        members.every(({ nodeId, returning }) => {
          const node = world.nodes.get(nodeId);
          return !returning && node !== undefined && !node.isLost && node.hasRightsIn({ ...committed, members });
        }),
      )
    );
  }

  /** Whether the group tolerates the loss of one more node's data: all others have theirs, and none is leaving. */
  private canLose(): boolean {
    const { world, membership } = this;
    if (world.checker.committedIndex < 2) return false; // only one node may have recorded that there is a group
    if (membership.pending > 0 || [...world.nodes.values()].some(({ disk }) => disk.isRotten)) return false;
    const committed = world.committedConfiguration();
    return [...world.nodes.values()].every(({ lastConfiguration }) => {
      const configuration = lastConfiguration && lastConfiguration.voters.length > 0 ? lastConfiguration : committed;
      return !isJoint(configuration) && configuration.voters.length >= LEAST_VOTERS_FOR_ROT;
    });
  }

  private transfer(): boolean {
    const { world } = this;
    const leader = world.leader();
    if (!leader) return false;
    const target = randomItem(this.random, this.ids());
    this.pendingTransfers++;
    const answered = (outcome: keyof typeof this.transfers): void => {
      this.pendingTransfers--;
      this.transfers[outcome]++;
      world.trace.event(`the transfer to node ${target} is ${outcome}`);
    };
    leader
      .invoke((raft) => raft.transferLeadership(target))
      .then(
        () => answered('done'),
        (error: unknown) => {
          if (error instanceof TransferFailedError) return answered('failed');
          const isRefused = [TransferRefusedError, NotLeaderError, ProcessGoneError].some(
            (kind) => error instanceof kind,
          );
          if (!isRefused) throw error;
          answered('refused');
        },
      )
      .catch((error: unknown) => world.violate(error));
    return this.note(`node ${leader.nodeId} is asked to hand over to node ${target}`);
  }
}
