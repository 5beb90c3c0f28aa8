import { invariant } from '@concordat/foundation';
import type { Address, Addressing } from './membership/addressing.js';
import { CheckQuorum } from './election/check-quorum.js';
import { encodeConfiguration } from './membership/configuration-codec.js';
import { isJoint, isMember, leaveJoint, memberWithId } from './membership/configuration.js';
import type { OtherIncarnations } from './membership/other-incarnations.js';
import { LeaderPriority, preferredSuccessor, type Successor } from './election/leader-priority.js';
import { LeadershipTransfer, type TransferRefusal } from './election/leadership-transfer.js';
import { entrySizeBytes, type RaftLog } from './log/log.js';
import {
  changed,
  refuse,
  type MembershipChange,
  type MembershipRefusal,
  type Refused,
} from './membership/membership-change.js';
import type { Progress } from './replication/progress.js';
import type { CoreLimits } from './raft-core.types.js';
import { ReadIndexQueue } from './read-index.js';
import type { ConfirmedRead } from './ready.js';
import { Replication } from './replication/replication.js';
import { ReturningMembers } from './membership/returning-members.js';
import type { AppendEntriesAccepted, Configuration, EntryKind, Incarnation, Message, NodeId } from './types.js';

/** The positions of proposed commands: the first `count` of them, from `firstIndex` on. The rest did not fit. */
export interface Appended {
  readonly firstIndex: number;
  readonly count: number;
}

/** `OVERLOADED`: too many bytes are uncommitted; `TRANSFERRING`: a leadership transfer is in progress. */
export type ProposalRefusal = 'NOT_LEADER' | 'OVERLOADED' | 'TRANSFERRING';

export interface LeaderOptions {
  readonly nodeId: NodeId;
  readonly addressing: Addressing;
  readonly otherIncarnations: OtherIncarnations;
  readonly term: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly sparesHeartbeats: boolean;
  readonly limits: CoreLimits;
}

const NO_DATA = new Uint8Array(0);
/** Election timeouts of silence after which another incarnation may replace one. */
const RETURN_PATIENCE_TIMEOUTS = 2;

/**
 * The state of a leader, for one term; dropped as a whole when it steps down.
 *
 * It opens its term with a no-op, by which it finds out what is committed (paper, section 8). Before that is committed
 * it changes no membership and confirms no read. A committed joint configuration is left at once.
 */
export class Leader {
  readonly replication: Replication;
  readonly openingIndex: number;
  private readonly reads: ReadIndexQueue;
  private readonly checkQuorum: CheckQuorum;
  private readonly priority: LeaderPriority;
  private readonly returning: ReturningMembers;
  private transfer: LeadershipTransfer | undefined;
  private hasCalledElection = false;

  constructor(
    private readonly options: LeaderOptions,
    private readonly log: RaftLog,
    private readonly send: (message: Message) => void,
  ) {
    const { nodeId, addressing, otherIncarnations, term, electionTicks, limits } = options;
    this.reads = new ReadIndexQueue(limits.maximumPendingReads);
    this.checkQuorum = new CheckQuorum(electionTicks);
    this.priority = new LeaderPriority(electionTicks);
    this.returning = new ReturningMembers(otherIncarnations, RETURN_PATIENCE_TIMEOUTS * electionTicks);
    const { heartbeatTicks, sparesHeartbeats } = options;
    const timing = { electionTicks, heartbeatTicks, sparesHeartbeats };
    this.replication = new Replication({ ...limits, ...timing, nodeId, addressing, term }, log, send);
    this.openingIndex = log.lastIndex + 1;
    this.append('no-op', [NO_DATA]);
    invariant(log.commitIndex < this.openingIndex, 'nothing of its term is committed before it leads');
  }

  get transferTarget(): NodeId | undefined {
    return this.transfer?.target;
  }

  /** Whether it has committed an entry of its term, so that it knows what is committed (thesis, 6.4). */
  isReady(): boolean {
    return this.log.commitIndex >= this.openingIndex;
  }

  /** One tick; false when it must step down for lack of a quorum. */
  tick(): boolean {
    this.replication.tick();
    if (this.transfer?.tick()) this.transfer = undefined;
    if (this.checkQuorum.tick() && !this.replication.isQuorumActive()) return false;
    if (this.priority.tick()) this.preferPriority();
    this.takeBackMembers();
    return true;
  }

