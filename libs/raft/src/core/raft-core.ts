import { invariant, unreachable } from '@concordat/foundation';
import { Addressing, type Address } from './membership/addressing.js';
import { BOOTSTRAP_TERM, bootstrapEntry } from './membership/bootstrap.js';
import { incarnationOf, isVoter } from './membership/configuration.js';
import { ElectionTimer } from './election/election-timer.js';
import { VoteTally } from './election/vote-tally.js';
import { Encounters } from './membership/encounters.js';
import { acceptEntries } from './replication/follower.js';
import type { CandidateRole, PreCandidateRole, Role } from './role.js';
import { Leader, type Appended, type ProposalRefusal } from './leader.js';
import type { TransferRefusal } from './election/leadership-transfer.js';
import { RaftLog } from './log/log.js';
import { refuse, type MembershipChange, type MembershipRefusal, type Refused } from './membership/membership.js';
import { messageFault } from './message-fault.js';
import { inspectLeader, inspectLog } from './inspection.js';
import { Newcomer } from './membership/newcomer.js';
import { Persistence, type TermAndVote } from './log/persistence.js';
import type { ProgressState } from './replication/progress.js';
import { SnapshotReceiving, type SnapshotProgress } from './snapshots/snapshot-receiving.js';
import { staleAnswer } from './replication/stale-answer.js';
import { standingOf, type Standing } from './membership/standing.js';
import { Voter, type LeaderSight } from './election/voter.js';
import { DEFAULT_LIMITS } from './raft-core.types.js';
import type { CoreInspection, CoreLimits, RaftCoreOptions, RaftRole } from './raft-core.types.js';
import type { ConfirmedRead, PersistBatch, Ready, RefusedMessage } from './ready.js';
import type {
  AppendEntries,
  AppendEntriesAccepted,
  Configuration,
  Incarnation,
  Introduction,
  IntroductionReply,
  Message,
  NodeId,
  ReadIndexReply,
  RequestPreVote,
  RequestVote,
  SnapshotChunk,
  SnapshotMetadata,
} from './types.js';

/** Refused messages reported one by one in a `Ready`; the others are only counted. */
const MAXIMUM_REPORTED_REFUSALS = 8;

/** A write that does not return within so many election timeouts hangs: nobody is led by such a disk. */
const HUNG_DISK_ELECTION_TIMEOUTS = 3;

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
 *     follower --timeout-now--> candidate;  leader --no quorum for an election timeout, voted out, disk hangs--> follower
 *     any --higher term--> follower;  (pre-)candidate --leader of its term--> follower
 *
 * Invariants: the term never falls; one vote per term; one leader per term; a leader never changes its own
 * entries; committed entries never change.
 */
export class RaftCore {
  readonly nodeId: NodeId;
  private readonly limits: CoreLimits;
  private readonly log: RaftLog;
  private readonly persistence: Persistence;
  private readonly snapshot: SnapshotReceiving;
  private readonly electionTimer: ElectionTimer;
  private readonly voter: Voter;
  private readonly addressing: Addressing;
  private readonly encounters: Encounters;
  private readonly newcomer: Newcomer;
  /** who spoke last for another group */
  private readonly strangers = new Set<NodeId>();
  private misdirectedCount = 0;

  private currentRole: Role = { type: 'follower', leaderId: undefined };
  private currentTerm: number;

