import { invariant } from '@concordat/foundation';
import type { Address, Addressing } from '../membership/addressing.js';
import { incarnationOf } from '../membership/configuration.js';
import { entriesSizeBytes } from '../log/log.js';
import type { RaftLog } from '../log/log.js';
import { Progress } from './progress.js';
import type { WindowLimits } from './progress.js';
import { hasQuorum, reachedByQuorum } from '../membership/quorum.js';
import type { SnapshotRead } from '../ready.js';
import { SnapshotSending } from '../snapshots/snapshot-sending.js';
import type {
  AppendEntries,
  AppendEntriesAccepted,
  AppendEntriesRefused,
  Incarnation,
  Introduction,
  Message,
  NodeId,
  SnapshotChunk,
  SnapshotChunkReply,
} from '../types.js';

/** Election timeouts of silence after which a follower's snapshot transfer ends, and the log after it is not kept. */
const SNAPSHOT_PATIENCE_ELECTION_TIMEOUTS = 20;
const NO_READS: readonly SnapshotRead[] = [];

export interface ReplicationOptions extends WindowLimits {
  readonly nodeId: NodeId;
  readonly addressing: Addressing;
  readonly term: number;
  /** a message carries as many entries as fit, but at least one if there is one */
  readonly maximumMessageBytes: number;
  readonly snapshotChunkBytes: number;
  readonly maximumInflightChunks: number;
  /** a follower counts as alive when it answered within this many ticks */
  readonly electionTicks: number;
  /** ticks between the heartbeats to a follower */
  readonly heartbeatTicks: number;
  /** any AppendEntries in between replaces the next heartbeat, for whole ticks */
  readonly sparesHeartbeats: boolean;
}

/**
 * A leader's half of replication, for one term: what each follower has, what to send next, which round is confirmed.
 *
 * Inputs only record what is due; `flush` makes the messages, once per `Ready`, so all changes in between go in one
 * message per follower. The commit index has no messages of its own: it goes with the next entries or the next
 * heartbeat, which saves two messages per follower and commit.
 */
export class Replication {
  private readonly followers = new Map<NodeId, Progress>();
  /** former members; each gets one last message with the commit index */
  private departing: Progress[] = [];
  /** for followers in state `snapshot` */
  private readonly sendings = new Map<NodeId, SnapshotSending>();
  private round = 0;
  private roundIsOpen = false;

  constructor(
    private readonly options: ReplicationOptions,
    private readonly log: RaftLog,
    private readonly send: (message: Message) => void,
  ) {
    this.reconfigure();
  }

  /** Adapts to the configuration in force: every member but the leader itself gets the log. */
  reconfigure(): void {
    const { members } = this.log.configuration;
    for (const { nodeId, incarnation } of members) {
      if (nodeId === this.options.nodeId) continue;
      const follower = this.followers.get(nodeId);
      const isKnown = follower && (incarnation === 0 || follower.incarnation === incarnation);
      if (!isKnown) this.follow(nodeId, incarnation);
    }
    for (const follower of this.followers.values()) {
      if (members.some(({ nodeId }) => nodeId === follower.nodeId)) continue;
      this.followers.delete(follower.nodeId);
      this.sendings.delete(follower.nodeId);
      if (follower.state === 'replicate') this.departing.push(follower);
    }
  }

  /** Starts over: what that incarnation has is unknown. */
  private follow(nodeId: NodeId, incarnation: Incarnation): Progress {
    const { electionTicks } = this.options;
    const follower = new Progress(nodeId, incarnation, this.log.lastIndex, electionTicks, this.options);
    follower.ticksToHeartbeat = this.options.heartbeatTicks;
    this.followers.set(nodeId, follower);
    this.sendings.delete(nodeId);
    return follower;
  }

  progressOf(nodeId: NodeId): Progress | undefined {
    return this.followers.get(nodeId);
  }

  all(): Iterable<Progress> {
    return this.followers.values();
  }

  isActive(progress: Progress): boolean {
    return progress.ticksSinceAnswer < this.options.electionTicks;
  }

  /** Alive, and at most as far behind as it can catch up within an election timeout. */
  hasCaughtUp(progress: Progress): boolean {
    return this.isActive(progress) && progress.catchUp.hasCaughtUp();
  }

