import { entrySizeBytes } from '../core/log.js';
import type { Entry } from '../core/types.js';

/**
 * When a snapshot is due: after so many bytes of applied entries, and at least as many as the last snapshot was
 * long, so that writing snapshots never costs more than writing the log. One is under way at a time.
 */
export class SnapshotSchedule {
  private appliedBytes = 0;
  private lastSnapshotBytes: number;
  private underWay = false;

  constructor(
    private readonly afterBytes: number,
    lastSnapshotBytes = 0,
  ) {
    this.lastSnapshotBytes = lastSnapshotBytes;
  }

  applied(entry: Entry): void {
    this.appliedBytes += entrySizeBytes(entry);
  }

  isDue(): boolean {
    return !this.underWay && this.appliedBytes >= Math.max(this.afterBytes, this.lastSnapshotBytes);
  }

  started(snapshotBytes: number): void {
    this.underWay = true;
    this.restarted(snapshotBytes);
  }

  finished(): void {
    this.underWay = false;
  }

  /** The state is now that of a snapshot of this size. */
  restarted(snapshotBytes: number): void {
    this.appliedBytes = 0;
    this.lastSnapshotBytes = snapshotBytes;
  }
}
