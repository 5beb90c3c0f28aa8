import { errorMessage, invariant, silentLogger } from '@concordat/foundation';
import type { Logger, Timer } from '@concordat/foundation';
import { RaftCore } from '../core/raft-core.js';
import type { PersistBatch } from '../core/ready.js';
import type { Entry, Message, NodeId, Snapshot, SnapshotMetadata } from '../core/types.js';
import { NotLeaderError, ProposalDroppedError } from './errors.js';
import { LeadershipReads } from './leadership-reads.js';
import { PendingProposals } from './pending-proposals.js';
import type { Committed, PeerStatus, RaftNodeApi, RaftNodeOptions, RaftStatus } from './raft-node.types.js';
import { SnapshotSchedule } from './snapshot-schedule.js';
import { StorageLane } from './storage-lane.js';

const DEFAULT_TICK_MS = 50;
const DEFAULT_ELECTION_TICKS = 10;
const DEFAULT_HEARTBEAT_TICKS = 1;
const DEFAULT_SNAPSHOT_AFTER_BYTES = 16 * 1024 * 1024;
const PROPOSAL_LIMITS = { maxCount: 10_000, maxBytes: 64 * 1024 * 1024, maxCommandBytes: 2 * 1024 * 1024 };
/** entries kept behind a snapshot for followers slightly behind; in bytes a quarter of `snapshotAfterBytes` */
const TAIL_ENTRIES = 5_000;

type NodeState = 'new' | 'running' | 'handing-over' | 'stopped';

/**
 * Runs a `RaftCore` on real (or simulated) storage, network and time.
 *
 * Every input (message, tick, proposal, finished write) goes into the core at once and asks for one pass, which
 * runs as a microtask: what arrives in the same turn of the event loop leaves in the same batch, and no timer
 * lies on the way of a proposal. A pass sends, starts the next write unless one is in flight, and applies.
 *
 *     new --start--> running --stop--> handing-over (leaders only) --> stopped
 *     any --storage or state machine failed, kill--> stopped
 *
 * It uses nothing but its ports, promises and microtasks, so a group of nodes is deterministic under a
 * `VirtualClock`.
 */
export class RaftNode<Result = unknown> implements RaftNodeApi<Result> {
  private readonly logger: Logger;
  private readonly tickMs: number;
  private readonly electionTicks: number;
  private readonly logLane = new StorageLane();
  private readonly snapshotLane = new StorageLane();
  private readonly proposals = new PendingProposals<Result>(PROPOSAL_LIMITS);
  private readonly reads = new LeadershipReads();
  private readonly listeners = new Set<(status: RaftStatus) => void>();
  private readonly snapshotAfterBytes: number;

  private state: NodeState = 'new';
  private core: RaftCore | undefined;
  private snapshots: SnapshotSchedule;
  private appliedIndex = 0;
  /** the term this node leads, as of the last pass; 0 when it does not */
  private leadingTerm = 0;
  /** index of the newest snapshot that is durable or about to be */
  private snapshotIndex = 0;
  private passScheduled = false;
  private tickTimer: Timer | undefined;
  private backlogTimer: Timer | undefined;
  private notified = '';
  private killed = false;
  private stopping: Promise<void> | undefined;
  private leadershipGone: (() => void) | undefined;
  private handOverTicks = 0;

  constructor(private readonly options: RaftNodeOptions<Result>) {
    this.logger = options.logger ?? silentLogger;
    this.tickMs = options.tickMs ?? DEFAULT_TICK_MS;
    this.electionTicks = options.electionTicks ?? DEFAULT_ELECTION_TICKS;
    this.snapshotAfterBytes = options.snapshotAfterBytes ?? DEFAULT_SNAPSHOT_AFTER_BYTES;
    this.snapshots = new SnapshotSchedule(this.snapshotAfterBytes);
  }

  // --- life

  async start(): Promise<void> {
    invariant(this.state === 'new', 'a node is started once');
    this.state = 'running';
    try {
      await this.open();
    } catch (error) {
      this.halt();
      this.stopping ??= this.closeAfterFailure();
      throw error;
    }
  }

