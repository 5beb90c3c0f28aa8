import { invariant, unreachable } from '@concordat/foundation';
import type { Random } from '@concordat/foundation';
import { ElectionTimer, VoteTally } from './election.js';
import { acceptEntries } from './follower.js';
import { RaftLog } from './log.js';
import { Outbox } from './outbox.js';
import type { PersistBatch, Ready } from './ready.js';
import { Replication } from './replication.js';
import type {
  AppendEntries,
  AppendEntriesReply,
  Entry,
  EntryKind,
  HardState,
  InstallSnapshot,
  Message,
  NodeId,
  RequestVote,
  RequestVoteReply,
  Snapshot,
  SnapshotMetadata,
} from './types.js';

export type RaftRole = 'leader' | 'follower' | 'candidate';

/** Bounds of batches and windows; each has a default. */
export interface CoreLimits {
  /** bytes of entries per AppendEntries, 1 MiB */
  readonly maxMessageBytes: number;
  /** AppendEntries with entries on their way to one follower, 128 */
  readonly maxInflightMessages: number;
  /**
   * While this many AppendEntries are on their way to a follower, a further one is sent only with at least
   * `batchEntries` entries; fewer gather until an answer comes. 1, so that under load many proposals share one
   * message, one write of the follower and one answer.
   */
  readonly eagerMessages: number;
  /** entries that are worth a message of their own at any time, 256 */
  readonly batchEntries: number;
  /** bytes of entries on their way to one follower, 16 MiB */
  readonly maxInflightBytes: number;
  /** bytes of committed entries per `Ready`, 4 MiB */
  readonly maxApplyBytes: number;
}

export interface RaftCoreOptions {
  readonly nodeId: NodeId;
  /** every voter, this node among them */
  readonly voters: readonly NodeId[];
  readonly random: Random;
  /** a follower waits between n and 2n-1 ticks for a leader */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** what the disk had; for a new node term 0, vote 0, commitIndex 0 */
  readonly hardState: HardState;
  readonly snapshot?: SnapshotMetadata | undefined;
  readonly entries?: readonly Entry[];
  readonly limits?: Partial<CoreLimits>;
}

const DEFAULT_LIMITS: CoreLimits = {
  maxMessageBytes: 1024 * 1024,
  maxInflightMessages: 128,
  eagerMessages: 1,
  batchEntries: 256,
  maxInflightBytes: 16 * 1024 * 1024,
  maxApplyBytes: 4 * 1024 * 1024,
};

/** A snapshot on its way is given this many election timeouts before the follower is probed again. */
const SNAPSHOT_ELECTION_TIMEOUTS = 4;

const NO_DATA = new Uint8Array(0);

/**
 * Raft without clock, disk or network (Ongaro & Ousterhout, "In Search of an Understandable Consensus
 * Algorithm", extended version, figure 2; shaped after etcd/raft). Inputs change the state in memory and note
 * what follows; `ready` hands that over: what to persist, send and apply.
 *
 * Persistence is asynchronous: while one batch is on its way to the disk the core goes on, and what it decides
 * rides in the next. This is plain Raft with slower messages, because no promise leaves before everything the
 * node knew when it made it is durable, and because the node counts itself (vote, match index) only then.
 *
 *     follower --timeout--> candidate --quorum of durable votes--> leader
 *     any --higher term--> follower;  candidate --leader of its term--> follower
 *
 * Invariants: the term never falls; one vote per term; one leader per term; a leader never changes its own
 * entries; committed entries never change.
 *
 * Pre-vote and check-quorum would live in `election.ts`, read index beside the rounds in `replication.ts`,
 * membership where `voters` are kept, transfer beside `handOver`.
 */
export class RaftCore {
  readonly nodeId: NodeId;
  readonly voters: readonly NodeId[];
  private readonly limits: CoreLimits;
  private readonly log: RaftLog;
  private readonly outbox = new Outbox();
  private readonly electionTimer: ElectionTimer;

  private currentRole: RaftRole = 'follower';
  private currentTerm: number;
  private vote: NodeId;
  private knownLeader: NodeId | undefined;

