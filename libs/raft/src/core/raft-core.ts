import { invariant, unreachable } from '@concordat/foundation';
import { encodeConfiguration } from './configuration-codec.js';
import { isVoter, votersOnly } from './configuration.js';
import { ElectionTimer, VoteTally } from './election.js';
import { acceptEntries } from './follower.js';
import { Leader, type Appended, type ProposalRefusal } from './leader.js';
import type { TransferRefusal } from './leadership-transfer.js';
import { RaftLog } from './log.js';
import { refuse, type MembershipChange, type MembershipRefusal, type Refused } from './membership.js';
import { messageFault } from './message-fault.js';
import { Outbox } from './outbox.js';
import type { ProgressState } from './progress.js';
import { DEFAULT_LIMITS } from './raft-core.types.js';
import type { CoreInspection, CoreLimits, RaftCoreOptions, RaftRole } from './raft-core.types.js';
import type { ConfirmedRead, PersistBatch, Ready, RefusedMessage } from './ready.js';
import type {
  AppendEntries,
  AppendEntriesAccepted,
  Configuration,
  HardState,
  Message,
  NodeId,
  ReadIndexReply,
  RequestPreVote,
  RequestVote,
  SnapshotChunk,
  SnapshotMetadata,
} from './types.js';

/** The term of the entry that a group's first configuration stands in; the first election is for the next one. */
const BOOTSTRAP_TERM = 1;
/** Refused messages reported one by one in a `Ready`; the others are only counted. */
const MAX_REPORTED_REFUSALS = 8;

/**
 * Raft without clock, disk or network (Ongaro & Ousterhout, "In Search of an Understandable Consensus
 * Algorithm", extended version, figure 2; Ongaro's thesis; shaped after etcd/raft). Inputs change the state in
 * memory and note what follows; `ready` hands that over: what to persist, send and apply.
 *
 * Persistence is asynchronous: while one batch is on its way to the disk the core goes on, and what it decides
 * rides in the next. This is plain Raft with slower messages, because no promise leaves before everything the
 * node knew when it made it is durable, and because the node counts itself (vote, match index) only then.
 *
 *     follower --timeout--> pre-candidate --quorum would vote--> candidate --quorum of durable votes--> leader
 *     follower --timeout-now--> candidate;  leader --no quorum for an election timeout, voted out--> follower
 *     any --higher term--> follower;  (pre-)candidate --leader of its term--> follower
 *
 * Invariants: the term never falls; one vote per term; one leader per term; a leader never changes its own
 * entries; committed entries never change.
 */
export class RaftCore {
  readonly nodeId: NodeId;
  private readonly limits: CoreLimits;
  private readonly log: RaftLog;
  private readonly outbox = new Outbox();
  private readonly electionTimer: ElectionTimer;

  private currentRole: RaftRole = 'follower';
  private currentTerm: number;
  private vote: NodeId;
  private knownLeader: NodeId | undefined;
  /** of a (pre-)candidate */
  private tally: VoteTally | undefined;
  private leader: Leader | undefined;
  /** ticks until it votes for the first time */
  private voteSilenceTicks: number;

  // persistence
  private handed: HardState;
  private durable: HardState;
  private pendingSnapshot: SnapshotMetadata | undefined;
  private inflight: PersistBatch | undefined;

  // for the next `Ready`
  private receivedChunk: SnapshotChunk | undefined;
  private isStoringChunk = false;
  private confirmedReads: ConfirmedRead[] = [];
  private refused: RefusedMessage[] = [];
  private refusedCount = 0;
  private reportedConfiguration: Configuration | undefined;

  constructor(private readonly options: RaftCoreOptions) {
    const { nodeId, hardState } = options;
    invariant(Number.isSafeInteger(nodeId) && nodeId > 0, 'a node id is a positive integer');
    invariant(options.electionTicks > options.heartbeatTicks, 'several heartbeats fit into an election timeout');
    this.nodeId = nodeId;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.log = new RaftLog(hardState, options.snapshot, options.entries ?? []);
    // An installed snapshot may have reached the disk just before the term it came with. No promise of that
    // term left this node then, so it has not voted in it.
    const behindSnapshot = this.log.lastTerm > hardState.term;
    this.currentTerm = behindSnapshot ? this.log.lastTerm : hardState.term;
    this.vote = behindSnapshot ? 0 : hardState.vote;
    this.handed = this.durable = hardState;
    this.electionTimer = new ElectionTimer(options.electionTicks, options.random);
    this.voteSilenceTicks = options.votesAtOnce === false ? options.electionTicks : 0;
    if (this.currentTerm === 0 && this.log.lastIndex === 0) this.bootstrap();
  }

