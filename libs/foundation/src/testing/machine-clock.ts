import type { Clock, Timer } from '../clock.js';

/** The wall clock of one machine, which somebody may set. It outlives the processes that read it. */
export class MachineClock implements Clock {
  /** how far it is ahead of the true time, in milliseconds */
  aheadMs = 0;

  constructor(private readonly world: Clock) {}

  now(): number {
    return this.world.now() + this.aheadMs;
  }

  monotonic(): number {
    return this.world.monotonic();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    return this.world.setTimer(delayMs, action);
  }
}