  private async open(): Promise<void> {
    const { nodeId, voters, random, storage, transport } = this.options;
    const stored = await this.logLane.run(() => storage.open());
    if (!this.isAlive()) return;
    const metadata = stored.snapshot?.metadata;
    this.core = new RaftCore({
      nodeId,
      voters,
      random,
      electionTicks: this.electionTicks,
      heartbeatTicks: this.options.heartbeatTicks ?? DEFAULT_HEARTBEAT_TICKS,
      hardState: stored.hardState,
      snapshot: metadata,
      entries: stored.entries,
    });
    if (stored.snapshot) this.restore(stored.snapshot);
    await transport.start((message) => this.receive(message));
    if (!this.isAlive()) return;
    this.scheduleTick();
    this.schedulePass();
  }

  stop(): Promise<void> {
    this.stopping ??= this.shutDown();
    return this.stopping;
  }

  private async shutDown(): Promise<void> {
    if (this.state === 'running') await this.handOver();
    this.halt();
    await this.close();
  }

  /**
   * Ends the node as a crash would: nothing is handed over, flushed or closed. For simulations, where the ports
   * outlive the node.
   */
  kill(): void {
    this.killed = true;
    this.logLane.abandon();
    this.snapshotLane.abandon();
    this.stopping ??= Promise.resolve();
    this.halt();
  }

  /** Asks the most advanced follower to take over and waits until it has, for one election timeout at most. */
  private async handOver(): Promise<void> {
    this.state = 'handing-over';
    if (this.core?.role !== 'leader' || this.core.voters.length === 1) return;
    await new Promise<void>((resolve) => {
      this.leadershipGone = resolve;
      this.tryHandOver();
      this.schedulePass();
    });
  }

  /** Once per tick: first lets pending proposals finish, but not longer than half of the time. */
  private tryHandOver(): void {
    if (!this.leadershipGone || !this.core) return;
    if (++this.handOverTicks > this.electionTicks) return this.leadershipGone();
    if (this.proposals.count === 0 || this.handOverTicks > this.electionTicks / 2) this.core.handOver();
  }

  private halt(): void {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.tickTimer?.cancel();
    this.backlogTimer?.cancel();
    this.proposals.dropQueued(new ProposalDroppedError('STOPPED', 'the node was stopped'));
    this.proposals.loseBehind(0);
    this.reads.rejectAll(new NotLeaderError(undefined));
    this.leadershipGone?.();
    this.notify();
  }

  /** After `kill` the ports may belong to the next life of the node already. */
  private async close(): Promise<void> {
    if (!this.killed) await this.options.transport.stop();
    if (!this.killed) await Promise.all([this.logLane.idle(), this.snapshotLane.idle()]);
    if (!this.killed) await this.options.storage.close();
  }

