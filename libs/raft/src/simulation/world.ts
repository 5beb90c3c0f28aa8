import { SeededRandom, VirtualClock } from '@concordat/foundation';
import { Trace } from '@concordat/foundation/testing';
import { memberOf, votersOnly } from '../core/membership/configuration.js';
import type { Configuration, Member, NodeId } from '../core/types.js';
import { SecondProcessError } from '../driver/errors.js';
import { LogCorruptedError, StorageFailedError } from '../storage/errors.js';
import { ClusterChecker } from './cluster-checker.js';
import { Ledger } from './ledger.js';
import type { Profile } from './profile.js';
import type { SimulatedDisk } from './simulated-disk.js';
import { SimulatedNetwork } from './simulated-network.js';
import { SimulatedNode, type NodeSurroundings } from './simulated-node.js';
import { Violation } from './violation.js';

/** Downtime of a machine after a failed or full disk, in election timeouts. */
const REPAIR_ELECTION_TIMEOUTS = 2;

/**
 * A whole run on one clock: machines, the network between them, the checkers. One event of the clock is one step, with
 * everything that follows from it at the same time; then the nodes concerned are checked.
 */
export class World implements NodeSurroundings {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly ledger = new Ledger();
  readonly checker = new ClusterChecker();
  readonly network: SimulatedNetwork;
  /** by id; retired machines are removed */
  readonly nodes = new Map<NodeId, SimulatedNode>();
  /** second processes with the id of a node */
  readonly twins = new Map<NodeId, SimulatedNode>();
  /** ids with two processes, now or before */
  private readonly twinned = new Set<NodeId>();
  readonly counts = new Map<string, number>();
  private readonly dirty = new Set<SimulatedNode>();
  private readonly founders: Member[] = [];
  private nextNodeId = 1;
  private violation: Violation | undefined;
  steps = 0;
  /** one fault of several steps is in progress, which others would disturb */
  isStaging = false;
  /** no more faults: unfinished ones stop where they are */
  isCalm = false;
  /** clients only read for the moment */
  readsOnly = false;

  constructor(
    seed: number,
    readonly profile: Profile,
    print?: (line: string) => void,
  ) {
    this.random = new SeededRandom(seed);
    this.trace = new Trace(() => this.clock.monotonic(), print);
    const { trace } = this;
    this.checker.leaseHolderBefore = (term) =>
      this.upNodes().find((node) => (node.core?.term ?? term) < term && node.holdsLease())?.nodeId;
    this.network = new SimulatedNetwork(
      this.clock,
      this.random.fork(),
      profile.fairWeather,
      this.electionMs,
      (message) => trace.line(() => `  ${message.from} > ${message.to} ${JSON.stringify(message, withoutData)}`),
    );
  }

  /** The shortest time without a leader after which a node stands for election, on the slowest clock. */
  get electionMs(): number {
    return this.profile.electionTicks * this.profile.tickMs;
  }

  /** The first machines of the group. */
  found(): void {
    for (let count = 0; count < this.profile.size; count++) this.founders.push(this.newMember());
    for (const { nodeId } of this.founders) this.setUp(nodeId, this.founders, false);
  }

  newMember(): Member {
    const nodeId = this.nextNodeId++;
    const priority = this.profile.withPriorities ? nodeId % 3 : 0;
    return memberOf(nodeId, { address: `node-${nodeId}`, priority });
  }

  /** A machine that will join the group. */
  join(member: Member): void {
    this.setUp(member.nodeId, [...this.committedConfiguration().members, member], true);
  }

  private setUp(nodeId: NodeId, members: readonly Member[], joins: boolean): void {
    const node = new SimulatedNode(nodeId, this, this.random.fork(), members, joins);
    this.nodes.set(nodeId, node);
    node.boot();
  }

  /** The machine is switched off for good. */
  retire(node: SimulatedNode): void {
    node.lose();
    this.nodes.delete(node.nodeId);
    this.checker.forget(node.nodeId);
    this.trace.event(`node ${node.nodeId} is given back`);
  }