  isActiveNode(nodeId: NodeId): boolean {
    const follower = this.followers.get(nodeId);
    return follower !== undefined && this.isActive(follower);
  }

  hasCaughtUpNode(nodeId: NodeId): boolean {
    const follower = this.followers.get(nodeId);
    return follower !== undefined && this.hasCaughtUp(follower);
  }

  /** Whether a quorum answered recently, the leader included. */
  isQuorumActive(): boolean {
    return hasQuorum(this.log.configuration, (voter) => {
      const follower = this.followers.get(voter);
      return follower ? this.isActive(follower) : voter === this.options.nodeId;
    });
  }

  /** A confirmation round whose messages have not left yet; sent to every follower with the next flush. */
  startRound(): number {
    if (!this.roundIsOpen) this.round++;
    this.roundIsOpen = true;
    return this.round;
  }

  /** The latest round that a quorum answered in this term, the leader included. */
  confirmedRound(): number {
    return reachedByQuorum(this.log.configuration, this.answeredRoundOf);
  }

  private readonly answeredRoundOf = (voter: NodeId): number =>
    voter === this.options.nodeId ? this.round : (this.followers.get(voter)?.ackedRound ?? 0);

  /** The greatest index that a quorum has durably; the leader, if it is a voter, counts with its own disk. */
  quorumIndex(): number {
    return reachedByQuorum(this.log.configuration, this.durableIndexOf);
  }

  private readonly durableIndexOf = (voter: NodeId): number =>
    voter === this.options.nodeId ? this.log.persistedIndex : (this.followers.get(voter)?.matchIndex ?? 0);

  /** The voter to transfer leadership to: alive and most advanced, the lowest id among equals. */
  mostAdvanced(): Progress | undefined {
    let best: Progress | undefined;
    for (const voter of this.log.configuration.voters) {
      const follower = this.followers.get(voter);
      if (!follower || !this.isActive(follower)) continue;
      if (!best || follower.matchIndex > best.matchIndex) best = follower;
    }
    return best;
  }

  tick(): void {
    for (const follower of this.followers.values()) {
      follower.tick();
      if (follower.ticksToHeartbeat <= 0) follower.heartbeatDue = true;
      if (follower.state === 'snapshot') this.tickSnapshot(follower);
    }
  }

  /**
   * A silent follower gets no pieces. After a long silence its transfer ends, and heartbeats find out when it is back.
   */
  private tickSnapshot(follower: Progress): void {
    this.sendingTo(follower).tick();
    if (follower.ticksSinceAnswer < this.snapshotPatienceTicks) return;
    this.sendings.delete(follower.nodeId);
    follower.becomeProbe(this.log.startIndex + 1);
    follower.probing = true;
  }

  private sendingTo({ nodeId }: Progress): SnapshotSending {
    const sending = this.sendings.get(nodeId);
    invariant(sending, 'a follower in state `snapshot` is being sent one');
    return sending;
  }

  /** To every follower, whatever it just got. */
  heartbeat(): void {
    for (const follower of this.followers.values()) {
      follower.heartbeatDue = true;
    }
  }

  onAccepted(answer: AppendEntriesAccepted): void {
    invariant(answer.matchIndex <= this.log.lastIndex, 'no follower has more than its leader');
    const follower = this.answering(answer);
    if (!follower) return;
    follower.ackedRound = Math.max(follower.ackedRound, answer.round);
    follower.matched(answer.matchIndex);
    follower.catchUp.matched(follower.matchIndex, this.log.lastIndex);
    if (follower.state === 'probe') follower.becomeReplicate();
    else if (follower.state === 'snapshot') this.leaveSnapshot(follower);
  }

  /** It answered heartbeats in between, and may have installed a snapshot that is too old by now. */
  private leaveSnapshot(follower: Progress): void {
    const sending = this.sendingTo(follower);
    if (follower.matchIndex < this.log.startIndex) {
      if (follower.matchIndex >= (sending.snapshotIndex ?? Infinity)) sending.restart();
      return;
    }
    this.sendings.delete(follower.nodeId);
    follower.becomeReplicate();
    follower.neededUpTo = this.log.lastIndex;
  }

