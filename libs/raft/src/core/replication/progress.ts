import { invariant } from '@concordat/foundation';
import { CatchUp } from '../membership/catch-up.js';
import type { AppendEntriesRefused, Incarnation, NodeId } from '../types.js';

/**
 * - `probe`: where the logs agree is not known; one message at a time.
 * - `replicate`: known; messages follow each other without waiting, within the window.
 * - `snapshot`: the follower needs entries that were compacted; heartbeats and pieces of the snapshot only.
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
 *     probe|replicate --entries compacted--> snapshot --installed, or no word for long--> probe
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
  /** a refusal of a message of an earlier round says nothing new: it was sent before the leader last went back */
  refusalsFromRound = 0;
  /** infinite while nothing was heard in this term */
  ticksSinceAnswer = Infinity;
  /** where the log ended when its snapshot was in force: until it has that, it needs the log behind the snapshot */
  neededUpTo = 0;
  readonly catchUp: CatchUp;
  private inflight: InflightMessage[] = [];
  private inflightBytes = 0;

  /** @param lastIndex of the leader's log, where it first looks for agreement */
  constructor(
    readonly nodeId: NodeId,
    /** whose answers these are; 0 for a learner that was not heard of yet */
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

  /** After every change of what was sent or matched. */
  private check(): void {
    invariant(this.matchIndex < this.nextIndex, 'nothing is sent that the follower has');
    invariant(this.inflight.length === 0 ? this.inflightBytes === 0 : this.inflightBytes > 0, 'the window is counted');
    invariant(this.state === 'replicate' || this.inflight.length === 0, 'only `replicate` has a window');
  }

  tick(): void {
    this.ticksSinceAnswer++;
    this.catchUp.tick();
  }

  hasRoom(): boolean {
    return (
      this.inflight.length < this.limits.maximumInflightMessages &&
      this.inflightBytes < this.limits.maximumInflightBytes
    );
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
    this.check();
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
    this.check();
  }

  /** Whether the refusal of a request still says something (answers come late, twice and in any order). */
  isCurrentRefusal({ previousIndex, round }: AppendEntriesRefused): boolean {
    if (round < this.refusalsFromRound) return false;
    if (this.state === 'replicate') return previousIndex > this.matchIndex;
    return this.state === 'probe' && previousIndex === this.nextIndex - 1;
  }
}