  // candidate
  private tally: VoteTally | undefined;
  // leader
  private replication: Replication | undefined;
  private heartbeatElapsed = 0;
  private openingIndex = 0;
  private reportedRound = 0;

  // persistence
  private handed: HardState;
  private durable: HardState;
  private pendingSnapshot: Snapshot | undefined;
  private inflight: PersistBatch | undefined;

  constructor(private readonly options: RaftCoreOptions) {
    const { nodeId, voters, hardState } = options;
    invariant(voters.includes(nodeId), 'a node is one of its voters');
    invariant(new Set(voters).size === voters.length, 'voters are distinct');
    invariant(
      voters.every((voter) => Number.isSafeInteger(voter) && voter > 0),
      'node ids are positive integers',
    );
    invariant(options.electionTicks > options.heartbeatTicks, 'several heartbeats fit into an election timeout');
    this.nodeId = nodeId;
    this.voters = voters;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.log = new RaftLog(hardState, options.snapshot, options.entries ?? []);
    // An installed snapshot may have reached the disk just before the term it came with. No promise of that
    // term left this node then, so it has not voted in it.
    const behindSnapshot = this.log.lastTerm > hardState.term;
    this.currentTerm = behindSnapshot ? this.log.lastTerm : hardState.term;
    this.vote = behindSnapshot ? 0 : hardState.vote;
    this.handed = this.durable = hardState;
    this.electionTimer = new ElectionTimer(options.electionTicks, options.random);
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

  /** Leader only: index of the no-op that opened its term; nothing is known of the past before it is committed. */
  get noOpIndex(): number {
    return this.openingIndex;
  }

  /** Term of an entry that was not compacted. */
  termAt(index: number): number | undefined {
    return this.log.term(index);
  }

  /** Leader only: what it knows of a follower. */
  peer(nodeId: NodeId): { readonly matchIndex: number; readonly active: boolean } | undefined {
    const progress = this.replication?.progressOf(nodeId);
    return progress && { matchIndex: progress.matchIndex, active: this.replication!.isActive(progress) };
  }

  // --- inputs

  /** One unit of time went by. */
  tick(): void {
    if (!this.replication) {
      if (this.electionTimer.tick()) this.campaign();
      return;
    }
    this.replication.tick();
    if (++this.heartbeatElapsed < this.options.heartbeatTicks) return;
    this.heartbeatElapsed = 0;
    this.replication.heartbeat();
  }

  /**
   * Appends commands to the leader's log.
   * @returns index of the first, or undefined when this node does not lead: then nothing was appended
   */
  propose(commands: readonly Uint8Array[]): number | undefined {
    if (!this.replication) return undefined;
    const firstIndex = this.log.lastIndex + 1;
    this.appendOwn('normal', commands);
    return firstIndex;
  }

  /**
   * Starts a round of heartbeats by which a quorum confirms this leader. `Ready.confirmedRound` reports it,
   * not before the leader's own no-op is committed. What was committed when the round began is then known to
   * be everything committed by anyone up to that moment (paper, section 8).
   * @returns the round, or undefined when this node does not lead
   */
  confirmLeadership(): number | undefined {
    return this.replication?.startRound();
  }

  /**
   * Asks the most advanced follower to stand for election at once (thesis, section 3.10).
   * @returns whom, or undefined when this node does not lead or no living follower has the whole log yet
   */
  handOver(): NodeId | undefined {
    const target = this.replication?.mostAdvanced();
    if (!target || target.matchIndex < this.log.lastIndex) return undefined;
    this.outbox.send({ type: 'timeout-now', from: this.nodeId, to: target.nodeId, term: this.currentTerm });
    return target.nodeId;
  }

  /** Answers a request of `Ready.snapshotRequests`; ignored when the follower no longer waits. */
  sendSnapshot(to: NodeId, snapshot: Snapshot): void {
    this.replication?.sendSnapshot(to, snapshot);
  }

  /** How far to compact when everything up to `index` is in a snapshot but a tail is kept for those slightly behind. */
  compactionIndex(index: number, maxEntries: number, maxBytes: number): number {
    return this.log.tailStart(index, maxEntries, maxBytes);
  }

  /** Forgets entries up to `index`: applied here and covered by a durable snapshot. */
  compact(index: number): void {
    this.log.compact(index);
  }

  /** Takes in one message. Messages of strangers and for others are ignored. */
  step(message: Message): void {
    if (message.to !== this.nodeId || message.from === this.nodeId || !this.voters.includes(message.from)) return;
    if (message.term > this.currentTerm) this.becomeFollower(message.term, undefined);
    if (message.term < this.currentTerm) return this.answerStale(message);
    switch (message.type) {
      case 'request-vote':
        return this.onRequestVote(message);
      case 'request-vote-reply':
        return this.onVote(message);
      case 'append-entries':
        return this.onAppendEntries(message);
      case 'append-entries-reply':
        return this.onAppendEntriesReply(message);
      case 'install-snapshot':
        return this.onInstallSnapshot(message);
      case 'timeout-now':
        if (!this.replication) this.campaign();
        return;
      default:
        return unreachable(message, 'message');
    }
  }

  // --- output

  hasReady(): boolean {
    return (
      this.outbox.hasFree() ||
      (!this.inflight && this.isDirty()) ||
      this.log.hasCommitted() ||
      (this.replication?.hasWork() ?? false) ||
      this.newlyConfirmedRound() !== undefined
    );
  }

  ready(): Ready {
    this.replication?.flush();
    const confirmedRound = this.newlyConfirmedRound();
    if (confirmedRound !== undefined) this.reportedRound = confirmedRound;
    return {
      messages: this.outbox.takeFree(),
      persist: this.takeBatch(),
      committed: this.log.takeCommitted(this.limits.maxApplyBytes),
      snapshotRequests: this.replication?.takeSnapshotRequests() ?? [],
      confirmedRound,
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

  // --- roles

  private becomeFollower(term: number, leaderId: NodeId | undefined): void {
    invariant(term >= this.currentTerm, 'the term never falls');
    if (term > this.currentTerm) {
      this.currentTerm = term;
      this.vote = 0;
    }
    if (this.replication) this.electionTimer.reset(); // it stood still while this node led
    this.currentRole = 'follower';
    this.knownLeader = leaderId;
    this.tally = undefined;
    this.replication = undefined;
  }

  private campaign(): void {
    this.currentRole = 'candidate';
    this.currentTerm++;
    this.vote = this.nodeId;
    this.knownLeader = undefined;
    this.tally = new VoteTally(this.voters);
    this.electionTimer.reset();
    for (const voter of this.voters) {
      if (voter === this.nodeId) continue;
      this.promise({
        type: 'request-vote',
        from: this.nodeId,
        to: voter,
        term: this.currentTerm,
        lastLogIndex: this.log.lastIndex,
        lastLogTerm: this.log.lastTerm,
      });
    }
  }

  private becomeLeader(): void {
    invariant(this.durable.term === this.currentTerm, 'a leader never forgets its term');
    this.currentRole = 'leader';
    this.knownLeader = this.nodeId;
    this.tally = undefined;
    this.heartbeatElapsed = 0;
    this.reportedRound = 0;
    this.replication = new Replication(
      {
        nodeId: this.nodeId,
        voters: this.voters,
        term: this.currentTerm,
        maxMessageBytes: this.limits.maxMessageBytes,
        maxInflightMessages: this.limits.maxInflightMessages,
        maxInflightBytes: this.limits.maxInflightBytes,
        eagerMessages: this.limits.eagerMessages,
        batchEntries: this.limits.batchEntries,
        activeTicks: this.options.electionTicks,
        snapshotTicks: this.options.electionTicks * SNAPSHOT_ELECTION_TIMEOUTS,
      },
      this.log,
      (message) => this.outbox.send(message),
    );
    // It finds out what is committed, and announces the new leader (paper, section 8).
    this.openingIndex = this.log.lastIndex + 1;
    this.appendOwn('no-op', [NO_DATA]);
  }

  private appendOwn(kind: EntryKind, commands: readonly Uint8Array[]): void {
    const firstIndex = this.log.lastIndex + 1;
    const term = this.currentTerm;
    this.log.append(commands.map((data, position) => ({ index: firstIndex + position, term, kind, data })));
  }

  // --- election

  private onRequestVote(message: RequestVote): void {
    const free = this.vote === message.from || (this.vote === 0 && this.knownLeader === undefined);
    const granted = free && this.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
    if (granted) {
      invariant(this.vote === 0 || this.vote === message.from, 'a node votes once in a term');
      this.vote = message.from;
      this.electionTimer.reset();
    }
    this.promise({
      type: 'request-vote-reply',
      from: this.nodeId,
      to: message.from,
      term: this.currentTerm,
      granted,
    });
  }

  private onVote(message: RequestVoteReply): void {
    if (!this.tally || !message.granted) return;
    this.tally.grant(message.from);
    if (this.tally.hasWon()) this.becomeLeader();
  }

  /** A candidate's own vote counts once it cannot forget it. */
  private countOwnVote(): void {
    if (!this.tally || this.durable.term !== this.currentTerm) return;
    this.tally.grant(this.nodeId);
    if (this.tally.hasWon()) this.becomeLeader();
  }

  // --- replication

  private onAppendEntries(message: AppendEntries): void {
    this.followLeader(message.from);
    const outcome = acceptEntries(this.log, message);
    this.promise({
      type: 'append-entries-reply',
      from: this.nodeId,
      to: message.from,
      term: this.currentTerm,
      success: outcome.success,
      matchIndex: outcome.success ? outcome.matchIndex : message.previousIndex,
      hintIndex: outcome.success ? 0 : outcome.hintIndex,
      hintTerm: outcome.success ? 0 : outcome.hintTerm,
      round: message.round,
    });
  }

  private followLeader(leaderId: NodeId): void {
    invariant(this.currentRole !== 'leader', 'a term has one leader');
    invariant(this.knownLeader === undefined || this.knownLeader === leaderId, 'a term has one leader');
    this.becomeFollower(this.currentTerm, leaderId);
    this.electionTimer.reset();
  }

  private onAppendEntriesReply(message: AppendEntriesReply): void {
    if (!this.replication) return;
    invariant(!message.success || message.matchIndex <= this.log.lastIndex, 'nobody has more than its leader');
    this.replication.onReply(message);
    this.advanceCommit();
  }

  private onInstallSnapshot(message: InstallSnapshot): void {
    this.followLeader(message.from);
    const { metadata } = message.snapshot;
    if (metadata.index > this.log.commitIndex) {
      if (this.log.matches(metadata.index, metadata.term)) {
        this.log.commitTo(metadata.index);
      } else {
        this.log.restore(metadata);
        this.pendingSnapshot = message.snapshot;
      }
    }
    this.promise({
      type: 'append-entries-reply',
      from: this.nodeId,
      to: message.from,
      term: this.currentTerm,
      success: true,
      matchIndex: this.log.commitIndex,
      hintIndex: 0,
      hintTerm: 0,
      round: 0,
    });
  }

  /** Only entries of the own term are committed by counting; older ones with them (paper, 5.4.2, figure 8). */
  private advanceCommit(): void {
    if (!this.replication) return;
    const index = this.replication.quorumIndex();
    if (index > this.log.commitIndex && this.log.term(index) === this.currentTerm) this.log.commitTo(index);
  }

  private newlyConfirmedRound(): number | undefined {
    if (!this.replication || this.log.commitIndex < this.openingIndex) return undefined;
    const round = this.replication.confirmedRound();
    return round > this.reportedRound ? round : undefined;
  }

  /** Whoever lives in the past is told the present term. */
  private answerStale(message: Message): void {
    const address = { from: this.nodeId, to: message.from, term: this.currentTerm };
    if (message.type === 'request-vote') {
      this.promise({ type: 'request-vote-reply', ...address, granted: false });
    } else if (message.type === 'append-entries' || message.type === 'install-snapshot') {
      this.promise({
        type: 'append-entries-reply',
        ...address,
        success: false,
        matchIndex: 0,
        hintIndex: 0,
        hintTerm: 0,
        round: 0,
      });
    }
  }
}