  onRefused(answer: AppendEntriesRefused): void {
    const follower = this.answering(answer);
    if (!follower) return;
    follower.ackedRound = Math.max(follower.ackedRound, answer.round);
    if (!follower.isCurrentRefusal(answer)) return;
    const agreed = this.log.lastIndexWithTermUpTo(answer.hintIndex, answer.hintTerm);
    follower.becomeProbe(Math.min(answer.previousIndex, agreed + 1));
    follower.refusalsFromRound = this.numberNewMessages();
  }

  /** All later messages get a new round, without sending any for it. */
  private numberNewMessages(): number {
    if (this.roundIsOpen) return this.round;
    for (const follower of this.followers.values())
      if (follower.sentRound === this.round) follower.sentRound = this.round + 1;
    return ++this.round;
  }

  onChunkReply(answer: SnapshotChunkReply): void {
    if (this.answering(answer)) this.sendings.get(answer.from)?.answered(answer);
  }

  /**
   * Only the incarnation in the configuration counts. For a learner added without one, it is that of the first answer.
   */
  private answering({ from, fromIncarnation }: Message): Progress | undefined {
    let follower = this.followers.get(from);
    if (!follower) return undefined;
    if (follower.incarnation !== fromIncarnation) {
      if (incarnationOf(this.log.configuration, from) !== 0) return undefined;
      if (follower.incarnation === 0) follower.incarnation = fromIncarnation;
      else follower = this.follow(from, fromIncarnation);
    }
    follower.ticksSinceAnswer = 0;
    return follower;
  }

  /**
   * A learner that was added without an incarnation has started with an empty directory again. It ignores messages for
   * the lost directory, so it is followed anew, unless the one before still answers.
   */
  introduced({ from, fromIncarnation }: Introduction): void {
    const follower = this.followers.get(from);
    if (!follower || follower.incarnation === 0 || follower.incarnation === fromIncarnation) return;
    if (incarnationOf(this.log.configuration, from) !== 0 || this.isActive(follower)) return;
    this.follow(from, fromIncarnation);
  }

  hasWork(): boolean {
    if (this.departing.length > 0) return true;
    for (const follower of this.followers.values()) {
      if (follower.heartbeatDue || follower.sentRound < this.round || this.canSendEntries(follower)) return true;
    }
    return this.sendings.size > 0 && [...this.snapshotReads()].length > 0;
  }

  /** The active transfers: a silent follower may be installing a snapshot, or be gone. */
  private *snapshotReads(): Iterable<SnapshotSending> {
    for (const [nodeId, sending] of this.sendings)
      if (sending.hasRead() && this.isActive(this.followers.get(nodeId)!)) yield sending;
  }

  /** Whether a follower gets a snapshot, or catches up after one: it needs the log after it. */
  get needsLog(): boolean {
    return this.sendings.size > 0 || [...this.followers.values()].some((follower) => this.isMakingUp(follower));
  }

  private isMakingUp({ matchIndex, neededUpTo, ticksSinceAnswer }: Progress): boolean {
    return matchIndex < neededUpTo && ticksSinceAnswer < this.snapshotPatienceTicks;
  }

  private get snapshotPatienceTicks(): number {
    return SNAPSHOT_PATIENCE_ELECTION_TIMEOUTS * this.options.electionTicks;
  }

  private canSendEntries(follower: Progress): boolean {
    if (follower.state === 'probe') return !follower.probing;
    const waiting = this.log.lastIndex - follower.nextIndex + 1;
    if (follower.state !== 'replicate' || waiting <= 0) return false;
    // Messages in flight may be lost, and later entries are compacted: only a snapshot helps, at once.
    return follower.nextIndex <= this.log.startIndex || (follower.isWorthSending(waiting) && follower.hasRoom());
  }

  /** Sends everything that is due. */
  flush(): void {
    this.roundIsOpen = false;
    if (this.departing.length > 0) this.sendLastMessages();
    for (const follower of this.followers.values()) {
      this.sendEntries(follower);
      // Every message carries the round and resets election timers; an empty one is sent only if no other was.
      if (follower.heartbeatDue || follower.sentRound < this.round) this.sendHeartbeat(follower);
    }
  }

  private sendLastMessages(): void {
    for (const follower of this.departing) this.sendLast(follower);
    this.departing = [];
  }