  /** The first entry of every voter's log is the same, and so committed from the beginning. */
  private bootstrap(): void {
    const { bootstrapMembers } = this.options;
    if (bootstrapMembers.length === 0) return; // it joins: the leader brings it the log
    invariant(
      bootstrapMembers.some(({ nodeId }) => nodeId === this.nodeId),
      'a node is one of the members its group begins with',
    );
    const data = encodeConfiguration(votersOnly(bootstrapMembers));
    this.currentTerm = BOOTSTRAP_TERM;
    this.log.append([{ index: 1, term: BOOTSTRAP_TERM, kind: 'configuration', data }]);
    this.log.commitTo(1);
  }

  // --- what the node knows now

  get role(): RaftRole {
    return this.currentRole;
  }

  get term(): number {
    return this.currentTerm;
  }

  /** The leader of this term, as far as known. */
  get leaderId(): NodeId | undefined {
    return this.knownLeader;
  }

  get commitIndex(): number {
    return this.log.commitIndex;
  }

  get lastIndex(): number {
    return this.log.lastIndex;
  }

  /** In force on this node: the last one in its log, committed or not. */
  get configuration(): Configuration {
    return this.log.configuration;
  }

  /** Index of the entry that holds `configuration`. */
  get configurationIndex(): number {
    return this.log.configurationIndex;
  }

  /** Leader only: index of the no-op that opened its term; nothing is known of the past before it is committed. */
  get noOpIndex(): number {
    return this.leader?.openingIndex ?? 0;
  }

  /** Leader only: to whom leadership is being transferred. */
  get transferTarget(): NodeId | undefined {
    return this.leader?.transferTarget;
  }

  /** Leader only: whether a lease may stand for a round of heartbeats (thesis, section 6.4.1). */
  get mayTrustLease(): boolean {
    return this.leader?.mayTrustLease() ?? false;
  }

  /** Messages that contradicted the protocol and were ignored. */
  get refusedMessages(): number {
    return this.refusedCount;
  }

  /** Term of an entry that was not compacted. */
  termAt(index: number): number | undefined {
    return this.log.term(index);
  }

  /** What a snapshot at `index`, an applied one, has to say of itself. */
  snapshotMetadata(index: number): SnapshotMetadata {
    const term = this.log.term(index);
    invariant(term !== undefined && index <= this.log.commitIndex, 'a snapshot stands for committed entries');
    return { index, term, configuration: this.log.configurationAt(index) };
  }

  /** Leader only: what it knows of a follower. */
  peer(
    nodeId: NodeId,
  ): { readonly matchIndex: number; readonly state: ProgressState; readonly active: boolean } | undefined {
    const progress = this.leader?.replication.progressOf(nodeId);
    if (!progress) return undefined;
    const { matchIndex, state } = progress;
    return { matchIndex, state, active: this.leader!.replication.isActive(progress) };
  }

  /** Everything, in plain values. */
  inspect(): CoreInspection {
    const { log, leader } = this;
    return {
      role: this.currentRole,
      term: this.currentTerm,
      vote: this.vote,
      leaderId: this.knownLeader,
      startIndex: log.startIndex,
      lastIndex: log.lastIndex,
      persistedIndex: log.persistedIndex,
      commitIndex: log.commitIndex,
      configuration: log.configuration,
      configurationIndex: log.configurationIndex,
      transferTarget: leader?.transferTarget,
      followers: Array.from(leader?.replication.all() ?? [], (follower) => ({
        nodeId: follower.nodeId,
        state: follower.state,
        matchIndex: follower.matchIndex,
        nextIndex: follower.nextIndex,
        inflightMessages: follower.inflightMessages,
        active: leader!.replication.isActive(follower),
        caughtUp: leader!.replication.hasCaughtUp(follower),
      })),
    };
  }

  // --- inputs

