import type { Clock, Timer, VirtualClock } from '@concordat/foundation';

/** The clock of a machine: it goes at a rate of its own and shows a time of day of its own. */
export class DriftingClock implements Clock {
  private readonly startedAt: number;

  /** @param rate its milliseconds per true millisecond */
  constructor(
    private readonly truth: VirtualClock,
    private readonly rate: number,
    private readonly offsetMs: number,
  ) {
    this.startedAt = truth.monotonic();
  }

  now(): number {
    return Math.floor(this.truth.now() + this.offsetMs);
  }

  monotonic(): number {
    return this.offsetMs + (this.truth.monotonic() - this.startedAt) * this.rate;
  }

  setTimer(delayMs: number, action: () => void): Timer {
    return this.truth.setTimer(Math.max(0, delayMs) / this.rate, action);
  }
}