  /** Sent whatever is in flight: it is the only message about the removal. A follower too far behind gets none. */
  private sendLast(follower: Progress): void {
    const previousIndex = follower.nextIndex - 1;
    if (previousIndex < this.log.startIndex || previousIndex >= this.log.lastIndex) return;
    this.sendAppend(follower, previousIndex, this.log.slice(follower.nextIndex, this.options.maximumMessageBytes));
  }

  private sendEntries(follower: Progress): void {
    if (!this.canSendEntries(follower)) return;
    do {
      const previousIndex = follower.nextIndex - 1;
      if (previousIndex < this.log.startIndex) return this.beginSnapshot(follower);
      const entries = this.log.slice(follower.nextIndex, this.options.maximumMessageBytes);
      this.sendAppend(follower, previousIndex, entries);
      if (follower.state === 'probe') follower.probing = true;
      else follower.sent(previousIndex + entries.length, entriesSizeBytes(entries));
    } while (follower.state === 'replicate' && follower.nextIndex <= this.log.lastIndex && follower.hasRoom());
  }

  private beginSnapshot(follower: Progress): void {
    if (this.isActive(follower)) {
      const { snapshotChunkBytes: chunkBytes, maximumInflightChunks, electionTicks: timeoutTicks } = this.options;
      follower.becomeSnapshot();
      const limits = { chunkBytes, maximumInflightChunks, timeoutTicks };
      this.sendings.set(follower.nodeId, new SnapshotSending(follower.nodeId, limits));
    } else {
      if (follower.state === 'replicate') follower.becomeProbe(follower.nextIndex);
      follower.probing = true; // only heartbeats, until it answers one
    }
  }

  /**
   * An empty AppendEntries. After the last sent entry it detects lost ones (they are refused) and collects lost
   * acknowledgements. If that place is compacted or waits for a snapshot, it uses a place that surely agrees.
   */
  private sendHeartbeat(follower: Progress): void {
    const behindSent = follower.nextIndex - 1;
    const careful = follower.state === 'snapshot' || behindSent < this.log.startIndex;
    const agreed = this.log.term(follower.matchIndex) === undefined ? 0 : follower.matchIndex;
    this.sendAppend(follower, careful ? agreed : behindSent, []);
  }

  private sendAppend(follower: Progress, previousIndex: number, entries: AppendEntries['entries']): void {
    const { heartbeatTicks, sparesHeartbeats } = this.options;
    if (follower.heartbeatDue) follower.ticksToHeartbeat = heartbeatTicks;
    else if (sparesHeartbeats) follower.ticksToHeartbeat = heartbeatTicks + 1; // the tick under way is not a whole one
    follower.heartbeatDue = false;
    follower.sentRound = this.round;
    // Field by field: a spread would take longer than the rest of this method.
    const { from, to, fromIncarnation, toIncarnation, groupId, term } = this.addressTo(follower);
    this.send({
      type: 'append-entries',
      from,
      to,
      fromIncarnation,
      toIncarnation,
      groupId,
      term,
      previousIndex,
      previousTerm: previousIndex === 0 ? 0 : this.log.term(previousIndex)!,
      entries,
      commitIndex: this.log.commitIndex,
      round: this.round,
    });
  }

  private addressTo({ nodeId, incarnation }: Progress): Address {
    return this.options.addressing.to(nodeId, incarnation, this.options.term);
  }

  takeSnapshotReads(): readonly SnapshotRead[] {
    if (this.sendings.size === 0) return NO_READS;
    const reads: SnapshotRead[] = [];
    for (const sending of this.snapshotReads()) reads.push(sending.takeRead());
    return reads;
  }

  /** The piece that was read for a follower; undefined when that snapshot is gone, and a newer one is needed. */
  sendSnapshotChunk(
    to: NodeId,
    chunk: Pick<SnapshotChunk, 'metadata' | 'sizeBytes' | 'checksum' | 'offset' | 'data'> | undefined,
  ): void {
    const sending = this.sendings.get(to);
    if (!sending?.isReading()) return; // its transfer has ended in between
    if (!chunk) return sending.vanished();
    if (!sending.read(chunk)) return;
    const { metadata, sizeBytes, checksum, offset, data } = chunk;
    const address = this.addressTo(this.followers.get(to)!);
    this.send({ type: 'snapshot-chunk', ...address, metadata, sizeBytes, checksum, offset, data });
  }
}
