import { entrySizeBytes } from '../core/log/log.js';
import type { Entry } from '../core/types.js';

/** Ticks until a snapshot that found no room on the disk is tried again. */
const RETRY_TICKS = 100;

/**
 * While a follower is being sent the last snapshot, or catches up from there, the next one waits until the log behind it
 * is so many times as long as would do: who is sent a snapshot more slowly than the log grows by its length can never
 * keep up anyway.
 */
const HOLD_BACK_FACTOR = 4;

export interface SnapshotThresholds {
  readonly afterBytes: number;
  readonly afterEntries: number;
}

/**
 * When a snapshot is due: after so many entries, or so many bytes of them and at least as many as the last snapshot
 * was long, so that writing snapshots never costs more than writing the log. One is under way at a time, and while a
 * follower is being sent the last one the next waits: it would take its place, and the log behind it, which the follower
 * needs until it has made up for the time that the transfer took.
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

  /** @param isHeldBack a follower needs the log behind the last one */
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

  /** There was no room for it. */
  postponed(): void {
    this.underWay = false;
    this.isOverdue = true;
    this.pauseTicks = RETRY_TICKS;
  }

  /** What is applied from now on comes behind a snapshot of this size. */
  restarted(snapshotBytes: number): void {
    this.isOverdue = false;
    this.appliedBytes = 0;
    this.appliedEntries = 0;
    this.lastSnapshotBytes = snapshotBytes;
  }
}
