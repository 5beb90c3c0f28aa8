import { entrySizeBytes } from './log.js';
import type { RaftLog } from './log.js';
import { Progress } from './progress.js';
import type { WindowLimits } from './progress.js';
import { reachedByQuorum } from './quorum.js';
import type { AppendEntries, AppendEntriesReply, Message, NodeId, Snapshot } from './types.js';

export interface ReplicationOptions extends WindowLimits {
  readonly nodeId: NodeId;
  readonly voters: readonly NodeId[];
  readonly term: number;
  /** a message carries at least one entry if there is one, else as many as fit */
  readonly maxMessageBytes: number;
  /** a follower counts as alive when it answered within this many ticks */
  readonly activeTicks: number;
  /** without word of the snapshot for this many ticks, the follower is probed again */
  readonly snapshotTicks: number;
}

/**
 * A leader's half of replication, for one term: who has what, what to send next, which round is confirmed.
 *
 * Inputs only note what is owed; `flush` turns it into messages, once per `Ready`, so everything that came in
 * between goes out in one message per follower. The commit index is not announced by messages of its own: it
 * rides on the next entries or the next heartbeat, which saves two messages per follower and commit.
 */
export class Replication {
  private readonly followers = new Map<NodeId, Progress>();
  private readonly snapshotRequests = new Set<NodeId>();
  private round = 0;

  constructor(
    private readonly options: ReplicationOptions,
    private readonly log: RaftLog,
    private readonly send: (message: Message) => void,
  ) {
    for (const voter of options.voters) {
      if (voter !== options.nodeId) this.followers.set(voter, new Progress(voter, log.lastIndex + 1, options));
    }
  }

  progressOf(nodeId: NodeId): Progress | undefined {
    return this.followers.get(nodeId);
  }

  /** Whether the follower answered lately. */
  isActive(progress: Progress): boolean {
    return progress.ticksSinceHeard < this.options.activeTicks;
  }

  /** Starts a confirmation round; it is asked of every follower with the next flush. */
  startRound(): number {
    return ++this.round;
  }

  /** The latest round that a quorum answered in this term; the leader answers itself. */
  confirmedRound(): number {
    return reachedByQuorum([this.round, ...Array.from(this.followers.values(), (follower) => follower.ackedRound)]);
  }

  /** The greatest index a quorum holds durably; the leader counts with what its own disk has. */
  quorumIndex(): number {
    const held = [this.log.persistedIndex];
    for (const follower of this.followers.values()) held.push(follower.matchIndex);
    return reachedByQuorum(held);
  }

  /** The follower to hand leadership to: alive and most advanced, the lowest id among equals. */
  mostAdvanced(): Progress | undefined {
    let best: Progress | undefined;
    for (const follower of this.followers.values()) {
      if (!this.isActive(follower)) continue;
      if (!best || follower.matchIndex > best.matchIndex) best = follower;
    }
    return best;
  }

  tick(): void {
    for (const follower of this.followers.values()) {
      follower.ticksSinceHeard++;
      if (follower.state === 'snapshot' && ++follower.ticksInSnapshot >= this.options.snapshotTicks) {
        // Lost, or still on its way: the answer to a probe right behind it tells.
        this.snapshotRequests.delete(follower.nodeId);
        follower.becomeProbe(follower.snapshotIndex + 1);
      }
    }
  }

  heartbeat(): void {
    for (const follower of this.followers.values()) follower.heartbeatDue = true;
  }

  onReply(reply: AppendEntriesReply): void {
    const follower = this.followers.get(reply.from);
    if (!follower) return;
    follower.ticksSinceHeard = 0;
    follower.ackedRound = Math.max(follower.ackedRound, reply.round);
    if (reply.success) this.onSuccess(follower, reply.matchIndex);
    else if (follower.isCurrentRefusal(reply.matchIndex)) this.backUp(follower, reply);
  }

  private onSuccess(follower: Progress, matchIndex: number): void {
    follower.matched(matchIndex);
    const installed = follower.state === 'snapshot' && follower.matchIndex >= follower.snapshotIndex;
    if (installed) this.snapshotRequests.delete(follower.nodeId);
    if (installed || follower.state === 'probe') follower.becomeReplicate();
  }

