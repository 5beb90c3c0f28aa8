import type { Clock, Timer } from '@concordat/foundation';

/** What one turn of the event loop counts at most. */
const MAXIMUM_TURN_MS = 5;

/**
 * Time that passes `speed` times as fast as it is, so that of a minute a test waits a few seconds, and that stands still
 * while the process does: on a busy machine nobody falls silent because the test got no processor. gRPC's own time-outs
 * are real.
 */
export class TurnClock implements Clock {
  private time = 0;
  private lastAt = performance.now();
  private readonly timers = new Map<object, { readonly dueAt: number; readonly action: () => void }>();
  private turns: NodeJS.Timeout | undefined;

  constructor(private readonly speed: number) {}

  now(): number {
    return Date.now();
  }

  monotonic(): number {
    const now = performance.now();
    this.time += Math.min(now - this.lastAt, MAXIMUM_TURN_MS) * this.speed;
    this.lastAt = now;
    return this.time;
  }

  setTimer(delayMs: number, action: () => void): Timer {
    const key = {};
    this.timers.set(key, { dueAt: this.monotonic() + delayMs, action });
    this.turns ??= setInterval(() => this.turn(), 1).unref();
    return { cancel: () => void this.timers.delete(key) };
  }

  private turn(): void {
    const now = this.monotonic();
    for (const [key, { dueAt, action }] of this.timers) {
      if (dueAt <= now && this.timers.delete(key)) action();
    }
    if (this.timers.size > 0) return;
    clearInterval(this.turns);
    this.turns = undefined;
  }
}
