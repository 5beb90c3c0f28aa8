import { errorMessage, invariant, randomInteger, silentLogger } from '@concordat/foundation';
import type { Logger, Timer } from '@concordat/foundation';
import type { MembershipChange } from '../core/membership/membership-change.js';
import { randomId } from '../core/membership/addressing.js';
import { RaftCore } from '../core/raft-core.js';
import type { PersistBatch, Ready, SnapshotRead } from '../core/ready.js';
import { MAXIMUM_INTEGER } from '../core/types.js';
import type { Configuration, Message, NodeId, Snapshot, SnapshotChunk } from '../core/types.js';
import { Applier } from './applier.js';
import { ApplySchedule } from './apply-schedule.js';
import { DiskWatch } from './disk-watch.js';
import { NotLeaderError, ProposalDroppedError, SecondProcessError } from './errors.js';
import { HandOver } from './hand-over.js';
import { LinearizableReads } from './linearizable-reads.js';
import { MembershipChanger } from './membership-changer.js';
import type { StatusSources } from './node-status.js';
import { PendingProposals } from './pending-proposals.js';
import type { Committed, MembershipOptions, RaftNodeApi, RaftNodeOptions, RaftStatus } from './raft-node.types.js';
import { ReadLease } from './read-lease.js';
import { SnapshotKeeper } from './snapshot-keeper.js';
import { StatusReports } from './status-reports.js';
import { StorageLane } from './storage-lane.js';
import { TransferWaiters } from './transfer-waiters.js';

const DEFAULT_TICK_MS = 50;
const DEFAULT_ELECTION_TICKS = 10;
const DEFAULT_HEARTBEAT_TICKS = 1;
const DEFAULT_SNAPSHOT_THRESHOLDS = { afterBytes: 16 * 1024 * 1024, afterEntries: 1_000_000 };
const DEFAULT_CATCH_UP_MS = 60_000;
const PROPOSAL_LIMITS = { maximumCount: 10_000, maximumBytes: 64 * 1024 * 1024, maximumCommandBytes: 2 * 1024 * 1024 };
/** a read that no leader answers for this many election timeouts is rejected */
const READ_ELECTION_TIMEOUTS = 2;
/** random enough not to repeat an earlier life's numbers, and far from the largest integer */
const MAXIMUM_FIRST_REQUEST_ID = MAXIMUM_INTEGER / 2;

type NodeState = 'new' | 'running' | 'handing-over' | 'stopped';

/**
 * Runs a `RaftCore` on real (or simulated) storage, network and time.
 *
 * Every input (message, tick, proposal, finished write) goes into the core at once and schedules one pass, a microtask:
 * inputs of one turn of the event loop leave in one batch, and no timer delays a proposal. A pass sends, starts the
 * next write unless one is in flight, and applies.
 *
 *     new --start--> running --stop--> handing-over (leaders only) --> stopped
 *     any --storage or state machine failed, kill--> stopped
 *
 * It uses only its ports, promises and microtasks, so a group of nodes is deterministic under a `VirtualClock`.
 */
export class RaftNode<Result = unknown> implements RaftNodeApi<Result> {
  private readonly logger: Logger;
  private readonly tickMs: number;
  private readonly electionTicks: number;
  private readonly logLane = new StorageLane();
  private readonly snapshots: SnapshotKeeper;
  private readonly applier: Applier<Result>;
  private readonly applySchedule: ApplySchedule;
  private readonly handOver: HandOver;
  private readonly disk: DiskWatch;
  private readonly proposals = new PendingProposals<Result>(PROPOSAL_LIMITS);
  private readonly reads: LinearizableReads;
  private readonly lease: ReadLease | undefined;
  private readonly membership = new MembershipChanger();
  private readonly transfers = new TransferWaiters();
  private readonly reports: StatusReports;