  private backUp(follower: Progress, reply: AppendEntriesReply): void {
    const agreed = this.log.lastIndexWithTermUpTo(reply.hintIndex, reply.hintTerm);
    follower.becomeProbe(Math.min(reply.matchIndex, agreed + 1));
  }

  hasWork(): boolean {
    if (this.snapshotRequests.size > 0) return true;
    for (const follower of this.followers.values()) {
      if (follower.heartbeatDue || follower.sentRound < this.round || this.canSendEntries(follower)) return true;
    }
    return false;
  }

  private canSendEntries(follower: Progress): boolean {
    if (follower.state === 'probe') return !follower.probing;
    const waiting = this.log.lastIndex - follower.nextIndex + 1;
    if (follower.state !== 'replicate' || waiting <= 0) return false;
    // What is on its way may be lost, and what lies behind it is compacted: only a snapshot helps, at once.
    return follower.nextIndex <= this.log.startIndex || (follower.isWorthSending(waiting) && follower.hasRoom());
  }

  /** Sends what is owed to everybody. */
  flush(): void {
    for (const follower of this.followers.values()) {
      this.sendEntries(follower);
      // Every message carries the round and resets election timers; an empty one is sent only if none was.
      if (follower.heartbeatDue || follower.sentRound < this.round) this.sendHeartbeat(follower);
    }
  }

  private sendEntries(follower: Progress): void {
    if (!this.canSendEntries(follower)) return;
    do {
      const previousIndex = follower.nextIndex - 1;
      if (previousIndex < this.log.startIndex) {
        this.askForSnapshot(follower);
        return;
      }
      const entries = this.log.slice(follower.nextIndex, this.options.maxMessageBytes);
      this.sendAppend(follower, previousIndex, entries);
      if (follower.state === 'probe') follower.probing = true;
      else
        follower.sent(
          previousIndex + entries.length,
          entries.reduce((sum, entry) => sum + entrySizeBytes(entry), 0),
        );
    } while (follower.state === 'replicate' && follower.nextIndex <= this.log.lastIndex && follower.hasRoom());
  }

  /** A dead follower gets no snapshots, only heartbeats until it answers one. */
  private askForSnapshot(follower: Progress): void {
    if (this.isActive(follower)) {
      follower.becomeSnapshot(this.log.startIndex);
      this.snapshotRequests.add(follower.nodeId);
    } else if (follower.state === 'probe') {
      follower.probing = true;
    } else {
      follower.becomeProbe(follower.nextIndex);
      follower.probing = true;
    }
  }

  /**
   * An empty AppendEntries. Behind the last entry sent, it uncovers lost ones (they are refused) and collects
   * lost acknowledgements; where that place is compacted or waits for a snapshot, a place that surely agrees.
   */
  private sendHeartbeat(follower: Progress): void {
    const behindSent = follower.nextIndex - 1;
    const careful = follower.state === 'snapshot' || behindSent < this.log.startIndex;
    const agreed = this.log.term(follower.matchIndex) === undefined ? 0 : follower.matchIndex;
    this.sendAppend(follower, careful ? agreed : behindSent, []);
  }

  private sendAppend(follower: Progress, previousIndex: number, entries: AppendEntries['entries']): void {
    follower.heartbeatDue = false;
    follower.sentRound = this.round;
    this.send({
      type: 'append-entries',
      from: this.options.nodeId,
      to: follower.nodeId,
      term: this.options.term,
      previousIndex,
      previousTerm: previousIndex === 0 ? 0 : this.log.term(previousIndex)!,
      entries,
      commitIndex: this.log.commitIndex,
      round: this.round,
    });
  }

  takeSnapshotRequests(): NodeId[] {
    const requests = [...this.snapshotRequests];
    this.snapshotRequests.clear();
    return requests;
  }

  /** The snapshot a follower was waiting for. One that came after the wait was given up is not sent. */
  sendSnapshot(to: NodeId, snapshot: Snapshot): void {
    const follower = this.followers.get(to);
    if (follower?.state !== 'snapshot') return;
    follower.snapshotIndex = snapshot.metadata.index;
    follower.ticksInSnapshot = 0;
    this.send({ type: 'install-snapshot', from: this.options.nodeId, to, term: this.options.term, snapshot });
  }
}
