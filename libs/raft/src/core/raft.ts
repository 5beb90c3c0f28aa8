import { invariant, unreachable } from '@concordat/foundation';
import { ElectionTimer } from './election/election-timer.js';
import { VoteTally } from './election/vote-tally.js';
import { Voter, type LeaderKnowledge } from './election/voter.js';
import { Leader } from './leader.js';
import { RaftLog } from './log/log.js';
import { Persistence, type TermAndVote } from './log/persistence.js';
import { Addressing, type Address } from './membership/addressing.js';
import { BOOTSTRAP_TERM, bootstrapEntry } from './membership/bootstrap.js';
import { incarnationOf, isVoter } from './membership/configuration.js';
import { OtherIncarnations } from './membership/other-incarnations.js';
import { Newcomer } from './membership/newcomer.js';
import { messageFault } from './message-fault.js';
import { DEFAULT_LIMITS, type CoreLimits, type RaftCoreOptions } from './raft-core.types.js';
import type { ConfirmedRead, RefusedMessage } from './ready.js';
import { acceptEntries, appendAnswer } from './replication/follower.js';
import { staleAnswer } from './replication/stale-answer.js';
import type { CandidateRole, PreCandidateRole, Role } from './role.js';
import { chunkAnswer, SnapshotReceiving, type SnapshotProgress } from './snapshots/snapshot-receiving.js';
import type {
  AppendEntries,
  AppendEntriesAccepted,
  Configuration,
  Introduction,
  IntroductionReply,
  Message,
  NodeId,
  ReadIndexReply,
  RequestPreVote,
  RequestVote,
  SnapshotChunk,
} from './types.js';

/** Refused messages reported individually in a `Ready`; the others are only counted. */
const MAXIMUM_REPORTED_REFUSALS = 8;
const NOTHING: readonly never[] = [];

/** A write that takes this many election timeouts hangs: such a node must not lead. */
const HUNG_DISK_ELECTION_TIMEOUTS = 3;

/**
 * The rules for servers (paper, figure 2): what a node in each role does with a tick and with each message. It changes
 * term, vote, role and log in memory, and collects what must be sent and persisted; `RaftCore` passes that to the host.
 *
 *     follower --timeout--> pre-candidate --quorum would vote--> candidate --quorum of durable votes--> leader
 *     follower --timeout-now--> candidate;  leader --no quorum for an election timeout, voted out, disk hangs--> follower
 *     any --higher term--> follower;  (pre-)candidate --leader of its term--> follower
 *
 * Invariants: the term never falls; one vote per term; one leader per term; a leader never changes its own entries;
 * committed entries never change.
 */
export class Raft {
  readonly nodeId: NodeId;
  readonly log: RaftLog;
  readonly persistence: Persistence;
  readonly snapshot: SnapshotReceiving;
  readonly voter: Voter;
  readonly addressing: Addressing;
  readonly otherIncarnations: OtherIncarnations;
  readonly newcomer: Newcomer;
  /** nodes whose last message was for another group */
  readonly strangers = new Set<NodeId>();
  private readonly limits: CoreLimits;
  private readonly electionTimer: ElectionTimer;
  private currentRole: Role = { type: 'follower', leaderId: undefined };
  private currentTerm: number;

  /** messages for another incarnation of this node, or of another group */
  misdirectedCount = 0;
  refusedCount = 0;
  // for the next `Ready`
  private confirmedReads: readonly ConfirmedRead[] = NOTHING;
  private refused: readonly RefusedMessage[] = NOTHING;

