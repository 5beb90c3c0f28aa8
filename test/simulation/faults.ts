import { randomChance, randomInteger, randomItem, type SeededRandom } from '@concordat/foundation';
import type { Link } from '@concordat/messaging';
import { NO_FAULTS } from '@concordat/messaging/testing';
import { BackupRestorer } from './backup-restorer.js';
import { NODE_IDS } from './coordinator-node.js';
import { CALM_DATABASE } from '../support/modelled-database/modelled-database.js';
import { OTHER_CLUSTER, OtherCluster } from './other-cluster.js';
import { STREAM_FAULTS, type StreamFault } from './roads.js';
import type { World } from './world.js';

/** Everything that can go wrong; each seed draws some of it. */
const FAULT_CLASSES = [
  'raft-weather',
  'partition',
  'coordinator-crash',
  'all-coordinators-crash',
  'disk-failure',
  'slow-disk',
  'disk-full',
  'leadership-transfer',
  'pause',
  'failpoints',
  'participant-crash',
  'database-crash',
  'database-connections',
  'slow-database',
  'broker-down',
  'broker-weather',
  'rebalance',
  'restore-backup',
  'message-loss',
  'other-cluster',
  'clock-step',
] as const;

const CLOCK_STEPS_MS = [300, 4_000, 90_000, 3_600_000, 30 * 3_600_000];

/** The last: an operator's loss of data, so it is drawn apart from the others. */
export type FaultClass = (typeof FAULT_CLASSES)[number] | 'asynchronous-fail-over' | StreamFault;

/** An operator looks at what is left, everything else having ended. */
const ABSTENTION_ENDS_MS = 20_000;

export interface FaultPlan {
  readonly classes: ReadonlySet<FaultClass>;
  /** probability of a mishap of each class at each step */
  readonly intensity: number;
}

/** Swarm testing: many runs with a few kinds of faults find more than all kinds in each. */
export function drawFaultPlan(random: SeededRandom, calm: boolean, link: Link): FaultPlan {
  const share = randomChance(random, 0.3) ? 0.2 : randomChance(random, 0.5) ? 0.5 : 0.8;
  const drawn = FAULT_CLASSES.filter((name) => randomChance(random, name === 'message-loss' ? share / 3 : share));
  const intensity = randomItem(random, [0.03, 0.06, 0.12]);
  const failsOver = randomChance(random, share / 2) ? (['asynchronous-fail-over'] as const) : [];
  const ofStreams = link === 'kafka' ? [] : STREAM_FAULTS.filter(() => randomChance(random, share));
  return { classes: new Set<FaultClass>(calm ? [] : [...drawn, ...failsOver, ...ofStreams]), intensity };
}

/** Carries out a fault plan, step by step on the simulated clock, and heals everything at the end. */
export class FaultInjector {
  readonly counts: Record<string, number> = {};
  private healed = true;
  private faultyRound = 0;
  /** a later one replaces an earlier one, and is not ended by it */
  private partitions = 0;
  readonly backups: BackupRestorer;
  readonly otherCluster: OtherCluster;

  constructor(
    private readonly world: World,
    private readonly plan: FaultPlan,
    private readonly random: SeededRandom,
  ) {
    this.backups = new BackupRestorer(world, random.fork(), (minimumMs, maximumMs, action) =>
      this.later(minimumMs, maximumMs, action),
    );
    this.otherCluster = new OtherCluster(world, random.fork());
  }

  /** From now on things go wrong, until `heal`; may be started again after it. */
  start(): void {
    this.healed = false;
    this.faultyRound++;
    this.world.trace.event(`faults: ${[...this.plan.classes].join(' ')}`);
    if (this.plan.classes.size > 0) this.scheduleStep(this.faultyRound);
  }