  /** One unit of time went by. */
  tick(): void {
    if (this.voteSilenceTicks > 0) this.voteSilenceTicks--;
    if (this.leader) {
      if (!this.leader.tick()) this.becomeFollower(this.currentTerm, undefined);
    } else if (this.electionTimer.tick()) {
      this.electionTimer.reset();
      if (this.isElectable()) this.preCampaign();
    }
  }

  /** Appends commands to the leader's log, as many of the first as fit. */
  propose(commands: readonly Uint8Array[]): Appended | Refused<ProposalRefusal> {
    return this.leader ? this.leader.propose(commands) : refuse('NOT_LEADER', 'this node does not lead');
  }

  /** Leader only: appends the configuration that the change leads to; a joint one is left by itself later. */
  changeMembership(
    changes: readonly MembershipChange[],
  ): { readonly index: number } | Refused<MembershipRefusal | 'NOT_LEADER'> {
    return this.leader ? this.leader.changeMembership(changes) : refuse('NOT_LEADER', 'this node does not lead');
  }

  /** Leader only: begins to hand leadership over. Undefined when it has begun; `transferTarget` tells how long. */
  transferLeadership(target: NodeId): Refused<TransferRefusal | 'NOT_LEADER'> | undefined {
    return this.leader ? this.leader.transferTo(target) : refuse('NOT_LEADER', 'this node does not lead');
  }

  /**
   * Begins to hand leadership over to the most advanced living voter (thesis, section 3.10).
   * @returns whom, or undefined when this node does not lead or there is nobody
   */
  handOver(): NodeId | undefined {
    return this.leader?.handOver();
  }

  /**
   * Asks up to where the log must be applied for a linearizable read; `Ready.reads` brings the answer, if nothing
   * is lost and the leader stays. Repeat it with the same id, one that no earlier life of this node can have used.
   * @returns false when nobody can be asked now: no leader is known, or it has not committed in its term yet
   */
  readIndex(requestId: number): boolean {
    if (this.leader) return this.leader.addRead(this.nodeId, requestId);
    if (this.knownLeader === undefined) return false;
    this.outbox.send({
      type: 'read-index-request',
      from: this.nodeId,
      to: this.knownLeader,
      term: this.currentTerm,
      requestId,
    });
    return true;
  }

  /** Answers a request of `Ready.snapshotReads`; undefined when there is no such snapshot any more. */
  sendSnapshotChunk(to: NodeId, chunk: Parameters<Leader['replication']['sendSnapshotChunk']>[1]): void {
    this.leader?.replication.sendSnapshotChunk(to, chunk);
  }

  /** How far to compact when everything up to `index` is in a snapshot but a tail is kept for those slightly behind. */
  compactionIndex(index: number, maxEntries: number, maxBytes: number): number {
    return this.log.tailStart(index, maxEntries, maxBytes);
  }

  /** Forgets entries up to `index`: applied here and covered by a durable snapshot. */
  compact(index: number): void {
    this.log.compact(index);
  }

  /**
   * Takes in one message, from a member or not: a node may be behind in what it knows of the group (paper,
   * section 6). What is not sound, or contradicts what is certain here, is refused and counted.
   */
  step(message: Message): void {
    const fault = message.to === this.nodeId ? messageFault(message) : 'it is for another node';
    if (fault !== undefined || message.from === this.nodeId) return this.refuse(message, fault ?? 'it is its own');
    if (message.term > this.currentTerm) {
      if (this.disregards(message)) return;
      this.becomeFollower(message.term, undefined);
    }
    if (message.term < this.currentTerm) return this.answerStale(message);
    switch (message.type) {
      case 'request-pre-vote':
        return this.onRequestPreVote(message);
      case 'pre-vote-reply':
        return this.onVote(message.granted && this.currentRole === 'pre-candidate', message.from);
      case 'request-vote':
        return this.onRequestVote(message);
      case 'request-vote-reply':
        return this.onVote(message.granted && this.currentRole === 'candidate', message.from);
      case 'append-entries':
        return this.onAppendEntries(message);
      case 'append-entries-accepted':
        return this.onAccepted(message);
      case 'append-entries-refused':
        return this.leader?.replication.onRefused(message);
      case 'snapshot-chunk':
        return this.onSnapshotChunk(message);
      case 'snapshot-chunk-reply':
        return this.leader?.replication.onChunkReply(message);
      case 'timeout-now':
        if (!this.leader && this.isElectable()) this.campaign(true);
        return;
      case 'read-index-request':
        this.leader?.addRead(message.from, message.requestId);
        return;
      case 'read-index-reply':
        return this.onReadIndex(message);
      default:
        return unreachable(message, 'message');
    }
  }