  constructor(private readonly options: RaftCoreOptions) {
    const { nodeId, hardState } = options;
    invariant(Number.isSafeInteger(nodeId) && nodeId > 0, 'a node id is a positive integer');
    invariant(
      Number.isSafeInteger(options.incarnation) && options.incarnation > 0,
      'an incarnation is a positive integer',
    );
    invariant(options.electionTicks > options.heartbeatTicks, 'several heartbeats fit into an election timeout');
    this.nodeId = nodeId;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.log = new RaftLog(hardState, options.snapshot, options.entries ?? []);
    // An installed snapshot may have reached the disk just before the term it came with. No promise of that term left
    // this node then, so it has not voted in it.
    const behindSnapshot = this.log.lastTerm > hardState.term;
    this.currentTerm = behindSnapshot ? this.log.lastTerm : hardState.term;
    this.persistence = new Persistence(hardState, this.log, HUNG_DISK_ELECTION_TIMEOUTS * options.electionTicks);
    this.snapshot = new SnapshotReceiving(this.log, this.persistence);
    this.electionTimer = new ElectionTimer(options.electionTicks, options.random);
    const vote = behindSnapshot ? 0 : hardState.vote;
    const silenceTicks = options.votesAtOnce === false ? options.electionTicks : 0;
    this.voter = new Voter(vote, silenceTicks, this.electionTimer, this.log);
    const { incarnation, members = [], founds = false, electionTicks } = options;
    this.addressing = new Addressing(nodeId, incarnation, this.log);
    this.otherIncarnations = new OtherIncarnations(2 * electionTicks);
    const knowsOfGroup = this.currentTerm > 0;
    this.newcomer = new Newcomer({ members, founds, knowsOfGroup, electionTicks }, this.addressing, this.log);
    if (this.newcomer.isEmpty) this.introduceItself();
    this.foundIfAgreed();
  }

  get role(): Role {
    return this.currentRole;
  }

  get term(): number {
    return this.currentTerm;
  }

  get leader(): Leader | undefined {
    return this.currentRole.type === 'leader' ? this.currentRole.leader : undefined;
  }

  /** The leader of this term, if known. */
  get leaderId(): NodeId | undefined {
    if (this.currentRole.type === 'leader') return this.nodeId;
    return this.currentRole.type === 'follower' ? this.currentRole.leaderId : undefined;
  }

  termAndVote(): TermAndVote {
    return { term: this.currentTerm, vote: this.voter.vote };
  }

  /** Writes the first entry of a group, once per group. Only with an empty log. */
  found(configuration: Configuration): void {
    invariant(this.log.lastIndex === 0, 'a group is founded by a node with an empty log');
    invariant(isVoter(configuration, this.nodeId, this.addressing.incarnation), 'the founding node votes in its group');
    this.currentTerm = Math.max(this.currentTerm, BOOTSTRAP_TERM);
    this.log.append([bootstrapEntry(configuration)]);
    this.log.commitTo(1);
  }

  private introduceItself(): void {
    const { lastIndex: lastLogIndex } = this.log;
    const { founders } = this.newcomer;
    const term = Math.max(this.currentTerm, 1);
    for (const to of this.newcomer.recipients())
      this.persistence.send({ type: 'introduction', ...this.addressing.to(to, 0, term), lastLogIndex, founders });
  }

  private onIntroduction(message: Introduction): void {
    const { lastIndex: lastLogIndex } = this.log;
    const { founders } = this.newcomer;
    this.otherIncarnations.introduced(message);
    this.leader?.replication.introduced(message);
    this.persistence.send({
      type: 'introduction-reply',
      ...this.addressing.reply(message, Math.max(this.currentTerm, 1)),
      lastLogIndex,
      founders,
      leaderId: this.leaderId ?? 0,
      knownIncarnation: incarnationOf(this.log.configuration, message.from),
    });
    this.onAcquaintance(message);
  }

  private onAcquaintance(message: Introduction | IntroductionReply): void {
    if (!this.addressing.isForThisIncarnation(message)) return;
    this.newcomer.met(message);
    this.noteGroup();
    this.foundIfAgreed();
  }

  /** A directory with a term never founds a group, whatever other nodes lose. */
  private noteGroup(): void {
    if (this.newcomer.knowsOfGroup && this.currentTerm === 0) this.becomeFollower(BOOTSTRAP_TERM, undefined);
  }

  /** All first members are known, and none has a log: the group begins. */
  private foundIfAgreed(): void {
    const { newGroupId } = this.options;
    const configuration = newGroupId === undefined ? undefined : this.newcomer.agreedConfiguration(newGroupId);
    if (!configuration) return;
    this.found(configuration);
    this.preCampaign(); // only this node can
  }

