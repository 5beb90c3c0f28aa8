import { invariant } from '@concordat/foundation';
import { CatchUp } from '../membership/catch-up.js';
import type { AppendEntriesRefused, Incarnation, NodeId } from '../types.js';

/**
 * - `probe`: where the logs agree is unknown; one message at a time.
 * - `replicate`: known; messages are sent without waiting for answers, within the window.
 * - `snapshot`: the follower needs compacted entries; it gets only heartbeats and pieces of the snapshot.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export interface WindowLimits {
  readonly maximumInflightMessages: number;
  readonly maximumInflightBytes: number;
  readonly eagerMessages: number;
  readonly batchEntries: number;
}

interface InflightMessage {
  readonly lastIndex: number;
  readonly sizeBytes: number;
}

/**
 * What a leader knows about one follower, for one term. matchIndex < nextIndex always.
 *
 *     probe --success--> replicate --failure--> probe
 *     probe|replicate --entries compacted--> snapshot --installed, or silent for long--> probe
 */
export class Progress {
  state: ProgressState = 'probe';
  matchIndex = 0;
  /** a probe is in flight; the next one waits for the answer or the next heartbeat */
  probing = false;
  /** an empty message is due, as a heartbeat */
  heartbeatDue = false;
  ticksToHeartbeat = 1;
  /** the latest confirmation round that was sent to, and answered by, this follower */
  sentRound = 0;
  ackedRound = 0;
  /** a refusal from an earlier round is stale: its message was sent before the leader last went back */
  refusalsFromRound = 0;
  /** infinite before the first answer in this term */
  ticksSinceAnswer = Infinity;
  /** the end of the log when its snapshot was installed: until it has that, it needs the log after the snapshot */
  neededUpTo = 0;
  readonly catchUp: CatchUp;
  private inflight: InflightMessage[] = [];
  private inflightBytes = 0;

  /** @param lastIndex of the leader's log, where it first looks for agreement */
  constructor(
    readonly nodeId: NodeId,
    /** that answers; 0 for a learner that has never answered */
    public incarnation: Incarnation,
    lastIndex: number,
    electionTicks: number,
    private readonly limits: WindowLimits,
  ) {
    this.nextIndex = lastIndex + 1;
    this.catchUp = new CatchUp(electionTicks, lastIndex);
  }

  nextIndex: number;

  get inflightMessages(): number {
    return this.inflight.length;
  }

  becomeProbe(nextIndex: number): void {
    this.enter('probe');
    this.nextIndex = Math.max(nextIndex, this.matchIndex + 1);
    this.check();
  }

  becomeReplicate(): void {
    this.enter('replicate');
    this.nextIndex = this.matchIndex + 1;
    this.check();
  }

  becomeSnapshot(): void {
    this.enter('snapshot');
  }

  private enter(state: ProgressState): void {
    this.state = state;
    this.probing = false;
    this.inflight = [];
    this.inflightBytes = 0;
  }

  /** Checks the invariants, after every change of what was sent or matched. */
  private check(): void {
    invariant(this.matchIndex < this.nextIndex, 'nothing is sent that the follower has');
    invariant(this.inflight.length === 0 ? this.inflightBytes === 0 : this.inflightBytes > 0, 'the window is counted');
    invariant(this.state === 'replicate' || this.inflight.length === 0, 'only `replicate` has a window');
  }

  tick(): void {
    this.ticksSinceAnswer++;
    this.ticksToHeartbeat--;
    this.catchUp.tick();
  }

  hasRoom(): boolean {
    return (
      this.inflight.length < this.limits.maximumInflightMessages &&
      this.inflightBytes < this.limits.maximumInflightBytes
    );
  }

  /** Whether this many entries are sent now, or wait for more behind those in flight. */
  isWorthSending(entryCount: number): boolean {
    return this.inflight.length < this.limits.eagerMessages || entryCount >= this.limits.batchEntries;
  }

  /** Records entries up to `lastIndex` as sent; in `replicate` the next message continues after them. */
  sent(lastIndex: number, sizeBytes: number): void {
    if (this.state !== 'replicate') return;
    invariant(lastIndex >= this.nextIndex, 'entries are sent in order');
    this.nextIndex = lastIndex + 1;
    this.inflight.push({ lastIndex, sizeBytes });
    this.inflightBytes += sizeBytes;
    this.check();
  }

  /** The follower has everything up to `index`. An older answer changes nothing. */
  matched(index: number): void {
    if (index <= this.matchIndex) return;
    this.matchIndex = index;
    this.nextIndex = Math.max(this.nextIndex, index + 1);
    while (this.inflight.length > 0 && this.inflight[0]!.lastIndex <= index)
      this.inflightBytes -= this.inflight.shift()!.sizeBytes; // the window is short
    this.check();
  }

  /** Whether a refusal is current (answers may be late, duplicate and reordered). */
  isCurrentRefusal({ previousIndex, round }: AppendEntriesRefused): boolean {
    if (round < this.refusalsFromRound) return false;
    if (this.state === 'replicate') return previousIndex > this.matchIndex;
    return this.state === 'probe' && previousIndex === this.nextIndex - 1;
  }
}