  private refuse(message: Message, reason: string): void {
    this.refusedCount++;
    if (this.refused.length < MAX_REPORTED_REFUSALS)
      this.refused.push({ from: message.from, type: message.type, reason });
  }

  // --- output

  hasReady(): boolean {
    return (
      this.outbox.hasFree() ||
      (!this.inflight && this.isDirty()) ||
      this.log.hasCommitted() ||
      (this.leader?.hasWork() ?? false) ||
      this.confirmedReads.length > 0 ||
      this.receivedChunk !== undefined ||
      this.refused.length > 0 ||
      this.reportedConfiguration !== this.log.configuration
    );
  }

  ready(): Ready {
    const { leader } = this;
    leader?.replication.flush();
    const reads = [...this.confirmedReads, ...(leader?.hasConfirmedReads() ? leader.takeConfirmedReads() : [])];
    const { receivedChunk, refused } = this;
    const configuration = this.reportedConfiguration === this.log.configuration ? undefined : this.log.configuration;
    this.reportedConfiguration = this.log.configuration;
    this.confirmedReads = [];
    this.receivedChunk = undefined;
    this.refused = [];
    return {
      messages: this.outbox.takeFree(),
      persist: this.takeBatch(),
      committed: this.log.takeCommitted(this.limits.maxApplyBytes),
      snapshotReads: leader?.replication.takeSnapshotReads() ?? [],
      snapshotChunks: receivedChunk ? [receivedChunk] : [],
      reads,
      configuration,
      refused,
    };
  }

  /** The batch of an earlier `Ready` is durable as a whole. */
  advance(batch: PersistBatch): void {
    invariant(batch === this.inflight, 'the batch in flight is the one acknowledged');
    this.inflight = undefined;
    this.log.persistedBatch(batch.entries);
    this.durable = batch.hardState ?? this.durable;
    this.outbox.batchDurable();
    this.countOwnVote();
    this.advanceCommit();
  }

  // --- persistence

  private isDirty(): boolean {
    const { handed } = this;
    return (
      handed.term !== this.currentTerm ||
      handed.vote !== this.vote ||
      this.pendingSnapshot !== undefined ||
      this.log.hasUnhanded()
    );
  }

  /** A new commit index alone is not worth an fsync; it rides along. */
  private takeBatch(): PersistBatch | undefined {
    if (this.inflight || !this.isDirty()) return undefined;
    const hardState = { term: this.currentTerm, vote: this.vote, commitIndex: this.log.commitIndex };
    const changed =
      hardState.term !== this.handed.term ||
      hardState.vote !== this.handed.vote ||
      hardState.commitIndex !== this.handed.commitIndex;
    this.inflight = {
      hardState: changed ? hardState : undefined,
      snapshot: this.pendingSnapshot,
      entries: this.log.takeUnhanded(),
      messages: this.outbox.takeForBatch(),
    };
    this.handed = hardState;
    this.pendingSnapshot = undefined;
    return this.inflight;
  }

  private promise(message: Message): void {
    this.outbox.promise(message, this.isDirty(), this.inflight !== undefined);
  }

  private addressTo(to: NodeId): { readonly from: NodeId; readonly to: NodeId; readonly term: number } {
    return { from: this.nodeId, to, term: this.currentTerm };
  }

  // --- roles

  private becomeFollower(term: number, leaderId: NodeId | undefined): void {
    invariant(term >= this.currentTerm, 'the term never falls');
    if (term > this.currentTerm) {
      this.currentTerm = term;
      this.vote = 0;
    }
    if (this.leader) this.electionTimer.reset(); // it stood still while this node led
    this.currentRole = 'follower';
    this.knownLeader = leaderId;
    this.tally = undefined;
    this.leader = undefined;
  }

  /** Only who has a vote stands for election: no learner, nobody removed, nobody yet to be added. */
  private isElectable(): boolean {
    return isVoter(this.log.configuration, this.nodeId);
  }

