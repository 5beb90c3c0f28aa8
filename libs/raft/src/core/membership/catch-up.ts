import { invariant } from '@concordat/foundation';

/**
 * Whether a follower keeps up with the log, found out in rounds: each covers the log at its begin. A follower that
 * needs less than an election timeout for one has caught up (thesis, section 4.2.1).
 */
export class CatchUp {
  private ticks = 0;
  private lastRoundWasFast = false;

  constructor(
    private readonly electionTicks: number,
    private targetIndex: number,
  ) {}

  tick(): void {
    this.ticks++;
  }

  /** The follower has everything up to `matchIndex`; the next round covers the log up to `lastIndex`. */
  matched(matchIndex: number, lastIndex: number): void {
    invariant(matchIndex <= lastIndex, 'no follower has more than its leader');
    if (matchIndex < this.targetIndex) return;
    this.lastRoundWasFast = this.ticks < this.electionTicks;
    this.ticks = 0;
    this.targetIndex = lastIndex;
  }

  hasCaughtUp(): boolean {
    return this.lastRoundWasFast && this.ticks < this.electionTicks;
  }
}