  /** Everything works again, and whatever is down is started. */
  heal(): void {
    this.healed = true;
    const { world } = this;
    world.trace.event('healed');
    world.network.heal();
    world.network.setFaults({ minDelayMs: 1, maximumDelayMs: 2, loss: 0, duplication: 0, reordering: 0 });
    world.broker.setFaults(NO_FAULTS);
    world.broker.bringUp();
    world.roads.heal();
    world.maximumDiskDelayMs = 4;
    world.dice.probability = 0;
    for (const database of world.databases) {
      database.faults = CALM_DATABASE;
      database.forgetBackup();
      database.restart();
    }
    if (this.plan.classes.has('asynchronous-fail-over'))
      world.clock.setTimer(ABSTENTION_ENDS_MS, () => {
        for (const database of world.databases) database.endAbstention();
        world.checker.ballots.abstentionEnded();
      });
    for (const node of world.coordinators) node.freeDisk();
    for (const { machine } of [...world.coordinators, ...world.participants, ...world.databases]) machine.aheadMs = 0;
    for (const node of [...world.coordinators, ...world.participants]) {
      node.process?.resume();
      if (!node.process) node.boot();
    }
  }

  private scheduleStep(round: number): void {
    this.world.clock.setTimer(randomInteger(this.random, ...this.world.pace.faultIntervalMs), () => {
      if (this.healed || round !== this.faultyRound) return;
      for (const fault of this.plan.classes) if (randomChance(this.random, this.plan.intensity)) this.inject(fault);
      this.scheduleStep(round);
    });
  }

  /** After a while, given as of a storm, unless everything was healed before. */
  private later(minimumMs: number, maximumMs: number, action: () => void): void {
    const { faultyRound } = this;
    const delayMs = randomInteger(this.random, minimumMs, maximumMs) * this.world.pace.outageFactor;
    this.world.clock.setTimer(delayMs, () => {
      if (this.faultyRound === faultyRound && !this.healed) action();
    });
  }