  /** Whether this node handles the message as Raft. */
  private isAddressee(message: Message): boolean {
    const isOwnGroup = this.addressing.isOfThisGroup(message);
    if (isOwnGroup) this.strangers.delete(message.from);
    else this.noteStranger(message.from);
    if (isOwnGroup && this.addressing.isForThisIncarnation(message)) return true;
    const isLeaders = message.type === 'append-entries' || message.type === 'snapshot-chunk';
    if (isOwnGroup && isLeaders && message.term >= this.currentTerm) {
      this.newcomer.missed(message.from);
      this.noteGroup();
    }
    this.misdirectedCount++;
    return false;
  }

  /** One unit of time has passed. */
  tick(): void {
    this.voter.tick();
    this.persistence.tick();
    this.otherIncarnations.tick();
    if (this.newcomer.tick()) this.introduceItself();
    const role = this.currentRole;
    if (role.type === 'leader') this.tickLeader(role.leader);
    else if (this.electionTimer.tick()) this.electionTimeout();
    else if (role.type === 'pre-candidate' && role.repetitionsLeft-- > 0) this.askForPreVotes(role);
  }

  private tickLeader(leader: Leader): void {
    if (this.persistence.isHung) this.handOverAndLeave(leader);
    else if (!leader.tick()) this.becomeFollower(this.currentTerm, undefined);
  }

  private electionTimeout(): void {
    this.electionTimer.reset();
    if (this.isElectable()) this.preCampaign();
    else this.becomeFollower(this.currentTerm, undefined); // it has not waited for a leader, so it protects none
  }

