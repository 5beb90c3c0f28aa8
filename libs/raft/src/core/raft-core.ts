import { invariant } from '@concordat/foundation';
import type { TransferRefusal } from './election/leadership-transfer.js';
import { inspectLeader, inspectLog } from './inspection.js';
import type { Appended, Leader, ProposalRefusal } from './leader.js';
import { refuse, type MembershipChange, type MembershipRefusal, type Refused } from './membership/membership-change.js';
import { standingOf, type Standing } from './membership/standing.js';
import { DEFAULT_LIMITS } from './raft-core.types.js';
import type { CoreInspection, RaftCoreOptions, RaftRole } from './raft-core.types.js';
import { Raft } from './raft.js';
import type { PersistBatch, Ready, SnapshotRead } from './ready.js';
import type { ProgressState } from './replication/progress.js';
import type { Configuration, Entry, Incarnation, Message, NodeId, SnapshotChunk, SnapshotMetadata } from './types.js';

const NO_READS: readonly SnapshotRead[] = [];

/**
 * Raft without clock, disk or network (Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm",
 * extended version, figure 2; Ongaro's thesis; modelled on etcd/raft). Inputs change the state in memory; `ready`
 * returns what to persist and send, `takeCommitted` what to apply.
 *
 * Persistence is asynchronous: while one batch is being written the core goes on, and its changes go with the next.
 * This is plain Raft with slower messages: no promise leaves before everything the node knew when it made it is
 * durable, and the node counts itself (vote, match index) only then.
 *
 * The rules are in `Raft`; this is the host's interface.
 */
export class RaftCore {
  readonly nodeId: NodeId;
  private readonly raft: Raft;
  private readonly maximumApplyEntries: number;
  private readonly maximumApplyBytes: number;
  private reportedConfiguration: Configuration | undefined;

  constructor(options: RaftCoreOptions) {
    this.nodeId = options.nodeId;
    this.raft = new Raft(options);
    const { maximumApplyEntries, maximumApplyBytes } = { ...DEFAULT_LIMITS, ...options.limits };
    this.maximumApplyEntries = maximumApplyEntries;
    this.maximumApplyBytes = maximumApplyBytes;
  }

  /** Of this node's directory. */
  get incarnation(): Incarnation {
    return this.raft.addressing.incarnation;
  }

  get role(): RaftRole {
    return this.raft.role.type;
  }

  get term(): number {
    return this.raft.term;
  }

  /** The vote of this node in the present term; 0 for none. */
  get vote(): NodeId {
    return this.raft.voter.vote;
  }

  /** The leader of this term, if known. */
  get leaderId(): NodeId | undefined {
    return this.raft.leaderId;
  }

  get commitIndex(): number {
    return this.raft.log.commitIndex;
  }

  get lastIndex(): number {
    return this.raft.log.lastIndex;
  }

  /** The configuration in force: the last one in the log, committed or not. */
  get configuration(): Configuration {
    return this.raft.log.configuration;
  }

  /** Index of the entry with `configuration`. */
  get configurationIndex(): number {
    return this.raft.log.configurationIndex;
  }

  /** Leader only: index of the no-op of its term. Before that is committed, the leader does not know what else is. */
  get noOpIndex(): number {
    return this.raft.leader?.openingIndex ?? 0;
  }

  /** Leader only: the target of the transfer in progress. */
  get transferTarget(): NodeId | undefined {
    return this.raft.leader?.transferTarget;
  }

  /** Leader only: whether a lease may replace a round of heartbeats (thesis, section 6.4.1). */
  get mayTrustLease(): boolean {
    return this.raft.leader?.mayTrustLease() ?? false;
  }

  /** Whether the disk hangs: then this node neither leads nor stands for election. */
  get isDiskHung(): boolean {
    return this.raft.persistence.isHung;
  }

  /** Messages that contradicted the protocol and were ignored. */
  get refusedMessages(): number {
    return this.raft.refusedCount;
  }

  /** Ignored messages for another incarnation of this node, or of another group. */
  get misdirectedMessages(): number {
    return this.raft.misdirectedCount;
  }

  /** The membership of this node, and what keeps it from being a member. */
  get standing(): Standing {
    const { nodeId, log, newcomer, otherIncarnations, strangers, leaderId } = this.raft;
    const { incarnation } = this;
    return standingOf({ nodeId, incarnation, log, newcomer, otherIncarnations, strangers, leaderId });
  }

  /** Term of an entry that is not compacted. */
  termAt(index: number): number | undefined {
    return this.raft.log.term(index);
  }

  /** The metadata of a snapshot at `index`, which is applied. */
  snapshotMetadata(index: number): SnapshotMetadata {
    const term = this.raft.log.term(index);
    invariant(term !== undefined && index <= this.raft.log.commitIndex, 'a snapshot stands for committed entries');
    return { index, term, configuration: this.raft.log.configurationAt(index) };
  }

  /** Leader only: its knowledge of a follower. */
  peer(
    nodeId: NodeId,
  ): { readonly matchIndex: number; readonly state: ProgressState; readonly active: boolean } | undefined {
    const replication = this.raft.leader?.replication;
    const progress = replication?.progressOf(nodeId);
    if (!replication || !progress) return undefined;
    const { matchIndex, state } = progress;
    return { matchIndex, state, active: replication.isActive(progress) };
  }

  /** The whole state, in plain values. */
  inspect(): CoreInspection {
    return {
      role: this.role,
      term: this.term,
      vote: this.vote,
      leaderId: this.leaderId,
      ...inspectLog(this.raft.log),
      ...inspectLeader(this.raft.leader),
    };
  }

  /** Writes the first entry of a group, once per group. Only with an empty log. */
  found(configuration: Configuration): void {
    this.raft.found(configuration);
  }