  /** Asks whether an election could be won; nothing is raised, so nobody is disturbed (thesis, section 9.6). */
  private preCampaign(): void {
    this.beginElection('pre-candidate');
    this.tally!.grant(this.nodeId);
    if (this.tally!.hasWon()) return this.campaign(false);
    for (const to of this.otherVoters())
      this.promise({ type: 'request-pre-vote', ...this.addressTo(to), ...this.logEnd() });
  }

  /** Stands for election (paper, section 5.2); `transfer`: the leader itself asked for it. */
  private campaign(transfer: boolean): void {
    this.currentTerm++;
    this.vote = this.nodeId;
    this.beginElection('candidate');
    this.electionTimer.reset();
    for (const to of this.otherVoters())
      this.promise({ type: 'request-vote', ...this.addressTo(to), ...this.logEnd(), transfer });
  }

  private beginElection(role: 'candidate' | 'pre-candidate'): void {
    this.currentRole = role;
    this.knownLeader = undefined;
    this.tally = new VoteTally(this.log.configuration);
  }

  private otherVoters(): NodeId[] {
    const { voters, outgoing } = this.log.configuration;
    return [...new Set([...voters, ...outgoing])].filter((voter) => voter !== this.nodeId);
  }

  private logEnd(): { readonly lastLogIndex: number; readonly lastLogTerm: number } {
    return { lastLogIndex: this.log.lastIndex, lastLogTerm: this.log.lastTerm };
  }

  private becomeLeader(): void {
    invariant(this.durable.term === this.currentTerm, 'a leader never forgets its term');
    const { nodeId, limits, currentTerm: term } = this;
    const { electionTicks, heartbeatTicks } = this.options;
    this.currentRole = 'leader';
    this.knownLeader = nodeId;
    this.tally = undefined;
    this.leader = new Leader({ nodeId, term, electionTicks, heartbeatTicks, limits }, this.log, (message) =>
      this.outbox.send(message),
    );
  }

  // --- election

  /**
   * Whether it holds on to its leader, heard within the shortest election timeout (thesis, sections 4.2.3 and 6.2):
   * then a node that was cut off, or removed and never told, disturbs nobody.
   */
  private holdsOnToLeader(): boolean {
    if (this.leader) return true;
    return this.knownLeader !== undefined && this.electionTimer.isWithinMinimum();
  }

  /** Messages of a later term that do not count, not even for the term. */
  private disregards(message: Message): boolean {
    if (message.type === 'request-vote') return !message.transfer && this.holdsOnToLeader();
    return message.type === 'request-pre-vote' && this.holdsOnToLeader();
  }

  private onRequestPreVote(message: RequestPreVote): void {
    const granted =
      !this.holdsOnToLeader() &&
      this.voteSilenceTicks === 0 &&
      this.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
    this.promise({ type: 'pre-vote-reply', ...this.addressTo(message.from), granted });
  }

  private onRequestVote(message: RequestVote): void {
    const free = this.vote === message.from || (this.vote === 0 && this.knownLeader === undefined);
    const silent = this.voteSilenceTicks > 0 && !message.transfer;
    const granted = free && !silent && this.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
    if (granted) {
      this.vote = message.from;
      this.electionTimer.reset();
    }
    this.promise({ type: 'request-vote-reply', ...this.addressTo(message.from), granted });
  }

  private onVote(granted: boolean, voter: NodeId): void {
    if (!this.tally || !granted) return;
    this.tally.grant(voter);
    this.finishElection();
  }

  /** A candidate's own vote counts once it cannot forget it. */
  private countOwnVote(): void {
    if (this.currentRole !== 'candidate' || this.durable.term !== this.currentTerm) return;
    this.tally!.grant(this.nodeId);
    this.finishElection();
  }

  private finishElection(): void {
    if (!this.tally!.hasWon()) return;
    if (this.currentRole === 'pre-candidate') this.campaign(false);
    else if (this.durable.term === this.currentTerm) this.becomeLeader();
  }

  // --- replication

  private onAppendEntries(message: AppendEntries): void {
    if (!this.followsLeader(message)) return;
    const outcome = acceptEntries(this.log, message);
    const { previousIndex, round } = message;
    const address = this.addressTo(message.from);
    if (outcome.type === 'contradiction') return this.refuse(message, 'it contradicts what is committed here');
    if (outcome.type === 'accepted')
      return this.promise({ type: 'append-entries-accepted', ...address, matchIndex: outcome.matchIndex, round });
    const { hintIndex, hintTerm } = outcome;
    this.promise({ type: 'append-entries-refused', ...address, previousIndex, hintIndex, hintTerm, round });
  }

