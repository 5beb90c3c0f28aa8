import { SeededRandom, VirtualClock, invariant, randomChance, randomInteger, randomItem } from '@concordat/foundation';
import { memberOf } from '../../core/configuration.js';
import type { Entry, NodeId } from '../../core/types.js';
import { NotLeaderError, ProposalDroppedError } from '../errors.js';
import { MemoryNetwork } from '../memory-network.js';
import { MemoryStorage } from '../memory-storage.js';
import type { StateMachine } from '../ports.js';
import { RaftNode } from '../raft-node.js';

const TICK_MS = 10;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a run did, for the test's own sanity: a simulation in which nothing happens proves nothing. */
export interface SimulationReport {
  readonly committed: number;
  readonly crashes: number;
  readonly partitions: number;
  readonly snapshotsInstalled: number;
  readonly leaders: number;
  readonly reads: number;
  /** of everything that was applied anywhere, in order: equal for equal seeds */
  readonly fingerprint: number;
}

/** The command applied at every index, as first seen on any node: the one history all must agree with. */
class History {
  readonly commands = new Map<number, string>();
  lastIndex = 0;
  fingerprint = 0;

  /** State machine safety: no two nodes ever apply different commands at one index. */
  applied(index: number, term: number, command: string): void {
    const record = `${term}:${command}`;
    const known = this.commands.get(index);
    invariant(known === undefined || known === record, `index ${index} is applied alike everywhere`);
    this.commands.set(index, record);
    this.lastIndex = Math.max(this.lastIndex, index);
    for (const code of [index, term]) this.fingerprint = (Math.imul(this.fingerprint, 31) + code) | 0;
  }
}

/** A list of every applied command; a snapshot is the list. */
class ListMachine implements StateMachine<number> {
  items: string[] = [];
  private lastIndex = 0;

  constructor(
    private readonly history: History,
    private readonly onRestore: () => void,
  ) {}

  apply(command: Uint8Array, index: number, term: number): number {
    invariant(index > this.lastIndex, 'indexes are applied in order');
    this.lastIndex = index;
    const item = decoder.decode(command);
    this.history.applied(index, term, item);
    return this.items.push(item);
  }

  takeSnapshot(): Uint8Array {
    return encoder.encode(JSON.stringify(this.items));
  }

  restoreSnapshot(data: Uint8Array, metadata: { readonly index: number }): void {
    const items = JSON.parse(decoder.decode(data)) as string[];
    invariant(
      this.items.every((item, position) => items[position] === item),
      'a snapshot continues what was applied before',
    );
    this.items = items;
    this.lastIndex = metadata.index;
    this.onRestore();
  }
}

interface Member {
  readonly nodeId: NodeId;
  readonly storage: MemoryStorage;
  node: RaftNode<number> | undefined;
  machine: ListMachine;
}

/**
 * A whole group in one process, driven by one seed: real nodes on a network that loses, delays, doubles and
 * reorders, on disks that lose or keep the write in flight when they crash. Checked all along: election safety,
 * state machine safety, reads; at the end: log matching, leader completeness, no committed proposal lost,
 * none twice, and progress once everything is healed.
 */
export class ClusterSimulation {
  private readonly clock = new VirtualClock();
  private readonly random: SeededRandom;
  private readonly network: MemoryNetwork;
  private readonly members: Member[] = [];
  private readonly voters: NodeId[];
  private readonly history = new History();
  private readonly leaderOfTerm = new Map<number, NodeId>();
  /** acknowledged proposals, by command */
  private readonly committed = new Map<string, number>();
  private readonly dropped = new Set<string>();
  private readonly counts = { crashes: 0, partitions: 0, snapshotsInstalled: 0, reads: 0 };
  private proposed = 0;
  private violation: Error | undefined;

  constructor(seed: number, size: number) {
    this.random = new SeededRandom(seed);
    this.network = new MemoryNetwork({ clock: this.clock, random: this.random.fork() });
    this.voters = Array.from({ length: size }, (_, position) => position + 1);
    for (const nodeId of this.voters) {
      const delays = this.random.fork();
      const storage = new MemoryStorage({ clock: this.clock, delayMs: () => randomInteger(delays, 0, 8) });
      this.members.push({ nodeId, storage, node: undefined, machine: this.newMachine() });
    }
  }