  /** One unit of time has passed. */
  tick(): void {
    this.raft.tick();
  }

  /**
   * Handles one message, from a member or not: this node's configuration may be old (paper, section 6). A message that
   * is invalid, or contradicts what is certain here, is refused and counted.
   */
  step(message: Message): void {
    this.raft.step(message);
  }

  /** A node of another group has that id. */
  noteStranger(nodeId: NodeId): void {
    this.raft.noteStranger(nodeId);
  }

  /** A piece of `Ready.snapshotChunks` is stored, or was not; says how much of the whole is there. */
  snapshotChunkStored(
    chunk: SnapshotChunk,
    received: { readonly nextOffset: number; readonly complete: boolean },
  ): void {
    this.raft.snapshotChunkStored(chunk, received);
  }

  /** Appends commands to the leader's log, as many of the first as fit. */
  propose(commands: readonly Uint8Array[]): Appended | Refused<ProposalRefusal> {
    return this.raft.leader ? this.raft.leader.propose(commands) : refuse('NOT_LEADER', 'this node does not lead');
  }

  /** Leader only: appends the configuration after the change; a joint one is left later without a request. */
  changeMembership(
    changes: readonly MembershipChange[],
  ): { readonly index: number } | Refused<MembershipRefusal | 'NOT_LEADER'> {
    return this.raft.leader
      ? this.raft.leader.changeMembership(changes)
      : refuse('NOT_LEADER', 'this node does not lead');
  }

  /** Leader only: begins a leadership transfer. Undefined when it has begun; `transferTarget` is set while it lasts. */
  transferLeadership(target: NodeId): Refused<TransferRefusal | 'NOT_LEADER'> | undefined {
    return this.raft.leader ? this.raft.leader.transferTo(target) : refuse('NOT_LEADER', 'this node does not lead');
  }

  /**
   * Begins to transfer leadership to the most advanced live voter (thesis, section 3.10).
   * @returns the voter, or undefined when this node does not lead or there is none
   */
  handOver(): NodeId | undefined {
    return this.raft.leader?.handOver();
  }

  /**
   * Asks for the index that must be applied for a linearizable read; `Ready.reads` has the answer, unless a message is
   * lost or the leader changes. Repeat it with the same id, which no earlier life of this node can have used.
   * @returns false when it cannot ask now: no leader is known, or this leader has not committed in its term yet
   */
  readIndex(requestId: number): boolean {
    if (this.raft.leader) return this.raft.leader.addRead(this.nodeId, requestId);
    const { leaderId, newcomer, persistence } = this.raft;
    if (leaderId === undefined || newcomer.isEmpty) return false;
    persistence.send({ type: 'read-index-request', ...this.raft.addressTo(leaderId), requestId });
    return true;
  }

  /** Leader only: whether a follower that gets a snapshot, or has just got one, needs the log after it. */
  get needsLog(): boolean {
    return this.raft.leader?.replication.needsLog ?? false;
  }

  /** Answers a request of `Ready.snapshotReads`; undefined when that snapshot is gone. */
  sendSnapshotChunk(to: NodeId, chunk: Parameters<Leader['replication']['sendSnapshotChunk']>[1]): void {
    this.raft.leader?.replication.sendSnapshotChunk(to, chunk);
  }

  /** How far to compact when everything up to `index` is in a snapshot, with a tail for slightly slower followers. */
  compactionIndex(index: number, maximumEntries: number, maximumBytes: number): number {
    return this.raft.log.tailStart(index, maximumEntries, maximumBytes);
  }

  /** Drops entries up to `index`: applied here and in a durable snapshot. */
  compact(index: number): void {
    this.raft.log.compact(index);
  }

  /** Committed entries that were not taken to be applied, and their bytes. */
  get unapplied(): { readonly entries: number; readonly bytes: number } {
    const { unappliedEntries: entries, unappliedBytes: bytes } = this.raft.log;
    return { entries, bytes };
  }

  /** Whether `takeCommitted` has entries: committed, and durable on this node. */
  get hasCommitted(): boolean {
    return this.raft.log.hasCommitted();
  }

  /**
   * The next entries to apply, in order, each once per life of the core. The host may leave them in the log for a while;
   * nothing in the core waits for it, but the log cannot be compacted beyond them.
   */
  takeCommitted(): readonly Entry[] {
    return this.raft.log.takeCommitted(this.maximumApplyEntries, this.maximumApplyBytes);
  }

  /** Whether `ready` has something to do. */
  hasReady(): boolean {
    return (
      this.raft.persistence.hasOutput(this.raft.termAndVote()) ||
      (this.raft.leader?.hasWork() ?? false) ||
      this.raft.hasReports() ||
      this.raft.snapshot.hasChunk() ||
      this.reportedConfiguration !== this.raft.log.configuration
    );
  }

  ready(): Ready {
    const { leader, log } = this.raft;
    leader?.replication.flush();
    const reads = this.raft.takeConfirmedReads();
    const refused = this.raft.takeRefused();
    const configuration = this.reportedConfiguration === log.configuration ? undefined : log.configuration;
    this.reportedConfiguration = log.configuration;
    return {
      messages: this.raft.persistence.takeMessages(),
      persist: this.raft.persistence.takeBatch(this.raft.termAndVote()),
      snapshotReads: leader?.replication.takeSnapshotReads() ?? NO_READS,
      snapshotChunks: this.raft.snapshot.takeChunks(),
      reads,
      configuration,
      refused,
    };
  }

  /** The batch of an earlier `Ready` is durable as a whole. */
  advance(batch: PersistBatch): void {
    this.raft.persistence.batchDurable(batch);
    this.raft.nowDurable();
  }
}
