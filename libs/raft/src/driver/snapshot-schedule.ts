import { entrySizeBytes } from '../core/log/log.js';
import type { Entry } from '../core/types.js';

/** Ticks before a snapshot that failed on a full disk is tried again. */
const RETRY_TICKS = 100;

/**
 * While a follower gets the last snapshot, or catches up from there, the next one waits until the log after it has this
 * many times the usual length: a transfer slower than that can never keep up with the log anyway.
 */
const HOLD_BACK_FACTOR = 4;

export interface SnapshotThresholds {
  readonly afterBytes: number;
  readonly afterEntries: number;
}

/**
 * When a snapshot is due: after this many entries, or this many bytes of them and at least the size of the last
 * snapshot, so that snapshots never cost more writing than the log. One at a time. While a follower gets the last one
 * the next waits: it would replace that one and the log after it, which the follower needs to catch up.
 */
export class SnapshotSchedule {
  private appliedBytes = 0;
  private appliedEntries = 0;
  private lastSnapshotBytes = 0;
  private underWay = false;
  private pauseTicks = 0;
  private isOverdue = false;

  constructor(private readonly thresholds: SnapshotThresholds) {}

  applied(entry: Entry): void {
    this.appliedBytes += entrySizeBytes(entry);
    this.appliedEntries++;
  }

  tick(): void {
    if (this.pauseTicks > 0) this.pauseTicks--;
  }

  /** @param isHeldBack a follower needs the log after the last one */
  isDue(isHeldBack: boolean): boolean {
    const { afterBytes, afterEntries } = this.thresholds;
    const leastBytes = Math.max(afterBytes, this.lastSnapshotBytes);
    const isLongEnough = this.appliedEntries >= afterEntries || this.appliedBytes >= leastBytes;
    const isDue = isHeldBack ? this.appliedBytes >= HOLD_BACK_FACTOR * leastBytes : isLongEnough || this.isOverdue;
    return isDue && !this.underWay && this.pauseTicks === 0;
  }

  started(): void {
    this.underWay = true;
    this.restarted(this.lastSnapshotBytes);
  }

  finished(snapshotBytes: number): void {
    this.underWay = false;
    this.lastSnapshotBytes = snapshotBytes;
  }

  /** The disk was full. */
  postponed(): void {
    this.underWay = false;
    this.isOverdue = true;
    this.pauseTicks = RETRY_TICKS;
  }

  /** Counting restarts after a snapshot of this size. */
  restarted(snapshotBytes: number): void {
    this.isOverdue = false;
    this.appliedBytes = 0;
    this.appliedEntries = 0;
    this.lastSnapshotBytes = snapshotBytes;
  }
}