  async run(faultyMs = 6_000): Promise<SimulationReport> {
    for (const member of this.members) this.boot(member);
    const until = this.clock.monotonic() + faultyMs;
    while (this.clock.monotonic() < until) {
      this.mishap();
      await this.advance(randomInteger(this.random, 20, 200));
    }
    await this.heal();
    await this.checkLiveness();
    this.checkEnd();
    return {
      ...this.counts,
      committed: this.committed.size,
      leaders: this.leaderOfTerm.size,
      fingerprint: this.history.fingerprint,
    };
  }

  // --- the world

  private newMachine(): ListMachine {
    return new ListMachine(this.history, () => void this.counts.snapshotsInstalled++);
  }

  private boot(member: Member): void {
    member.machine = this.newMachine();
    const node = new RaftNode<number>({
      nodeId: member.nodeId,
      members: this.voters.map((voter) => memberOf(voter)),
      storage: member.storage,
      transport: this.network.transport(member.nodeId),
      stateMachine: member.machine,
      clock: this.clock,
      random: this.random.fork(),
      tickMs: TICK_MS,
      snapshotAfterBytes: 800,
      onFatal: (error) => this.violate(error),
    });
    member.node = node;
    node.onStatusChange(({ role, term }) => {
      if (role === 'leader') this.elected(member.nodeId, term);
    });
    node.start().catch((error: unknown) => this.violate(error));
  }

  /** Election safety: one leader per term. */
  private elected(nodeId: NodeId, term: number): void {
    const known = this.leaderOfTerm.get(term);
    if (known !== undefined && known !== nodeId)
      this.violate(new Error(`nodes ${known} and ${nodeId} lead term ${term}`));
    this.leaderOfTerm.set(term, nodeId);
  }

  private violate(error: unknown): void {
    this.violation ??= error instanceof Error ? error : new Error(String(error));
  }