  propose(commands: readonly Uint8Array[]): Appended | Refused<ProposalRefusal> {
    if (this.transfer) return refuse('TRANSFERRING', `leadership is being handed over to node ${this.transfer.target}`);
    const firstIndex = this.log.lastIndex + 1;
    const count = this.countThatFits(commands);
    if (count === 0) {
      const { uncommittedBytes } = this.log;
      return refuse('OVERLOADED', `${uncommittedBytes} bytes of entries wait for a quorum already; try again later`);
    }
    this.append('normal', count === commands.length ? commands : commands.slice(0, count));
    return { firstIndex, count };
  }

  /** A single command is always accepted when nothing else is uncommitted, whatever its size. */
  private countThatFits(commands: readonly Uint8Array[]): number {
    const { maximumUncommittedBytes } = this.options.limits;
    let bytes = this.log.uncommittedBytes;
    let count = 0;
    for (const data of commands) {
      const sizeBytes = entrySizeBytes({ data });
      if (bytes > 0 && bytes + sizeBytes > maximumUncommittedBytes) break;
      bytes += sizeBytes;
      count++;
    }
    return count;
  }

  private append(kind: EntryKind, commands: readonly Uint8Array[]): void {
    const firstIndex = this.log.lastIndex + 1;
    const { term } = this.options;
    this.log.append(commands.map((data, position) => ({ index: firstIndex + position, term, kind, data })));
  }

  /** @returns index of the entry with the new configuration */
  changeMembership(changes: readonly MembershipChange[]): { readonly index: number } | Refused<MembershipRefusal> {
    const obstacle = this.obstacleToChange();
    if (obstacle) return obstacle;
    const incarnationOf = (nodeId: NodeId): Incarnation => this.replication.progressOf(nodeId)?.incarnation ?? 0;
    const target = changed(this.log.configuration, changes, incarnationOf);
    if ('refused' in target) return target;
    for (const change of changes) {
      if (change.type !== 'promote') continue;
      const learner = this.replication.progressOf(change.nodeId);
      if (!learner || !this.replication.hasCaughtUp(learner))
        return refuse('NOT_CAUGHT_UP', `node ${change.nodeId} has not caught up with the log yet`);
    }
    this.appendConfiguration(target.configuration);
    return { index: this.log.lastIndex };
  }

  /** A member that lost its directory is taken back without a request, as a learner first. */
  private takeBackMembers(): void {
    const { replication } = this;
    const due = this.returning.tick(this.log.configuration, {
      isActive: (nodeId) => replication.isActiveNode(nodeId),
      hasCaughtUp: (nodeId) => replication.hasCaughtUpNode(nodeId),
    });
    if (due && !this.obstacleToChange()) this.changeMembership([due]);
  }

  /** One change at a time, and none before an entry of this term is committed (Ongaro, raft-dev, July 2015). */
  private obstacleToChange(): Refused<MembershipRefusal> | undefined {
    if (!this.isReady()) return refuse('LEADER_NOT_READY', 'the leader has not committed an entry of its term yet');
    if (this.transfer) return refuse('CHANGE_IN_PROGRESS', 'leadership is being transferred');
    if (isJoint(this.log.configuration) || this.log.configurationIndex > this.log.commitIndex)
      return refuse('CHANGE_IN_PROGRESS', 'the last change of the membership is still under way');
    return undefined;
  }

  private appendConfiguration(configuration: Configuration): void {
    invariant(this.log.configurationIndex <= this.log.commitIndex, 'one change of the membership at a time');
    this.append('configuration', [encodeConfiguration(configuration)]);
    this.replication.reconfigure();
  }

  /** Leaves a committed joint configuration without a request (paper, section 6). */
  private leaveJointIfDue(): void {
    const { configuration, configurationIndex, commitIndex } = this.log;
    if (isJoint(configuration) && configurationIndex <= commitIndex)
      this.appendConfiguration(leaveJoint(configuration));
  }

  /** Whether a configuration without this node is committed (paper, section 6). */
  isOutvoted(): boolean {
    const { configuration, configurationIndex, commitIndex } = this.log;
    return (
      !isJoint(configuration) &&
      configurationIndex <= commitIndex &&
      !configuration.voters.includes(this.options.nodeId)
    );
  }

  /**
   * The last messages of a leader that was removed, or whose disk hangs: the followers get the commit index, and the
   * best one takes over.
   */
  handOverOnLeaving(): void {
    this.replication.heartbeat();
    this.replication.flush();
    const successor = this.replication.mostAdvanced();
    if (successor) this.sendTimeoutNow(successor);
  }

