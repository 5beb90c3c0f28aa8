import { invariant, type Random } from '@concordat/foundation';

/** Election timeouts that a script names: whatever is drawn from [n, 2n) is `ticks`. */
export class ChosenTimeouts implements Random {
  private chosen = 0;

  constructor(
    private readonly electionTicks: number,
    ticks: number,
  ) {
    this.ticks = ticks;
  }

  get ticks(): number {
    return this.chosen;
  }

  set ticks(ticks: number) {
    invariant(ticks >= this.electionTicks && ticks < 2 * this.electionTicks, 'an election timeout is within [n, 2n)');
    this.chosen = ticks;
  }

  uint32(): number {
    return Math.ceil(((this.chosen - this.electionTicks) / this.electionTicks) * 2 ** 32);
  }
}
