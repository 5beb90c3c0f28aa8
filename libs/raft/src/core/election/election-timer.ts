import { randomInteger } from '@concordat/foundation';
import type { Random } from '@concordat/foundation';

/** Counts ticks without a leader; each timeout is drawn from [n, 2n) (paper, section 5.2). */
export class ElectionTimer {
  private elapsed = 0;
  private timeoutTicks = 0;

  constructor(
    private readonly electionTicks: number,
    private readonly random: Random,
  ) {
    this.reset();
  }

  reset(): void {
    this.elapsed = 0;
    this.timeoutTicks = randomInteger(this.random, this.electionTicks, 2 * this.electionTicks - 1);
  }

  /** One tick; true at the timeout. */
  tick(): boolean {
    return ++this.elapsed >= this.timeoutTicks;
  }

  /** Whether less than the shortest timeout has passed: no other node can have timed out. */
  isWithinMinimum(): boolean {
    return this.elapsed < this.electionTicks;
  }
}