  /** Only entries of the own term are committed by counting; older ones with them (paper, 5.4.2, figure 8). */
  advanceCommit(): void {
    if (this.log.commitIndex === this.log.lastIndex) return;
    const index = this.replication.quorumIndex();
    if (index <= this.log.commitIndex || this.log.term(index) !== this.options.term) return;
    invariant(index >= this.openingIndex, 'a leader counts only for entries of its own term');
    this.log.commitTo(index);
    this.leaveJointIfDue();
  }

  /** Undefined when the transfer has begun, now or before. */
  transferTo(target: NodeId): Refused<TransferRefusal> | undefined {
    if (target === this.options.nodeId) return refuse('ALREADY_LEADER', `node ${target} leads already`);
    if (!this.log.configuration.voters.includes(target)) {
      const standing = isMember(this.log.configuration, target) ? 'no voter' : 'no member of this group';
      return refuse('NOT_A_VOTER', `node ${target} is ${standing}, so it cannot lead`);
    }
    if (this.transfer && this.transfer.target !== target)
      return refuse('TRANSFER_IN_PROGRESS', `leadership is being transferred to node ${this.transfer.target}`);
    this.transfer ??= new LeadershipTransfer(target, this.options.electionTicks);
    this.sendTimeoutNowIfCaughtUp();
    return undefined;
  }

  /** Transfers to the most advanced live voter. @returns the voter, or undefined when there is none */
  handOver(): NodeId | undefined {
    const target = this.transfer?.target ?? this.replication.mostAdvanced()?.nodeId;
    if (target !== undefined) this.transferTo(target);
    return target;
  }

  private sendTimeoutNowIfCaughtUp(): void {
    const target = this.transfer && this.replication.progressOf(this.transfer.target);
    if (target?.matchIndex === this.log.lastIndex) this.sendTimeoutNow(target);
  }

  private sendTimeoutNow({ nodeId, incarnation }: Progress): void {
    this.hasCalledElection = true;
    this.send({ type: 'timeout-now', ...this.addressTo(nodeId, incarnation) });
  }

  private addressTo(to: NodeId, toIncarnation: Incarnation): Address {
    return this.options.addressing.to(to, toIncarnation, this.options.term);
  }

  private preferPriority(): void {
    if (this.transfer || !this.isReady() || isJoint(this.log.configuration)) return;
    const own = memberWithId(this.log.configuration, this.options.nodeId)?.priority ?? 0;
    const target = preferredSuccessor(this.successors(), own);
    if (target === undefined) return;
    this.priority.handedOver();
    this.transferTo(target);
  }

  private *successors(): Iterable<Successor> {
    for (const voter of this.log.configuration.voters) {
      const follower = this.replication.progressOf(voter);
      if (follower?.state !== 'replicate' || !this.replication.hasCaughtUp(follower)) continue;
      yield { nodeId: voter, priority: memberWithId(this.log.configuration, voter)?.priority ?? 0 };
    }
  }

  /**
   * False when it may not answer reads yet, or not of this requester. A leader that is leaving still serves its own
   * reads.
   */
  addRead(requester: NodeId, requestId: number): boolean {
    const isKnown = requester === this.options.nodeId || isMember(this.log.configuration, requester);
    if (!this.isReady() || !isKnown) return false;
    this.reads.add(requester, requestId, this.log.commitIndex, this.replication.startRound());
    return true;
  }

  /**
   * Whether reads may rely on a lease in this term. Not after a `timeout-now` to any node: it may arrive late, and its
   * voters do not wait for a lease (thesis, 6.4.1).
   */
  mayTrustLease(): boolean {
    return this.isReady() && !this.hasCalledElection;
  }

  hasConfirmedReads(): boolean {
    return !this.reads.isEmpty() && this.reads.hasConfirmed(this.replication.confirmedRound());
  }

  /** Answers the reads of other nodes; returns those of this node. */
  takeConfirmedReads(): ConfirmedRead[] {
    const own: ConfirmedRead[] = [];
    for (const { requester, requestId, index } of this.reads.takeConfirmed(this.replication.confirmedRound())) {
      if (requester === this.options.nodeId) own.push({ requestId, index });
      else
        this.send({
          type: 'read-index-reply',
          ...this.addressTo(requester, this.replication.progressOf(requester)?.incarnation ?? 0),
          requestId,
          index,
        });
    }
    return own;
  }

  onAccepted(answer: AppendEntriesAccepted): void {
    this.replication.onAccepted(answer);
    this.advanceCommit();
    if (this.transfer?.target === answer.from) this.sendTimeoutNowIfCaughtUp();
  }

  hasWork(): boolean {
    return this.replication.hasWork() || this.hasConfirmedReads();
  }
}