  private state: NodeState = 'new';
  private core: RaftCore | undefined;
  /** the term this node leads, at the last pass; 0 when it does not */
  private leadingTerm = 0;
  /** term and leader at the last pass: another leader does not answer requests to the old one */
  private followedLeadership = '';
  private passScheduled = false;
  private tickTimer: Timer | undefined;
  private backlogTimer: Timer | undefined;
  private killed = false;
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: RaftNodeOptions<Result>) {
    this.logger = options.logger ?? silentLogger;
    this.tickMs = options.tickMs ?? DEFAULT_TICK_MS;
    this.electionTicks = options.electionTicks ?? DEFAULT_ELECTION_TICKS;
    const { tickMs, electionTicks } = this;
    this.reports = new StatusReports(options.nodeId, this.logger, () => this.statusSources());
    this.disk = new DiskWatch(options.nodeId, this.logger);
    const firstRequestId = randomInteger(options.random, 1, MAXIMUM_FIRST_REQUEST_ID);
    this.reads = new LinearizableReads(firstRequestId, READ_ELECTION_TIMEOUTS * electionTicks);
    this.lease = options.leaseReads && new ReadLease({ tickMs, electionTicks, ...options.leaseReads });
    this.snapshots = new SnapshotKeeper({
      storage: options.storage,
      stateMachine: options.stateMachine,
      thresholds: {
        afterBytes: options.snapshotAfterBytes ?? DEFAULT_SNAPSHOT_THRESHOLDS.afterBytes,
        afterEntries: options.snapshotAfterEntries ?? DEFAULT_SNAPSHOT_THRESHOLDS.afterEntries,
      },
      follow: (job, then) => this.follow(job, then),
    });
    this.applier = new Applier(options.stateMachine, this.proposals, this.snapshots);
    this.applySchedule = new ApplySchedule({
      lazyFollowers: options.lazyFollowers ?? false,
      clock: options.clock,
      apply: (entries) => this.applier.apply(entries),
    });
    this.handOver = new HandOver(electionTicks, () => this.proposals.count > 0);
  }

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
    const { nodeId, members, join, random, storage, transport, leaseReads, limits } = this.options;
    storage.onSpace((diskFullReason) => this.spaceChanged(diskFullReason));
    const stored = await this.logLane.run(() => storage.open());
    if (!this.isAlive()) return;
    const metadata = stored.snapshot?.metadata;
    const core = new RaftCore({
      nodeId,
      incarnation: stored.incarnation,
      members,
      founds: join !== true,
      newGroupId: randomId(random),
      random,
      electionTicks: this.electionTicks,
      heartbeatTicks: this.options.heartbeatTicks ?? DEFAULT_HEARTBEAT_TICKS,
      hardState: stored.hardState,
      snapshot: metadata,
      entries: stored.entries,
      votesAtOnce: leaseReads === undefined,
      sparesHeartbeats: true,
      ...(limits ? { limits } : {}),
    });
    this.core = core;
    if (stored.snapshot) for (const _ of this.applier.restore(stored.snapshot)); // nothing else is running yet
    this.connect(core);
    await transport.start((message) => this.receive(message), {
      onStranger: (stranger) => this.guard((running) => running.noteStranger(stranger)),
      onSecondProcess: (witness) => this.fail(new SecondProcessError(nodeId, witness)),
    });
    if (!this.isAlive()) return;
    this.scheduleTick();
    this.schedulePass();
  }

  stop(): Promise<void> {
    this.stopping ??= this.shutDown();
    return this.stopping;
  }

  private async shutDown(): Promise<void> {
    if (this.state === 'running') await this.stopLeading();
    this.halt();
    await this.close();
  }

  /** Ends the node like a crash: no transfer, no flush, no close. For simulations, where the ports outlive the node. */
  kill(): void {
    this.killed = true;
    this.logLane.abandon();
    this.snapshots.lane.abandon();
    this.stopping ??= Promise.resolve();
    this.halt();
  }

  private async stopLeading(): Promise<void> {
    this.state = 'handing-over';
    if (this.core?.role !== 'leader' || this.core.configuration.voters.length === 1) return;
    this.schedulePass();
    await this.handOver.begin(this.core);
  }

  private halt(): void {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.tickTimer?.cancel();
    this.backlogTimer?.cancel();
    this.proposals.dropQueued(new ProposalDroppedError('STOPPED', 'the node was stopped'));
    this.proposals.rejectUnknownAfter(0);
    this.reads.rejectAll(new NotLeaderError(undefined));
    this.membership.rejectAll();
    this.transfers.rejectAll();
    this.handOver.leadershipGone();
    this.applySchedule.release();
    this.reports.notify();
  }

  /** After `kill` the ports may belong to the next life of the node already. */
  private async close(): Promise<void> {
    if (!this.killed) await this.options.transport.stop();
    if (!this.killed) await this.options.storage.close();
  }

  private async closeAfterFailure(): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      this.logger.warn(`raft node ${this.options.nodeId} did not close cleanly: ${errorMessage(error)}`);
    }
  }

  /** The node cannot continue: its further messages and writes could be wrong. */
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

  propose(command: Uint8Array): Promise<Committed<Result>> {
    const refusal = this.refusal();
    if (refusal) return Promise.reject(refusal);
    const committed = this.proposals.add(command);
    this.schedulePass();
    return committed;
  }

  private refusal(): Error | undefined {
    if (this.state !== 'running') return new ProposalDroppedError('STOPPED', 'the node is not running');
    const isLeader = this.core?.role === 'leader';
    const { diskFullReason } = this.disk;
    const full = diskFullReason === undefined ? undefined : new ProposalDroppedError('DISK_FULL', diskFullReason);
    if (isLeader || (full && this.core?.leaderId === undefined)) return full;
    return new NotLeaderError(this.core?.leaderId);
  }

  async confirmLeadership(): Promise<void> {
    if (!this.isAlive() || this.core?.role !== 'leader') throw new NotLeaderError(this.core?.leaderId);
    await this.readIndex();
  }

  readIndex(): Promise<number> {
    if (!this.isAlive() || this.core?.leaderId === undefined) return Promise.reject(new NotLeaderError(undefined));
    const confirmed = this.reads.add();
    this.schedulePass();
    return confirmed;
  }

  transferLeadership(target: NodeId): Promise<void> {
    if (this.state !== 'running' || !this.core) return Promise.reject(new NotLeaderError(undefined));
    if (target === this.options.nodeId && this.core.role === 'leader') return Promise.resolve();
    const done = this.transfers.begin(this.core, target);
    this.schedulePass();
    return done;
  }

  changeMembership(changes: readonly MembershipChange[], options: MembershipOptions = {}): Promise<Configuration> {
    if (this.state !== 'running') return Promise.reject(new NotLeaderError(undefined));
    const catchUpTicks = Math.ceil((options.catchUpTimeoutMs ?? DEFAULT_CATCH_UP_MS) / this.tickMs);
    const done = this.membership.add(changes, catchUpTicks);
    this.schedulePass();
    return done;
  }

  private receive(message: Message): void {
    this.guard((core) => core.step(message));
  }

  private scheduleTick(): void {
    this.tickTimer = this.options.clock.setTimer(this.tickMs, () => {
      this.scheduleTick();
      this.snapshots.tick();
      this.membership.tick();
      this.applySchedule.tick();
      this.guard((core) => {
        this.handOver.tick(core);
        core.tick();
        this.reports.reportStanding(core.standing);
        this.tickReads(core);
        if (!this.disk.look(core)) return;
        this.proposals.rejectUnknownAfter(this.applier.appliedIndex); // all of it waits for the disk, committed or not
        this.reads.rejectAll(new NotLeaderError(core.leaderId));
      });
    });
  }

  /** A request for a read, or its answer, may be lost. */
  private tickReads(core: RaftCore): void {
    const due = this.reads.tick();
    if (due === 'timeout') this.reads.rejectAll(new NotLeaderError(undefined));
    else if (due !== undefined && core.role !== 'leader') core.readIndex(due);
    const now = this.options.clock.monotonic();
    if (!this.lease?.wantsRound(now) || core.role !== 'leader') return;
    const requestId = this.reads.takeRequestId();
    if (core.readIndex(requestId)) this.lease.started(requestId, now);
  }

  /** Passes one input to the core and schedules a pass. An exception here is a broken invariant. */
  private guard(input: (core: RaftCore) => void): void {
    if (!this.isAlive() || !this.core) return;
    try {
      input(this.core);
    } catch (error) {
      return this.fail(error);
    }
    this.schedulePass();
  }

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
    this.proposals.appendTo(core);
    this.membership.advance(core);
    this.askForReads(core);
    const ready = core.ready();
    if (ready.messages.length > 0) this.options.transport.send(ready.messages);
    if (ready.configuration) this.connect(core);
    if (ready.persist) this.persist(core, ready.persist);
    this.carrySnapshots(core, ready);
    for (const { requestId, index } of ready.reads) this.readConfirmed(requestId, index);
    const hasMore = this.applySchedule.run(core, this.proposals.count > 0 || this.reads.awaitState);
    this.followLeadership(core);
    this.membership.advance(core);
    this.transfers.advance(core);
    this.reads.appliedUpTo(this.applier.appliedIndex);
    this.snapshots.takeIfDue(core, this.applier.appliedIndex);
    for (const { from, type, reason } of ready.refused)
      this.logger.error(`raft node ${this.options.nodeId} refused a message (${type}) of node ${from}: ${reason}`);
    this.reports.notify();
    if (core.hasReady() || hasMore) this.continueLater();
    else if (this.reads.wantsRequest() && this.canAskForReads(core)) this.schedulePass();
  }

  applyPromptly(): () => void {
    if (this.core?.hasCommitted) this.schedulePass();
    return this.applySchedule.promptly();
  }

  async caughtUp(): Promise<void> {
    if (!this.isAlive() || !this.core?.hasCommitted) return;
    const caughtUp = this.applySchedule.caughtUp();
    this.schedulePass();
    await caughtUp;
  }

  /** More is committed than one pass applies: other work gets a turn first. */
  private continueLater(): void {
    this.backlogTimer?.cancel();
    this.backlogTimer = this.options.clock.setTimer(0, () => this.schedulePass());
  }

  private askForReads(core: RaftCore): void {
    if (!this.reads.wantsRequest()) return;
    if (core.mayTrustLease && this.lease?.isValid(this.options.clock.monotonic()))
      return this.reads.confirmWaiting(core.commitIndex);
    if (core.readIndex(this.reads.requestId)) this.reads.requested();
  }

  /** A leader that has committed nothing in its term yet is asked later. */
  private canAskForReads(core: RaftCore): boolean {
    return (
      core.leaderId !== undefined &&
      core.lastIndex > 0 &&
      (core.role !== 'leader' || core.commitIndex >= core.noOpIndex)
    );
  }

  private readConfirmed(requestId: number, index: number): void {
    this.reads.confirmed(requestId, index);
    this.lease?.confirmed(requestId);
  }

  /**
   * Proposals of a past term have an unknown fate, unless they are committed already. A new leader does not answer
   * requests to the old one.
   */
  private followLeadership(core: RaftCore): void {
    const followed = `${core.term} ${core.leaderId ?? 0}`;
    if (followed !== this.followedLeadership) {
      this.followedLeadership = followed;
      this.lease?.end();
      this.reads.rejectAll(new NotLeaderError(core.leaderId));
    }
    if (core.role === 'leader' && core.term === this.leadingTerm) return;
    if (this.leadingTerm !== 0) this.proposals.rejectUnknownAfter(core.commitIndex);
    this.leadingTerm = core.role === 'leader' ? core.term : 0;
    if (core.role !== 'leader') this.handOver.leadershipGone();
  }

  private persist(core: RaftCore, batch: PersistBatch): void {
    this.follow(
      this.logLane.run(() => this.write(batch)),
      (installed) => {
        if (installed) this.restore(core, batch, this.applier.restore(installed));
        else this.persisted(core, batch);
      },
    );
  }

  private persisted(core: RaftCore, batch: PersistBatch): void {
    this.options.transport.send(batch.messages);
    core.advance(batch);
    this.schedulePass();
  }

  /** The batch is done when the state machine has restored its snapshot, in steps with other work in between. */
  private restore(core: RaftCore, batch: PersistBatch, steps: Iterator<void>): void {
    if (!this.isAlive()) return;
    try {
      if (steps.next().done === true) this.persisted(core, batch);
      else this.options.clock.setTimer(0, () => this.restore(core, batch, steps));
    } catch (error) {
      this.fail(error);
    }
  }

  /** @returns the installed snapshot of the batch */
  private async write({ hardState, entries, snapshot }: PersistBatch): Promise<Snapshot | undefined> {
    const { storage } = this.options;
    const installed = snapshot && (await this.snapshots.install(snapshot));
    if (hardState) await storage.persist({ hardState, entries });
    else if (entries.length > 0) await storage.persist({ entries });
    return installed;
  }

  /** Runs a storage call and its continuation; either failing stops the node, and neither runs after it has stopped. */
  private follow<T>(job: Promise<T>, then: (value: T) => void): void {
    job
      .then((value) => {
        if (this.isAlive()) then(value);
      })
      .catch((error: unknown) => this.fail(error));
  }

  /** A leader with a full disk transfers its leadership; another node may have space. */
  private spaceChanged(diskFullReason: string | undefined): void {
    const isNew = this.disk.spaceChanged(diskFullReason);
    this.guard((core) => {
      if (isNew) core.handOver();
    });
  }

  private carrySnapshots(core: RaftCore, { snapshotReads, snapshotChunks }: Ready): void {
    for (const read of snapshotReads) this.sendChunk(core, read);
    for (const chunk of snapshotChunks) this.storeChunk(core, chunk);
  }

  private sendChunk(core: RaftCore, read: SnapshotRead): void {
    this.follow(this.snapshots.read(read), (chunk) => {
      core.sendSnapshotChunk(read.to, chunk);
      this.schedulePass();
    });
  }

  private storeChunk(core: RaftCore, chunk: SnapshotChunk): void {
    this.follow(this.snapshots.receive(chunk), (received) => {
      core.snapshotChunkStored(chunk, received);
      this.schedulePass();
    });
  }

  /** A joining node uses the members of its options until it has the log. */
  private connect({ configuration, incarnation }: RaftCore): void {
    const { nodeId, transport, members } = this.options;
    const known = configuration.members.length > 0 ? configuration.members : members;
    const others = known.filter((member) => member.nodeId !== nodeId);
    transport.setPeers(new Map(others.map((member) => [member.nodeId, member.address])));
    transport.setIdentity?.({ incarnation, groupId: configuration.groupId });
  }

  status(): RaftStatus {
    return this.reports.status();
  }

  private statusSources(): StatusSources {
    const { nodeId, transport } = this.options;
    const { core, disk } = this;
    const { appliedIndex } = this.applier;
    return { nodeId, core, transport, isAlive: this.isAlive(), appliedIndex, diskFullReason: disk.diskFullReason };
  }

  onStatusChange(listener: (status: RaftStatus) => void): () => void {
    return this.reports.onChange(listener);
  }
}
