import { SeededRandom, VirtualClock, randomInteger } from '@concordat/foundation';
import { MemoryBroker } from '@concordat/messaging/testing';
import { MemoryNetwork } from '@concordat/raft/testing';
import { DEFAULT_TRANSACTION_OPTIONS } from '../../apps/coordinator/src/index.js';
import { Checker } from './checker.js';
import { CrashDice } from './crash-dice.js';
import { CoordinatorNode, NODE_IDS } from './coordinator-node.js';
import { ModelledDatabase } from '../support/modelled-database/modelled-database.js';
import type { Pace } from './pace.js';
import { ParticipantNode } from './participant-node.js';
import { databaseLies, type Sabotage } from './sabotage.js';
import { linkOf, Roads } from './roads.js';
import { Trace } from '@concordat/foundation/testing';

export const PARTICIPANTS = ['bank-a', 'bank-b', 'bank-c'] as const;
export const ACCOUNTS: readonly string[] = ['acc-0', 'acc-1', 'acc-2', 'acc-3', 'acc-4', 'acc-5'];
export const OPENING_BALANCE = 1_000;

export interface WorldOptions {
  readonly seed: number;
  readonly pace: Pace;
  readonly sabotage?: Sabotage;
  /** where the lines of the trace go */
  readonly print?: (line: string) => void;
}

/** The whole system in one process: three coordinators, three participants with databases, broker and network. */
export class World {
  readonly clock = new VirtualClock();
  readonly pace: Pace;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly checker: Checker;
  readonly dice: CrashDice;
  readonly network: MemoryNetwork;
  readonly broker: MemoryBroker;
  readonly roads: Roads;
  readonly coordinators: readonly CoordinatorNode[];
  readonly databases: readonly ModelledDatabase[];
  readonly participants: readonly ParticipantNode[];
  /** how long a write of a coordinator's disk takes at most, in milliseconds */
  maximumDiskDelayMs = 4;

  constructor({ seed, pace, sabotage, print }: WorldOptions) {
    const { clock } = this;
    this.pace = pace;
    this.random = new SeededRandom(seed);
    this.trace = new Trace(() => clock.monotonic(), print);
    const { retentionMs = DEFAULT_TRANSACTION_OPTIONS.retentionMs } = pace.coordinator;
    this.checker = new Checker(this.trace, { comparedEvery: pace.comparedEvery, retentionMs }, (index) =>
      this.isDurable(index),
    );
    this.dice = new CrashDice(this.random.fork(), (name, action) => {
      this.trace.event(`failpoint ${name}: ${action}`);
    });
    this.network = new MemoryNetwork({ clock, random: this.random.fork() });
    const { sessionTimeoutMs } = pace;
    this.broker = new MemoryBroker({ clock, random: this.random.fork(), partitions: 2, sessionTimeoutMs });
    this.roads = new Roads(linkOf(seed), clock, this.broker, seed);
    const snapshotAfterBytes = randomInteger(this.random, 4, 40) * 1_000;
    const diskRandom = this.random.fork();
    this.coordinators = NODE_IDS.map(
      (nodeId) =>
        new CoordinatorNode(nodeId, {
          clock,
          pace,
          random: this.random.fork(),
          network: this.network,
          roads: this.roads,
          checker: this.checker,
          dice: this.dice,
          diskDelayMs: () => randomInteger(diskRandom, 0, this.maximumDiskDelayMs),
          snapshotAfterBytes,
          sabotage,
          group: () => this.coordinators,
        }),
    );
    this.databases = PARTICIPANTS.map((name) => this.createDatabase(name, sabotage));
    this.participants = this.databases.flatMap((database) => {
      const instances = randomInteger(this.random, 1, 4) === 1 ? [1, 2] : [1];
      return instances.map(
        (instance) =>
          new ParticipantNode(database.name, instance, database, {
            clock,
            pace,
            random: this.random.fork(),
            roads: this.roads,
            checker: this.checker,
            dice: this.dice,
            sabotage,
          }),
      );
    });
    this.network.observe((message) =>
      this.trace.event(`raft ${message.type} ${message.from}>${message.to} t${message.term}`),
    );
  }

  boot(): void {
    for (const node of [...this.coordinators, ...this.participants]) node.boot();
  }

  /**
   * Lets the time go on until `done` says so or the time is over. Between two timers everything that follows from
   * the first runs to its end.
   *
   * @returns what `done` said last
   * @throws Violation as soon as a rule is broken
   */
  async runUntil(done: () => boolean, maximumMs: number): Promise<boolean> {
    const until = this.clock.monotonic() + maximumMs;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve)); // every microtask runs before it
      if (this.checker.failure) throw this.checker.failure;
      if (done()) return true;
      const due = this.clock.nextDueAt();
      if (due === undefined || due > until) return false;
      try {
        this.clock.fireNext();
      } catch (error) {
        this.checker.violate(`a timer threw: ${error instanceof Error ? error.stack : String(error)}`);
      }
    }
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(delayMs, resolve));
  }

  private createDatabase(name: string, sabotage: Sabotage | undefined): ModelledDatabase {
    const database = new ModelledDatabase(name, this.clock, this.random.fork(), this.checker, databaseLies(sabotage));
    for (const account of ACCOUNTS) database.balances.set(account, OPENING_BALANCE);
    return database;
  }

  /** What is committed must lie on a majority of disks, in a log or under a snapshot. */
  private isDurable(index: number): boolean {
    const copies = new Map<number, number>();
    let covered = 0;
    for (const { storage } of this.coordinators) {
      const { snapshot, entries } = storage.stored();
      if ((snapshot?.metadata.index ?? 0) >= index) covered++;
      else {
        const entry = entries[index - (entries[0]?.index ?? 0)];
        if (entry?.index === index) copies.set(entry.term, (copies.get(entry.term) ?? 0) + 1);
      }
    }
    const majority = Math.floor(NODE_IDS.length / 2) + 1;
    return covered + Math.max(0, ...copies.values()) >= majority;
  }
}