  // for the next `Ready`
  private confirmedReads: ConfirmedRead[] = [];
  private refused: RefusedMessage[] = [];
  private refusedCount = 0;
  private reportedConfiguration: Configuration | undefined;

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
    // An installed snapshot may have reached the disk just before the term it came with. No promise of that
    // term left this node then, so it has not voted in it.
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
    this.encounters = new Encounters(2 * electionTicks);
    const knowsOfGroup = this.currentTerm > 0;
    this.newcomer = new Newcomer({ members, founds, knowsOfGroup, electionTicks }, this.addressing, this.log);
    this.beNew();
  }

  // --- before the group knows this node

  /** Writes the first entry of a group, which nobody else writes otherwise. Only with an empty log. */
  found(configuration: Configuration): void {
    invariant(this.log.lastIndex === 0, 'a group is founded by a node with an empty log');
    invariant(isVoter(configuration, this.nodeId, this.addressing.incarnation), 'whoever founds a group votes in it');
    this.currentTerm = Math.max(this.currentTerm, BOOTSTRAP_TERM);
    this.log.append([bootstrapEntry(configuration)]);
    this.log.commitTo(1);
  }

  private beNew(): void {
    if (this.newcomer.isEmpty) this.introduceItself();
    this.foundIfAgreed();
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
    this.encounters.introduced(message);
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

  /** A directory that is in a term founds no group any more, whoever loses what and whenever it starts. */
  private noteGroup(): void {
    if (this.newcomer.knowsOfGroup && this.currentTerm === 0) this.becomeFollower(BOOTSTRAP_TERM, undefined);
  }

  /** All first members are there, and nobody has a past: the group begins. */
  private foundIfAgreed(): void {
    const { newGroupId } = this.options;
    const configuration = newGroupId === undefined ? undefined : this.newcomer.agreedConfiguration(newGroupId);
    if (!configuration) return;
    this.found(configuration);
    this.preCampaign(); // nobody else can
  }

  /** Whether the message is one for this node to take in as Raft. */
  private isAddressee(message: Message): boolean {
    const isOwnGroup = this.addressing.isOfThisGroup(message);
    if (isOwnGroup) this.strangers.delete(message.from);
    else this.metStranger(message.from);
    if (isOwnGroup && this.addressing.isForThisIncarnation(message)) return true;
    const isLeaders = message.type === 'append-entries' || message.type === 'snapshot-chunk';
    if (isOwnGroup && isLeaders && message.term >= this.currentTerm) {
      this.newcomer.missed(message.from);
      this.noteGroup();
    }
    this.misdirectedCount++;
    return false;
  }

  // --- what the node knows now

  /** Of this node's directory. */
  get incarnation(): Incarnation {
    return this.addressing.incarnation;
  }

  get role(): RaftRole {
    return this.currentRole.type;
  }

  private get leader(): Leader | undefined {
    return this.currentRole.type === 'leader' ? this.currentRole.leader : undefined;
  }

  get term(): number {
    return this.currentTerm;
  }

  /** Whom this node voted for in the present term; 0 for nobody yet. */
  get vote(): NodeId {
    return this.voter.vote;
  }

  /** The leader of this term, as far as known. */
  get leaderId(): NodeId | undefined {
    if (this.currentRole.type === 'leader') return this.nodeId;
    return this.currentRole.type === 'follower' ? this.currentRole.leaderId : undefined;
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

  /** Whether a write has not returned for so long that this node neither leads nor stands for election. */
  get isDiskHung(): boolean {
    return this.persistence.isHung;
  }

  /** Messages that contradicted the protocol and were ignored. */
  get refusedMessages(): number {
    return this.refusedCount;
  }

  /** Messages meant for another incarnation of this node, or of another group: they were passed over. */
  get misdirectedMessages(): number {
    return this.misdirectedCount;
  }

  /** Where this node stands with its group, and what keeps it from being a member. */
  get standing(): Standing {
    const { nodeId, log, newcomer, encounters, strangers, leaderId } = this;
    const { incarnation } = this.addressing;
    return standingOf({ nodeId, incarnation, log, newcomer, encounters, strangers, leaderId });
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
    const replication = this.leader?.replication;
    const progress = replication?.progressOf(nodeId);
    if (!replication || !progress) return undefined;
    const { matchIndex, state } = progress;
    return { matchIndex, state, active: replication.isActive(progress) };
  }

  /** Everything, in plain values. */
  inspect(): CoreInspection {
    return {
      role: this.role,
      term: this.currentTerm,
      vote: this.voter.vote,
      leaderId: this.leaderId,
      ...inspectLog(this.log),
      ...inspectLeader(this.leader),
    };
  }

  // --- inputs

  /** One unit of time went by. */
  tick(): void {
    this.voter.tick();
    this.persistence.tick();
    this.encounters.tick();
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
    else this.becomeFollower(this.currentTerm, undefined); // it has waited for nobody, so it holds on to nobody
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
    const { leaderId } = this;
    if (leaderId === undefined || this.newcomer.isEmpty) return false;
    this.persistence.send({ type: 'read-index-request', ...this.addressTo(leaderId), requestId });
    return true;
  }

  /** Leader only: whether a follower needs the log behind the last snapshot, which it is being sent or has just got. */
  get needsLog(): boolean {
    return this.leader?.replication.needsLog ?? false;
  }

  /** Answers a request of `Ready.snapshotReads`; undefined when there is no such snapshot any more. */
  sendSnapshotChunk(to: NodeId, chunk: Parameters<Leader['replication']['sendSnapshotChunk']>[1]): void {
    this.leader?.replication.sendSnapshotChunk(to, chunk);
  }

  /** How far to compact when everything up to `index` is in a snapshot but a tail is kept for those slightly behind. */
  compactionIndex(index: number, maximumEntries: number, maximumBytes: number): number {
    return this.log.tailStart(index, maximumEntries, maximumBytes);
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
    if (!this.isAddressee(message)) return;
    if (message.type === 'introduction') return this.onIntroduction(message);
    if (message.type === 'introduction-reply') return this.onAcquaintance(message);
    if (message.term > this.currentTerm) {
      if (this.voter.disregards(message, this.sight())) return;
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

  /** A node of another group carries that id. */
  metStranger(nodeId: NodeId): void {
    this.strangers.add(nodeId);
  }

  private refuse(message: Message, reason: string): void {
    this.refusedCount++;
    if (this.refused.length < MAXIMUM_REPORTED_REFUSALS)
      this.refused.push({ from: message.from, type: message.type, reason });
  }

  // --- output

  hasReady(): boolean {
    return (
      this.persistence.hasOutput(this.termAndVote()) ||
      this.log.hasCommitted() ||
      (this.leader?.hasWork() ?? false) ||
      this.confirmedReads.length > 0 ||
      this.snapshot.hasChunk() ||
      this.refused.length > 0 ||
      this.reportedConfiguration !== this.log.configuration
    );
  }

  ready(): Ready {
    const { leader } = this;
    leader?.replication.flush();
    const reads = [...this.confirmedReads, ...(leader?.hasConfirmedReads() ? leader.takeConfirmedReads() : [])];
    const { refused } = this;
    const configuration = this.reportedConfiguration === this.log.configuration ? undefined : this.log.configuration;
    this.reportedConfiguration = this.log.configuration;
    this.confirmedReads = [];
    this.refused = [];
    return {
      messages: this.persistence.takeMessages(),
      persist: this.persistence.takeBatch(this.termAndVote()),
      committed: this.log.takeCommitted(this.limits.maximumApplyBytes),
      snapshotReads: leader?.replication.takeSnapshotReads() ?? [],
      snapshotChunks: this.snapshot.takeChunks(),
      reads,
      configuration,
      refused,
    };
  }

  /** The batch of an earlier `Ready` is durable as a whole. */
  advance(batch: PersistBatch): void {
    this.persistence.batchDurable(batch);
    this.countOwnVote();
    this.advanceCommit();
  }

  private termAndVote(): TermAndVote {
    return { term: this.currentTerm, vote: this.voter.vote };
  }

  /** A message that says what the node knows now: it leaves when a crash cannot take that back any more. */
  private promise(message: Message): void {
    this.persistence.promise(message, this.termAndVote());
  }

  /** To the incarnation that the configuration names. */
  private addressTo(to: NodeId): Address {
    return this.addressing.to(to, incarnationOf(this.log.configuration, to), this.currentTerm);
  }

  private replyTo(message: Message): Address {
    return this.addressing.reply(message, this.currentTerm);
  }

  // --- roles

  private becomeFollower(term: number, leaderId: NodeId | undefined): void {
    invariant(term >= this.currentTerm, 'the term never falls');
    if (term > this.currentTerm) {
      this.currentTerm = term;
      this.voter.vote = 0;
    }
    if (this.leader) this.electionTimer.reset(); // it stood still while this node led
    this.currentRole = { type: 'follower', leaderId };
  }

  /**
   * Only who has a vote stands for election: no learner, nobody removed, nobody yet to be added. But who had one
   * still does while the configuration that takes it away is not known to be committed: its log may be the only one
   * that holds it, and then nobody else could win (thesis, section 4.2.2).
   */
  private isElectable(): boolean {
    if (this.persistence.isHung) return false; // its own vote would never count
    const { configuration, configurationIndex, commitIndex } = this.log;
    const { nodeId, incarnation } = this.addressing;
    if (isVoter(configuration, nodeId, incarnation)) return true;
    return configurationIndex > commitIndex && isVoter(this.log.configurationAt(commitIndex), nodeId, incarnation);
  }

  /** Asks whether an election could be won; nothing is raised, so nobody is disturbed (thesis, section 9.6). */
  private preCampaign(): void {
    const repetitionsLeft = Math.floor(this.options.electionTicks / 2);
    const role: PreCandidateRole = { type: 'pre-candidate', tally: this.newTally(), repetitionsLeft };
    this.currentRole = role;
    role.tally.grant(this.nodeId, this.addressing.incarnation);
    if (role.tally.hasWon()) this.campaign(false);
    else this.askForPreVotes(role);
  }

  /** Also with the next ticks: a voter that heard from the leader a little later, or ticks late, says no only at first. */
  private askForPreVotes({ tally }: PreCandidateRole): void {
    for (const to of this.otherVoters()) {
      if (tally.hasGranted(to)) continue;
      this.promise({ type: 'request-pre-vote', ...this.addressTo(to), ...this.logEnd() });
    }
  }

  /** Stands for election (paper, section 5.2); `transfer`: the leader itself asked for it. */
  private campaign(transfer: boolean): void {
    this.currentTerm++;
    this.voter.vote = this.nodeId;
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
    const { nodeId, addressing, encounters, limits, currentTerm: term } = this;
    const { electionTicks, heartbeatTicks } = this.options;
    const options = { nodeId, addressing, encounters, term, electionTicks, heartbeatTicks, limits };
    const leader = new Leader(options, this.log, (message) => this.persistence.send(message));
    this.currentRole = { type: 'leader', leader };
  }

  // --- election

  private sight(): LeaderSight {
    return { isLeader: this.role === 'leader', knownLeader: this.leaderId };
  }

  private onRequestPreVote(message: RequestPreVote): void {
    const granted = this.voter.wouldVote(message, this.sight());
    this.promise({ type: 'pre-vote-reply', ...this.replyTo(message), granted });
  }

  private onRequestVote(message: RequestVote): void {
    const granted = this.voter.giveVote(message, this.sight());
    if (granted && this.role === 'pre-candidate') this.becomeFollower(this.currentTerm, undefined);
    this.promise({ type: 'request-vote-reply', ...this.replyTo(message), granted });
  }

  private countVote(role: PreCandidateRole | CandidateRole, { from, fromIncarnation }: Message): void {
    role.tally.grant(from, fromIncarnation);
    this.finishElection(role);
  }

  /** A candidate's own vote counts once it cannot forget it. */
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

  // --- replication

  private onAppendEntries(message: AppendEntries): void {
    if (!this.followsLeader(message)) return;
    const outcome = acceptEntries(this.log, message);
    const { previousIndex, round } = message;
    const address = this.replyTo(message);
    if (outcome.type === 'contradiction') return this.refuse(message, 'it contradicts what is committed here');
    if (outcome.type === 'accepted')
      return this.promise({ type: 'append-entries-accepted', ...address, matchIndex: outcome.matchIndex, round });
    const { hintIndex, hintTerm } = outcome;
    this.promise({ type: 'append-entries-refused', ...address, previousIndex, hintIndex, hintTerm, round });
  }

  /** Follows the sender as the leader of this term; false, and refused, when another one is known. */
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

  private advanceCommit(): void {
    this.leader?.advanceCommit();
    this.leaveIfOutvoted();
  }

  /** A leader leads until the configuration without it is committed, and no longer (paper, section 6). */
  private leaveIfOutvoted(): void {
    const { leader } = this;
    if (leader?.isOutvoted()) this.handOverAndLeave(leader);
  }

  private handOverAndLeave(leader: Leader): void {
    leader.handOverOnLeaving();
    this.becomeFollower(this.currentTerm, undefined);
  }

  // --- snapshots

  private onSnapshotChunk(message: SnapshotChunk): void {
    if (this.followsLeader(message)) this.answerChunk(message, this.snapshot.onChunk(message));
  }

  /** A piece of `Ready.snapshotChunks` is stored, or was not taken; says how much of the whole is there. */
  snapshotChunkStored(
    chunk: SnapshotChunk,
    received: { readonly nextOffset: number; readonly complete: boolean },
  ): void {
    const isCurrent = chunk.term === this.currentTerm && this.leaderId === chunk.from;
    this.answerChunk(chunk, this.snapshot.onStored(chunk, received, isCurrent));
  }

  private answerChunk(chunk: SnapshotChunk, progress: SnapshotProgress | undefined): void {
    const { metadata } = chunk;
    const address = this.replyTo(chunk);
    if (progress?.type === 'covered')
      return this.promise({
        type: 'append-entries-accepted',
        ...address,
        matchIndex: this.log.commitIndex,
        round: 0,
      });
    if (progress?.type !== 'more') return;
    const { index: snapshotIndex, term: snapshotTerm } = metadata;
    const { nextOffset } = progress;
    this.promise({ type: 'snapshot-chunk-reply', ...address, snapshotIndex, snapshotTerm, nextOffset });
  }

  // --- reads

  private onReadIndex({ from, requestId, index }: ReadIndexReply): void {
    if (from === this.leaderId) this.confirmedReads.push({ requestId, index });
  }
}