  /** Follows the sender as the leader of this term; false, and refused, when another one is known. */
  private followsLeader(message: Message): boolean {
    if (this.leader || (this.knownLeader !== undefined && this.knownLeader !== message.from)) {
      this.refuse(message, `node ${this.knownLeader} leads term ${this.currentTerm}`);
      return false;
    }
    this.becomeFollower(this.currentTerm, message.from);
    this.electionTimer.reset();
    return true;
  }

  private onAccepted(message: AppendEntriesAccepted): void {
    if (!this.leader) return;
    if (message.matchIndex > this.log.lastIndex) return this.refuse(message, 'nobody has more than its leader');
    this.leader.onAccepted(message);
    this.leaveIfOutvoted();
  }

  private advanceCommit(): void {
    this.leader?.advanceCommit();
    this.leaveIfOutvoted();
  }

  /** A leader leads until the configuration without it is committed, and no longer (paper, section 6). */
  private leaveIfOutvoted(): void {
    if (!this.leader?.isOutvoted()) return;
    this.leader.handOverOnLeaving();
    this.becomeFollower(this.currentTerm, undefined);
  }

  // --- snapshots

  /** A leader's snapshot, piece by piece (paper, section 7, figure 13); stored by the host, one piece at a time. */
  private onSnapshotChunk(message: SnapshotChunk): void {
    if (!this.followsLeader(message)) return;
    const { metadata } = message;
    if (this.log.matches(metadata.index, metadata.term)) this.log.commitTo(metadata.index);
    if (metadata.index <= this.log.commitIndex) return this.acceptCommitted(message.from);
    const isBusy = this.isStoringChunk || this.pendingSnapshot !== undefined || this.inflight?.snapshot !== undefined;
    if (isBusy) return; // one that comes meanwhile is lost, and asked for again
    this.receivedChunk = message;
    this.isStoringChunk = true;
  }

  /** A piece of `Ready.snapshotChunks` is stored, or was not taken; says how much of the whole is there. */
  snapshotChunkStored(
    chunk: SnapshotChunk,
    received: { readonly nextOffset: number; readonly complete: boolean },
  ): void {
    invariant(this.isStoringChunk, 'a piece is stored once');
    this.isStoringChunk = false;
    if (chunk.term !== this.currentTerm || this.knownLeader !== chunk.from) return; // another leader will ask
    const { index, term } = chunk.metadata;
    if (received.complete) {
      if (index > this.log.commitIndex) this.restore(chunk.metadata);
      return this.acceptCommitted(chunk.from);
    }
    const { nextOffset } = received;
    const address = this.addressTo(chunk.from);
    this.promise({ type: 'snapshot-chunk-reply', ...address, snapshotIndex: index, snapshotTerm: term, nextOffset });
  }

  private restore(metadata: SnapshotMetadata): void {
    if (this.log.matches(metadata.index, metadata.term)) {
      this.log.commitTo(metadata.index); // the entries came meanwhile, so the log goes on
    } else {
      this.log.restore(metadata);
      this.pendingSnapshot = metadata;
    }
  }

  private acceptCommitted(leaderId: NodeId): void {
    const { commitIndex } = this.log;
    this.promise({ type: 'append-entries-accepted', ...this.addressTo(leaderId), matchIndex: commitIndex, round: 0 });
  }

  // --- reads

  private onReadIndex({ from, requestId, index }: ReadIndexReply): void {
    if (!this.leader && from === this.knownLeader) this.confirmedReads.push({ requestId, index });
  }

  // --- other terms

  /** Whoever lives in the past is told the present term. */
  private answerStale(message: Message): void {
    const address = this.addressTo(message.from);
    switch (message.type) {
      case 'request-pre-vote':
        return this.promise({ type: 'pre-vote-reply', ...address, granted: false });
      case 'request-vote':
        return this.promise({ type: 'request-vote-reply', ...address, granted: false });
      case 'append-entries':
      case 'snapshot-chunk': {
        const nothing = { previousIndex: 0, hintIndex: 0, hintTerm: 0, round: 0 };
        return this.promise({ type: 'append-entries-refused', ...address, ...nothing });
      }
      default:
        return; // answers to what this node asked in an earlier term
    }
  }
}