  /** A second process with the id of a machine starts. @param joins whether its options say that the group exists */
  startTwin({ nodeId }: SimulatedNode, disk: SimulatedDisk, joins: boolean): SimulatedNode {
    const { members } = this.committedConfiguration();
    const twin = new SimulatedNode(nodeId, this, this.random.fork(), members, joins, disk);
    this.twins.set(nodeId, twin);
    this.twinned.add(nodeId);
    twin.boot();
    return twin;
  }

  endTwin(twin: SimulatedNode): void {
    if (!this.twins.delete(twin.nodeId)) return;
    twin.crash(true);
    this.network.detach(twin.nodeId, twin);
    this.checker.twinEnds(twin.nodeId);
    this.trace.event(`the second node ${twin.nodeId} ends`);
  }

  originalOf(nodeId: NodeId): SimulatedNode | undefined {
    return this.twinned.has(nodeId) ? this.nodes.get(nodeId) : undefined;
  }

  committedConfiguration(): Configuration {
    return this.checker.configurations.latest?.configuration ?? votersOnly(this.founders, 0);
  }

  upNodes(): SimulatedNode[] {
    return [...this.nodes.values()].filter((node) => node.isUp);
  }

  /** The node that believes it leads in the highest term. */
  leader(): SimulatedNode | undefined {
    let best: SimulatedNode | undefined;
    for (const node of this.nodes.values()) {
      if (node.core?.role !== 'leader') continue;
      if (!best || node.core.term > best.core!.term) best = node;
    }
    return best;
  }

  lostNodes(): SimulatedNode[] {
    return [...this.nodes.values()].filter((node) => node.isLost);
  }

  touched(node: SimulatedNode): void {
    this.dirty.add(node);
  }

  count(event: string): void {
    this.counts.set(event, (this.counts.get(event) ?? 0) + 1);
  }

  failed(node: SimulatedNode, error: Error): void {
    this.trace.event(`node ${node.nodeId} stopped: ${error.message}`);
    if (error instanceof Violation) return this.violate(error);
    this.lookAtLast(node);
    if (node.isTwin && error instanceof SecondProcessError) {
      this.count('second process stopped');
      return node.crash(false);
    }
    const { disk } = node;
    if (disk.isRotten && error instanceof LogCorruptedError) {
      this.count('rot refused');
      return node.lose();
    }
    const isForeseen = disk.hasFailed || disk.capacityBytes < Number.POSITIVE_INFINITY;
    if (!isForeseen || !(error instanceof StorageFailedError))
      return this.violate(new Violation('node failure', `node ${node.nodeId}: ${error.message}`));
    disk.hasFailed = false;
    node.crash(false);
    this.later(REPAIR_ELECTION_TIMEOUTS * this.electionMs, () => node.boot());
  }

  /** The step in which it stopped is checked as well. */
  private lookAtLast(node: SimulatedNode): void {
    try {
      node.look();
    } catch (violation) {
      this.violate(violation);
    }
  }

  /** The first one counts. */
  violate(error: unknown): void {
    this.violation ??=
      error instanceof Violation
        ? error
        : new Violation('node failure', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }

  later(delayMs: number, action: () => void): void {
    this.clock.setTimer(delayMs, () => {
      try {
        action();
      } catch (error) {
        this.violate(error);
      }
    });
  }

  /**
   * Runs until `done`, checked after each step, or for this long.
   *
   * @returns whether it was done in time
   * @throws Violation
   */
  async runUntil(done: () => boolean, limitMs: number): Promise<boolean> {
    const until = this.clock.monotonic() + limitMs;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve)); // all microtasks run first
      this.look();
      if (done()) return true;
      const dueAt = this.clock.nextDueAt();
      if (dueAt === undefined || dueAt > until) break;
      this.steps++;
      this.fire();
    }
    this.clock.advance(Math.max(0, until - this.clock.monotonic()));
    return false;
  }

  private fire(): void {
    try {
      this.clock.fireNext();
    } catch (error) {
      this.violate(error);
    }
  }

  private look(): void {
    if (this.violation) throw this.violation;
    for (const node of this.dirty) {
      node.look();
      const { core } = node;
      if (!core) continue;
      this.trace.mix(core.term * 4096 + core.lastIndex);
      this.trace.mix(core.commitIndex * 64 + node.nodeId);
    }
    this.dirty.clear();
    this.checker.endStep();
  }
}

/** For traces: the number of bytes. */
function withoutData(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? `${value.length} bytes` : value;
}