  private async advance(durationMs: number): Promise<void> {
    const until = this.clock.monotonic() + durationMs;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve)); // all microtasks run first
      if (this.violation) throw this.violation;
      const due = this.clock.nextDueAt();
      if (due === undefined || due > until) break;
      // Timers of one instant stand for one turn of the event loop; the order of firing is the clock's.
      while (this.clock.nextDueAt() === due) this.clock.fireNext();
    }
    this.clock.advance(until - this.clock.monotonic());
  }

  private mishap(): void {
    const { random } = this;
    for (let proposals = randomInteger(random, 0, 6); proposals > 0; proposals--) this.propose();
    if (randomChance(random, 0.4)) this.read();
    if (randomChance(random, 0.15)) this.crash(randomItem(random, this.members));
    if (randomChance(random, 0.02)) for (const member of this.members) this.crash(member);
    if (randomChance(random, 0.5)) this.restartOne();
    if (randomChance(random, 0.12)) this.partition();
    if (randomChance(random, 0.25)) this.network.heal();
    if (randomChance(random, 0.03)) this.stopLeader();
    if (randomChance(random, 0.1)) this.changeWeather();
  }

  private changeWeather(): void {
    const { random } = this;
    const bad = randomChance(random, 0.5);
    this.network.setFaults({
      minDelayMs: 1,
      maxDelayMs: bad ? randomInteger(random, 2, 60) : 2,
      loss: bad ? randomInteger(random, 0, 30) / 100 : 0,
      duplication: bad ? randomInteger(random, 0, 30) / 100 : 0,
      reordering: bad ? randomInteger(random, 0, 50) / 100 : 0,
    });
  }

  private crash(member: Member): void {
    if (!member.node) return;
    this.counts.crashes++;
    member.node.kill();
    member.node = undefined;
    this.network.detach(member.nodeId);
    member.storage.crash(randomChance(this.random, 0.5));
  }

  private restartOne(): void {
    const down = this.members.filter(({ node }) => !node);
    if (down.length > 0) this.boot(randomItem(this.random, down));
  }

  private partition(): void {
    this.counts.partitions++;
    const left = this.voters.filter(() => randomChance(this.random, 0.5));
    this.network.partition(
      left,
      this.voters.filter((voter) => !left.includes(voter)),
    );
    if (randomChance(this.random, 0.3)) {
      this.network.heal();
      this.network.cutLink(randomItem(this.random, this.voters), randomItem(this.random, this.voters));
    }
  }

  /** A clean stop; the machine goes down with it. */
  private stopLeader(): void {
    const member = this.members.find(({ node }) => node?.status().role === 'leader');
    if (!member?.node) return;
    const { node } = member;
    void node.stop().then(
      () => {
        if (member.node === node) member.node = undefined;
      },
      (error: unknown) => this.violate(error),
    );
  }

  // --- the users

  private leaders(): Member[] {
    return this.members.filter(({ node }) => node?.status().role === 'leader');
  }

  private propose(): void {
    const leaders = this.leaders();
    const member = leaders.length > 0 ? randomItem(this.random, leaders) : randomItem(this.random, this.members);
    const command = `command ${++this.proposed}`;
    member.node?.propose(encoder.encode(command)).then(
      ({ index }) => void this.committed.set(command, index),
      (error: unknown) => {
        if (error instanceof NotLeaderError || error instanceof ProposalDroppedError) this.dropped.add(command);
      },
    );
  }

  /** A linearizable read: what was applied anywhere before it began is there when it ends. */
  private read(): void {
    const leaders = this.leaders();
    if (leaders.length === 0) return;
    const { node } = randomItem(this.random, leaders);
    const before = this.history.lastIndex;
    node?.confirmLeadership().then(
      () => {
        this.counts.reads++;
        const { appliedIndex } = node.status();
        if (appliedIndex < before) this.violate(new Error(`a read at ${appliedIndex} missed index ${before}`));
      },
      () => undefined, // not leading: nothing was promised
    );
  }

  // --- the end

  private async heal(): Promise<void> {
    this.network.heal();
    this.network.setFaults({ minDelayMs: 1, maxDelayMs: 2, loss: 0, duplication: 0, reordering: 0 });
    await this.advance(400); // stops under way end
    for (const member of this.members) if (!member.node) this.boot(member);
  }

  /** Within ten seconds of calm, somebody leads, commits a new proposal, and everybody has applied it. */
  private async checkLiveness(): Promise<void> {
    for (let waited = 0; waited < 10_000; waited += 50) {
      if (this.isSettled()) return;
      if (waited % 500 === 0) this.propose();
      await this.advance(50);
    }
    throw new Error('the healed group does not settle');
  }

  private isSettled(): boolean {
    const leader = this.members.find(({ node }) => node?.status().leaderReady);
    if (!leader || !this.committed.has(`command ${this.proposed}`)) return false;
    const { term, lastIndex } = leader.node!.status();
    return this.members.every(({ node }) => {
      const status = node?.status();
      return status?.term === term && status.appliedIndex === lastIndex && status.lastIndex === lastIndex;
    });
  }

  private checkEnd(): void {
    const [first, ...others] = this.members;
    const items = first!.machine.items;
    for (const { machine, nodeId } of others) {
      invariant(
        machine.items.length === items.length && machine.items.every((item, position) => item === items[position]),
        `node ${nodeId} comes to the same state as node ${first!.nodeId}`,
      );
    }
    const seen = new Set(items);
    invariant(seen.size === items.length, 'nothing is applied twice');
    for (const command of this.committed.keys())
      invariant(seen.has(command), `${command} was acknowledged and is there`);
    for (const command of this.dropped) invariant(!seen.has(command), `${command} was dropped and never came`);
    this.checkLogs();
  }

  /** Log matching on what is on the disks: same index, same entry, in the order of terms. */
  private checkLogs(): void {
    const byIndex = new Map<number, Entry>();
    for (const { storage } of this.members) {
      let term = 0;
      for (const entry of storage.stored().entries) {
        const known = byIndex.get(entry.index);
        invariant(!known || known.term === entry.term, `index ${entry.index} is stored alike everywhere`);
        invariant(entry.term >= term, 'terms rise along the log');
        byIndex.set(entry.index, entry);
        term = entry.term;
      }
    }
  }
}