  /**
   * Handles one message, from a member or not: this node's configuration may be old (paper, section 6). A message that
   * is invalid, or contradicts what is certain here, is refused and counted.
   */
  step(message: Message): void {
    const fault = message.to === this.nodeId ? messageFault(message) : 'it is for another node';
    if (fault !== undefined || message.from === this.nodeId)
      return this.refuse(message, fault ?? 'it is from this node itself');
    if (!this.isAddressee(message)) return;
    if (message.type === 'introduction') return this.onIntroduction(message);
    if (message.type === 'introduction-reply') return this.onAcquaintance(message);
    if (message.term > this.currentTerm) {
      if (this.voter.ignores(message, this.leaderKnowledge())) return;
      this.becomeFollower(message.term, undefined);
    }
    if (message.term < this.currentTerm) {
      const answer = staleAnswer(message, this.addressing.reply(message, this.currentTerm));
      if (answer) this.promise(answer);
      return;
    }
    switch (message.type) {
      case 'request-pre-vote':
        return this.onRequestPreVote(message);
      case 'pre-vote-reply':
        if (message.granted && this.currentRole.type === 'pre-candidate') this.countVote(this.currentRole, message);
        return;
      case 'request-vote':
        return this.onRequestVote(message);
      case 'request-vote-reply':
        if (message.granted && this.currentRole.type === 'candidate') this.countVote(this.currentRole, message);
        return;
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

  /** A node of another group has that id. */
  noteStranger(nodeId: NodeId): void {
    this.strangers.add(nodeId);
  }

  private refuse(message: Message, reason: string): void {
    this.refusedCount++;
    if (this.refused.length < MAXIMUM_REPORTED_REFUSALS)
      this.refused = [...this.refused, { from: message.from, type: message.type, reason }];
  }

  /** Whether there is something to take with the methods below. */
  hasReports(): boolean {
    return this.confirmedReads.length > 0 || this.refused.length > 0;
  }

  takeRefused(): readonly RefusedMessage[] {
    const { refused } = this;
    this.refused = NOTHING;
    return refused;
  }

  /** Answers the confirmed reads of other nodes; returns those of this node. */
  takeConfirmedReads(): readonly ConfirmedRead[] {
    const { leader } = this;
    const { confirmedReads } = this;
    this.confirmedReads = NOTHING;
    return leader?.hasConfirmedReads() ? [...confirmedReads, ...leader.takeConfirmedReads()] : confirmedReads;
  }

  /** Everything up to now is durable: the node's own vote and entries count. */
  nowDurable(): void {
    this.countOwnVote();
    this.leader?.advanceCommit();
    this.leaveIfOutvoted();
  }

  /** A message that depends on what the node knows now: it leaves when that is durable. */
  private promise(message: Message): void {
    this.persistence.promise(message, this.termAndVote());
  }

  /** To the incarnation in the configuration. */
  addressTo(to: NodeId): Address {
    return this.addressing.to(to, incarnationOf(this.log.configuration, to), this.currentTerm);
  }

  private replyTo(message: Message): Address {
    return this.addressing.reply(message, this.currentTerm);
  }

  private becomeFollower(term: number, leaderId: NodeId | undefined): void {
    invariant(term >= this.currentTerm, 'the term never falls');
    const isNewTerm = term > this.currentTerm;
    if (isNewTerm) {
      this.currentTerm = term;
      this.voter.newTerm();
    }
    const isSameLeader = this.leaderId === undefined || leaderId === undefined || leaderId === this.leaderId;
    invariant(isNewTerm || isSameLeader, 'a term has one leader');
    const role = this.currentRole;
    if (role.type === 'leader') this.electionTimer.reset(); // it was stopped while this node led
    if (role.type !== 'follower' || role.leaderId !== leaderId) this.currentRole = { type: 'follower', leaderId };
  }

  /**
   * Only a node with a vote stands for election: no learner, no removed node, no node not added yet. A removed voter
   * still does until the configuration without it is known to be committed: its log may be the only one with that
   * entry, and then no other node could win (thesis, section 4.2.2).
   */
  private isElectable(): boolean {
    if (this.persistence.isHung) return false; // its own vote would never count
    const { configuration, configurationIndex, commitIndex } = this.log;
    const { nodeId, incarnation } = this.addressing;
    if (isVoter(configuration, nodeId, incarnation)) return true;
    return configurationIndex > commitIndex && isVoter(this.log.configurationAt(commitIndex), nodeId, incarnation);
  }

  /** Asks whether an election could be won, without raising the term or disturbing a leader (thesis, section 9.6). */
  private preCampaign(): void {
    const repetitionsLeft = Math.floor(this.options.electionTicks / 2);
    const role: PreCandidateRole = { type: 'pre-candidate', tally: this.newTally(), repetitionsLeft };
    this.currentRole = role;
    role.tally.grant(this.nodeId, this.addressing.incarnation);
    if (role.tally.hasWon()) this.campaign(false);
    else this.askForPreVotes(role);
  }

  /**
   * Repeated with the next ticks: a voter that heard from the leader a little later, or ticks late, refuses only at
   * first.
   */
  private askForPreVotes({ tally }: PreCandidateRole): void {
    for (const to of this.otherVoters()) {
      if (tally.hasGranted(to)) continue;
      this.promise({ type: 'request-pre-vote', ...this.addressTo(to), ...this.logEnd() });
    }
  }

  /** Stands for election (paper, section 5.2); `transfer`: the leader asked for it. */
  private campaign(transfer: boolean): void {
    invariant(this.leader === undefined, 'a leader does not stand for election');
    this.currentTerm++;
    this.voter.newTerm();
    this.voter.voteFor(this.nodeId);
    this.currentRole = { type: 'candidate', tally: this.newTally() };
    this.electionTimer.reset();
    for (const to of this.otherVoters())
      this.promise({ type: 'request-vote', ...this.addressTo(to), ...this.logEnd(), transfer });
  }

  private newTally(): VoteTally {
    return new VoteTally(this.log.configuration);
  }

  private otherVoters(): NodeId[] {
    const { voters, outgoing } = this.log.configuration;
    return [...new Set([...voters, ...outgoing])].filter((voter) => voter !== this.nodeId);
  }

  private logEnd(): { readonly lastLogIndex: number; readonly lastLogTerm: number } {
    return { lastLogIndex: this.log.lastIndex, lastLogTerm: this.log.lastTerm };
  }

  private becomeLeader(): void {
    invariant(this.persistence.durableTerm === this.currentTerm, 'a leader never forgets its term');
    invariant(this.voter.vote === this.nodeId, 'a leader has voted for itself');
    const { nodeId, addressing, otherIncarnations, limits, currentTerm: term } = this;
    const { electionTicks, heartbeatTicks, sparesHeartbeats = false } = this.options;
    const timing = { electionTicks, heartbeatTicks, sparesHeartbeats };
    const options = { nodeId, addressing, otherIncarnations, term, limits, ...timing };
    const leader = new Leader(options, this.log, (message) => this.persistence.send(message));
    this.currentRole = { type: 'leader', leader };
  }

  private leaderKnowledge(): LeaderKnowledge {
    return { isLeader: this.currentRole.type === 'leader', knownLeader: this.leaderId };
  }

  private onRequestPreVote(message: RequestPreVote): void {
    const granted = this.voter.wouldVote(message, this.leaderKnowledge());
    this.promise({ type: 'pre-vote-reply', ...this.replyTo(message), granted });
  }

  private onRequestVote(message: RequestVote): void {
    const granted = this.voter.grantVote(message, this.leaderKnowledge());
    if (granted && this.currentRole.type === 'pre-candidate') this.becomeFollower(this.currentTerm, undefined);
    this.promise({ type: 'request-vote-reply', ...this.replyTo(message), granted });
  }

  private countVote(role: PreCandidateRole | CandidateRole, { from, fromIncarnation }: Message): void {
    role.tally.grant(from, fromIncarnation);
    this.finishElection(role);
  }

  /** A candidate's own vote counts once it is durable. */
  private countOwnVote(): void {
    const role = this.currentRole;
    if (role.type !== 'candidate' || this.persistence.durableTerm !== this.currentTerm) return;
    role.tally.grant(this.nodeId, this.addressing.incarnation);
    this.finishElection(role);
  }

  private finishElection({ type, tally }: PreCandidateRole | CandidateRole): void {
    if (!tally.hasWon()) return;
    if (type === 'pre-candidate') this.campaign(false);
    else if (this.persistence.durableTerm === this.currentTerm) this.becomeLeader();
  }

  private onAppendEntries(message: AppendEntries): void {
    if (!this.followsLeader(message)) return;
    const outcome = acceptEntries(this.log, message);
    if (outcome.type === 'contradiction') return this.refuse(message, 'it contradicts what is committed here');
    this.promise(appendAnswer(message, outcome, this.replyTo(message)));
  }

  /** Follows the sender as the leader of this term. Returns false, and refuses, when another one is known. */
  private followsLeader(message: Message): boolean {
    const { leaderId } = this;
    if (leaderId !== undefined && leaderId !== message.from) {
      this.refuse(message, `node ${leaderId} leads term ${this.currentTerm}`);
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

  /** A leader leads until the configuration without it is committed (paper, section 6). */
  private leaveIfOutvoted(): void {
    const { leader } = this;
    if (leader?.isOutvoted()) this.handOverAndLeave(leader);
  }

  private handOverAndLeave(leader: Leader): void {
    leader.handOverOnLeaving();
    this.becomeFollower(this.currentTerm, undefined);
  }

  private onSnapshotChunk(message: SnapshotChunk): void {
    if (this.followsLeader(message)) this.answerChunk(message, this.snapshot.onChunk(message));
  }

  /** A piece of `Ready.snapshotChunks` is stored, or was not; says how much of the whole is there. */
  snapshotChunkStored(
    chunk: SnapshotChunk,
    received: { readonly nextOffset: number; readonly complete: boolean },
  ): void {
    const isCurrent = chunk.term === this.currentTerm && this.leaderId === chunk.from;
    this.answerChunk(chunk, this.snapshot.onStored(chunk, received, isCurrent));
  }

  private answerChunk(chunk: SnapshotChunk, progress: SnapshotProgress | undefined): void {
    if (progress) this.promise(chunkAnswer(chunk, progress, this.log.commitIndex, this.replyTo(chunk)));
  }

  private onReadIndex({ from, requestId, index }: ReadIndexReply): void {
    if (from === this.leaderId) this.confirmedReads = [...this.confirmedReads, { requestId, index }];
  }
}