  private inject(fault: FaultClass): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1;
    this.world.trace.event(`fault: ${fault}`);
    const { random, world } = this;
    switch (fault) {
      case 'raft-weather':
        return this.raftWeather();
      case 'partition':
        return this.partition();
      case 'coordinator-crash':
        return this.crash(randomItem(random, world.coordinators), 1, randomItem(random, [50, 500, 2_000]));
      case 'all-coordinators-crash':
        for (const node of world.coordinators) this.crash(node, 100, 1_500);
        return;
      case 'disk-failure':
        return randomItem(random, world.coordinators).breakDisk();
      case 'slow-disk':
        world.maximumDiskDelayMs = randomItem(random, [4, 40, 150]);
        return;
      case 'disk-full': {
        const node = randomItem(random, world.coordinators);
        node.fillDisk();
        return this.later(50, 3_000, () => node.freeDisk());
      }
      case 'leadership-transfer':
        return this.transferLeadership();
      case 'pause':
        return this.pause();
      case 'failpoints':
        world.dice.probability = randomItem(random, [0, 0.02, 0.1]);
        return;
      case 'participant-crash':
        return this.crash(randomItem(random, world.participants), 50, 2_000);
      case 'database-crash': {
        const database = randomItem(random, world.databases);
        database.crash();
        return this.later(50, 2_000, () => database.restart());
      }
      case 'asynchronous-fail-over': {
        const database = randomItem(random, world.databases);
        if (!database.isUp) return;
        database.failOver(randomInteger(random, 0, 6));
        database.crash();
        return this.later(50, 2_000, () => database.restart());
      }
      case 'database-connections':
        return this.breakConnections();
      case 'slow-database':
        for (const database of world.databases) {
          const maximumLatencyMs = randomItem(random, [2, 20, 200]);
          database.faults = { ...database.faults, maximumLatencyMs };
        }
        return;
      case 'stream-weather':
      case 'stream-break':
      case 'stream-swallow':
      case 'stream-block':
        return world.roads.inject(
          fault,
          world.pace.longestDelayMs,
          world.databases.map(({ name }) => name),
        );
      case 'broker-down':
        world.broker.takeDown();
        return this.later(50, 3_000, () => world.broker.bringUp());
      case 'broker-weather':
        return this.brokerWeather();
      case 'rebalance':
        return world.broker.expireSessions();
      case 'restore-backup':
        return this.backups.inject();
      case 'message-loss':
        return world.broker.setFaults({ lossProbability: randomChance(random, 0.5) ? 0.2 : 0 });
      case 'other-cluster':
        world.roads.knock(OTHER_CLUSTER, world.databases[0]!.name, world.clock, (isTakenIn) => {
          if (isTakenIn) world.checker.violate('a process of another cluster is taken in');
        });
        return this.otherCluster.speak();
      case 'clock-step':
        return this.stepClock();
    }
  }

  private crash(
    node: { readonly process: { readonly isAlive: boolean } | undefined; crash(): void; boot(): void },
    minimumMs: number,
    maximumMs: number,
  ): void {
    if (!node.process) return;
    node.crash();
    this.later(minimumMs, maximumMs, () => {
      if (!node.process) node.boot();
    });
  }

  /**
   * Somebody sets the clock of a machine, by seconds or hours, or sets it right. Not before the group is born: what a
   * majority of wrong clocks says then, nobody can know better.
   */
  private stepClock(): void {
    const { random, world } = this;
    if (!world.coordinators.some(({ log }) => log?.state.bornAt !== undefined)) return;
    const leader = world.coordinators.find(({ log }) => log?.leadership().epoch);
    const machines = [...world.coordinators, ...world.participants, ...world.databases];
    const { machine } = leader && randomChance(random, 0.3) ? leader : randomItem(random, machines);
    const sizeMs = randomItem(random, CLOCK_STEPS_MS);
    machine.aheadMs = randomChance(random, 0.3) ? 0 : randomChance(random, 0.5) ? sizeMs : -sizeMs;
    world.checker.clockSet();
    world.trace.event(`a clock is set to ${machine.aheadMs} ms`);
  }

  /** Asked of the leader as a rule; to any node, itself and those that are down among them. */
  private transferLeadership(): void {
    const { random, world } = this;
    const leader = world.coordinators.find(({ log }) => log?.leadership().epoch);
    const asked = leader && randomChance(random, 0.9) ? leader : randomItem(random, world.coordinators);
    asked.process?.enter(() => asked.handOver(randomItem(random, NODE_IDS)));
  }

  /** SIGSTOP of a process, often of the leader, and often for longer than an election takes. */
  private pause(): void {
    const { random, world } = this;
    const leader = world.coordinators.find(({ log }) => log?.leadership().epoch);
    const victim =
      leader && randomChance(random, 0.5) ? leader : randomItem(random, [...world.coordinators, ...world.participants]);
    const { process } = victim;
    if (!process) return;
    world.trace.event(`${process.name} is paused`);
    process.pause();
    this.later(20, 3_000, () => process.resume());
  }

  /** Cuts the group in two, often with the leader alone on its side, or one link in one direction. */
  private partition(): void {
    const { random, world } = this;
    world.network.heal();
    const leader = world.coordinators.find(({ log }) => log?.leadership().epoch);
    if (randomChance(random, 0.25)) {
      world.network.cutLink(randomItem(random, NODE_IDS), randomItem(random, NODE_IDS));
    } else {
      const alone = leader && randomChance(random, 0.6) ? [leader.nodeId] : undefined;
      const left = alone ?? NODE_IDS.filter(() => randomChance(random, 0.5));
      world.network.partition(
        left,
        NODE_IDS.filter((nodeId) => !left.includes(nodeId)),
      );
    }
    const partition = ++this.partitions;
    this.later(100, randomItem(random, [1_000, 3_000, 8_000]), () => {
      if (partition === this.partitions) world.network.heal();
    });
  }

  private raftWeather(): void {
    const { random } = this;
    const bad = randomChance(random, 0.6);
    this.world.network.setFaults({
      minDelayMs: 1,
      maximumDelayMs: bad ? randomInteger(random, 2, 80) : 2,
      loss: bad ? randomInteger(random, 0, 30) / 100 : 0,
      duplication: bad ? randomInteger(random, 0, 30) / 100 : 0,
      reordering: bad ? randomInteger(random, 0, 50) / 100 : 0,
    });
  }

  private brokerWeather(): void {
    const { random } = this;
    const bad = randomChance(random, 0.7);
    this.world.broker.setFaults({
      minimumDelayMs: 0,
      maximumDelayMs: bad ? randomItem(random, [5, 50, this.world.pace.longestDelayMs]) : 0,
      duplicationProbability: bad ? 0.15 : 0,
      lostAcknowledgementProbability: bad ? 0.1 : 0,
    });
  }

  private breakConnections(): void {
    const { random, world } = this;
    const bad = randomChance(random, 0.6);
    for (const database of world.databases) {
      database.breakConnections();
      database.faults = {
        ...database.faults,
        lossBefore: bad ? 0.03 : 0,
        lossAfter: bad ? 0.05 : 0,
        busy: bad ? 0.1 : 0,
      };
    }
  }
}
