import { invariant } from '@concordat/foundation';
import type { NodeId } from './types.js';

/**
 * - `probe`: where the logs agree is not known; one message at a time.
 * - `replicate`: known; messages follow each other without waiting, within the window.
 * - `snapshot`: the follower needs entries that were compacted; only heartbeats until it has the snapshot.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export interface WindowLimits {
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
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
 *     probe|replicate --entries compacted--> snapshot --installed, or no answer in time--> probe
 */
export class Progress {
  state: ProgressState = 'probe';
  matchIndex = 0;
  /** a probe is out; the next one waits for the answer or the next heartbeat */
  probing = false;
  /** an empty message is owed, as a heartbeat */
  heartbeatDue = false;
  /** the latest confirmation round that was sent to, and answered by, this follower */
  sentRound = 0;
  ackedRound = 0;
  /** index of the snapshot that is on its way (state `snapshot`) */
  snapshotIndex = 0;
  ticksInSnapshot = 0;
  /** infinite while nothing was heard in this term */
  ticksSinceHeard = Infinity;
  private inflight: InflightMessage[] = [];
  private inflightBytes = 0;

  constructor(
    readonly nodeId: NodeId,
    public nextIndex: number,
    private readonly limits: WindowLimits,
  ) {}

  becomeProbe(nextIndex: number): void {
    this.enter('probe');
    this.nextIndex = Math.max(nextIndex, this.matchIndex + 1);
  }

  becomeReplicate(): void {
    this.enter('replicate');
    this.nextIndex = this.matchIndex + 1;
  }

  becomeSnapshot(snapshotIndex: number): void {
    this.enter('snapshot');
    this.snapshotIndex = snapshotIndex;
    this.ticksInSnapshot = 0;
  }

  private enter(state: ProgressState): void {
    this.state = state;
    this.probing = false;
    this.inflight = [];
    this.inflightBytes = 0;
  }

  hasRoom(): boolean {
    return this.inflight.length < this.limits.maxInflightMessages && this.inflightBytes < this.limits.maxInflightBytes;
  }

  /** Whether so many entries go now, or gather with more of them behind what is on its way. */
  isWorthSending(entryCount: number): boolean {
    return this.inflight.length < this.limits.eagerMessages || entryCount >= this.limits.batchEntries;
  }

  /** Notes entries up to `lastIndex` as sent; in `replicate` the next message goes on behind them. */
  sent(lastIndex: number, sizeBytes: number): void {
    if (this.state !== 'replicate') return;
    invariant(lastIndex >= this.nextIndex, 'entries are sent in order');
    this.nextIndex = lastIndex + 1;
    this.inflight.push({ lastIndex, sizeBytes });
    this.inflightBytes += sizeBytes;
  }

  /** The follower holds everything up to `index`. An older answer changes nothing. */
  matched(index: number): void {
    if (index <= this.matchIndex) return;
    this.matchIndex = index;
    this.nextIndex = Math.max(this.nextIndex, index + 1);
    let freed = 0;
    for (; freed < this.inflight.length && this.inflight[freed]!.lastIndex <= index; freed++) {
      this.inflightBytes -= this.inflight[freed]!.sizeBytes;
    }
    if (freed > 0) this.inflight.splice(0, freed); // the window is short
  }

  /** Whether a refusal of a request behind `previousIndex` still says something (answers come late or twice). */
  isCurrentRefusal(previousIndex: number): boolean {
    if (this.state === 'replicate') return previousIndex > this.matchIndex;
    return this.state === 'probe' && previousIndex === this.nextIndex - 1;
  }
}