  private async closeAfterFailure(): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      this.logger.warn(`raft node ${this.options.nodeId} did not close cleanly: ${errorMessage(error)}`);
    }
  }

  /** The node cannot go on: what it would say or store from here on could be wrong. */
  private fail(error: unknown): void {
    if (!this.isAlive()) return;
    const cause = error instanceof Error ? error : new Error(errorMessage(error));
    this.logger.error(`raft node ${this.options.nodeId} stops: ${cause.message}`, cause);
    this.halt();
    this.stopping ??= this.closeAfterFailure();
    this.options.onFatal?.(cause);
  }

  private isAlive(): boolean {
    return this.state === 'running' || this.state === 'handing-over';
  }

  // --- inputs

  propose(command: Uint8Array): Promise<Committed<Result>> {
    const refusal = this.refusal();
    if (refusal) return Promise.reject(refusal);
    const committed = this.proposals.add(command);
    this.schedulePass();
    return committed;
  }

  private refusal(): Error | undefined {
    if (this.state !== 'running') return new ProposalDroppedError('STOPPED', 'the node is not running');
    return this.core?.role === 'leader' ? undefined : new NotLeaderError(this.core?.leaderId);
  }

  confirmLeadership(): Promise<void> {
    if (!this.isAlive() || this.core?.role !== 'leader') return Promise.reject(new NotLeaderError(this.core?.leaderId));
    const confirmed = this.reads.add();
    this.schedulePass();
    return confirmed;
  }

  private receive(message: Message): void {
    this.guard((core) => core.step(message));
  }

  private scheduleTick(): void {
    this.tickTimer = this.options.clock.setTimer(this.tickMs, () => {
      this.scheduleTick();
      this.tryHandOver();
      this.guard((core) => core.tick());
    });
  }

  /** One input into the core, and a pass to follow it up. A throw in here is a broken invariant. */
  private guard(input: (core: RaftCore) => void): void {
    if (!this.isAlive() || !this.core) return;
    try {
      input(this.core);
    } catch (error) {
      return this.fail(error);
    }
    this.schedulePass();
  }

  // --- the pass

  private schedulePass(): void {
    if (this.passScheduled || !this.core) return;
    this.passScheduled = true;
    queueMicrotask(() => {
      this.passScheduled = false;
      if (!this.isAlive() || !this.core) return;
      try {
        this.pass(this.core);
      } catch (error) {
        this.fail(error);
      }
    });
  }

  private pass(core: RaftCore): void {
    this.appendProposals(core);
    this.startRound(core);
    const ready = core.ready();
    if (ready.messages.length > 0) this.options.transport.send(ready.messages);
    if (ready.persist) this.persist(core, ready.persist);
    if (ready.snapshotRequests.length > 0) this.sendSnapshots(core, ready.snapshotRequests);
    this.apply(ready.committed);
    if (ready.confirmedRound !== undefined) this.reads.roundConfirmed(ready.confirmedRound);
    this.followLeadership(core);
    this.reads.appliedUpTo(this.appliedIndex);
    this.takeSnapshotIfDue(core);
    this.notify();
    if (core.hasReady()) this.continueLater();
    else if (this.reads.wantsRound()) this.schedulePass();
  }

  /** More is committed than one pass applies: others have a turn first. */
  private continueLater(): void {
    this.backlogTimer?.cancel();
    this.backlogTimer = this.options.clock.setTimer(0, () => this.schedulePass());
  }

  private appendProposals(core: RaftCore): void {
    if (!this.proposals.hasQueued()) return;
    const firstIndex = core.propose(this.proposals.queuedCommands());
    if (firstIndex === undefined) this.proposals.dropQueued(new NotLeaderError(core.leaderId));
    else this.proposals.appendedAt(firstIndex, core.term);
  }

  private startRound(core: RaftCore): void {
    if (!this.reads.wantsRound()) return;
    const readIndex = Math.max(core.commitIndex, core.noOpIndex);
    const round = core.confirmLeadership();
    if (round === undefined) this.reads.rejectAll(new NotLeaderError(core.leaderId));
    else this.reads.roundStarted(round, readIndex);
  }

  /** What was proposed in a term that is over for this node has an unknown fate, unless it is committed already. */
  private followLeadership(core: RaftCore): void {
    if (core.role === 'leader' && core.term === this.leadingTerm) return;
    if (this.leadingTerm !== 0) {
      this.proposals.loseBehind(core.commitIndex);
      this.reads.rejectAll(new NotLeaderError(core.leaderId));
    }
    this.leadingTerm = core.role === 'leader' ? core.term : 0;
    if (core.role !== 'leader') this.leadershipGone?.();
  }

  private apply(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (!last) return;
    const { stateMachine } = this.options;
    for (const entry of entries) {
      invariant(entry.index === this.appliedIndex + 1, 'entries are applied in order, each once');
      if (entry.kind === 'normal') {
        const result = stateMachine.apply(entry.data, entry.index, entry.term);
        if (this.proposals.awaits(entry.index)) this.proposals.applied(entry.index, entry.term, result);
      }
      this.appliedIndex = entry.index;
      this.snapshots.applied(entry);
    }
    stateMachine.applied?.(last.index);
  }

  // --- persistence

  private persist(core: RaftCore, batch: PersistBatch): void {
    this.store(
      this.logLane,
      () => this.write(batch),
      () => {
        if (batch.snapshot) this.restore(batch.snapshot);
        this.options.transport.send(batch.messages);
        core.advance(batch);
        this.schedulePass();
      },
    );
  }

  private async write(batch: PersistBatch): Promise<void> {
    const { storage } = this.options;
    const { hardState, entries, snapshot } = batch;
    if (snapshot) {
      await this.snapshotLane.run(() => {
        this.snapshotIndex = snapshot.metadata.index;
        return storage.resetTo(snapshot);
      });
    }
    if (hardState) await storage.persist({ hardState, entries });
    else if (entries.length > 0) await storage.persist({ entries });
  }

  /** A call of the storage and what follows it; both end the node when they fail, and neither outlives it. */
  private store<T>(lane: StorageLane, job: () => Promise<T>, then: (value: T) => void): void {
    lane
      .run(job)
      .then((value) => {
        if (this.isAlive()) then(value);
      })
      .catch((error: unknown) => this.fail(error));
  }

  // --- snapshots

  private restore(snapshot: Snapshot): void {
    const { index } = snapshot.metadata;
    this.options.stateMachine.restoreSnapshot(snapshot.data, snapshot.metadata);
    this.proposals.coveredBySnapshot(index);
    this.appliedIndex = this.snapshotIndex = index;
    this.snapshots.restarted(snapshot.data.length);
    this.options.stateMachine.applied?.(index);
  }

  private takeSnapshotIfDue(core: RaftCore): void {
    if (!this.snapshots.isDue()) return;
    const index = this.appliedIndex;
    const term = core.termAt(index);
    if (term === undefined || core.commitIndex < index) return;
    const metadata: SnapshotMetadata = { index, term, voters: core.voters };
    const data = this.options.stateMachine.takeSnapshot();
    this.snapshots.started(data.length);
    const compactTo = core.compactionIndex(index, TAIL_ENTRIES, this.snapshotAfterBytes / 4);
    this.store(
      this.snapshotLane,
      () => this.save({ metadata, data }, compactTo),
      (saved) => {
        this.snapshots.finished();
        if (saved) core.compact(compactTo);
      },
    );
  }

  /** @returns false when the leader's snapshot, a later one, took the place meanwhile */
  private async save(snapshot: Snapshot, compactTo: number): Promise<boolean> {
    const { index } = snapshot.metadata;
    if (index <= this.snapshotIndex) return false;
    this.snapshotIndex = index;
    await this.options.storage.saveSnapshot(snapshot);
    await this.options.storage.compact(compactTo);
    return true;
  }

  private sendSnapshots(core: RaftCore, followers: readonly NodeId[]): void {
    this.store(
      this.snapshotLane,
      () => this.options.storage.readSnapshot(),
      (snapshot) => {
        invariant(snapshot, 'a compacted log has a snapshot');
        for (const follower of followers) core.sendSnapshot(follower, snapshot);
        this.schedulePass();
      },
    );
  }

  // --- status

  status(): RaftStatus {
    const { nodeId, voters } = this.options;
    const { core } = this;
    const role = this.isAlive() ? (core?.role ?? 'follower') : 'follower';
    return {
      nodeId,
      role,
      term: core?.term ?? 0,
      leaderId: this.isAlive() ? core?.leaderId : undefined,
      commitIndex: core?.commitIndex ?? 0,
      appliedIndex: this.appliedIndex,
      lastIndex: core?.lastIndex ?? 0,
      leaderReady: role === 'leader' && this.appliedIndex >= (core?.noOpIndex ?? 0),
      voters,
      peers: voters.filter((voter) => voter !== nodeId).map((voter) => this.peerStatus(voter)),
    };
  }

  private peerStatus(nodeId: NodeId): PeerStatus {
    const peer = this.core?.peer(nodeId);
    const healthy = peer?.active ?? this.options.transport.isConnected(nodeId);
    return { nodeId, matchIndex: peer?.matchIndex ?? 0, healthy: this.isAlive() && healthy };
  }

  onStatusChange(listener: (status: RaftStatus) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private notify(): void {
    const { core } = this;
    if (!core || this.listeners.size === 0) return;
    const ready = core.role === 'leader' && this.appliedIndex >= core.noOpIndex;
    const summary = this.isAlive() ? `${core.role} ${core.term} ${core.leaderId ?? 0} ${ready}` : 'stopped';
    if (summary === this.notified) return;
    this.notified = summary;
    const status = this.status();
    for (const listener of this.listeners) {
      try {
        listener(status);
      } catch (error) {
        this.logger.error('a status listener threw', error);
      }
    }
  }
}
