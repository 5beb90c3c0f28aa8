import type { Clock, Timer } from '@concordat/foundation';
import type { DecisionState } from '@concordat/commit-protocol';
import { compareClocks, type ClockComparison, type GroupClocks } from './group-clocks.js';

/** Pace of log time while it is ahead of the clocks: slower, so that they catch up, but never stopped. */
const PACE_WHEN_AHEAD = 0.5;
/** The clocks are compared at most this often, unless this node's clock was set in between. */
const COMPARISON_MS = 100;
/** A clock that deviates this much from the monotonic one between two comparisons was set. */
const CLOCK_SET_MS = 20;

/**
 * The time in records and ids: the group's time, and the only wall clock in this folder.
 *
 * It never goes back, not even behind log time, so not from one leader to the next either. It follows the clock of this
 * node while that agrees with a majority, and the majority's clocks otherwise. While no majority agrees, it continues
 * at the pace of the monotonic clock. Setting a clock does not move it.
 *
 * Only a node that does not know a majority's clocks yet uses its own without a check. If that clock is wrong, log time
 * makes a step, behind which nothing expires (`LogTime`).
 *
 * Durations are measured with `monotonic` and timers, which cannot be set.
 */
export class LogClock implements Clock {
  private reached: { time: number; readonly at: number };
  private hasAgreed = false;
  private compared: { readonly comparison: ClockComparison; readonly at: number; readonly offset: number } | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly state: Pick<DecisionState, 'logTime'>,
    private readonly group: GroupClocks,
  ) {
    this.reached = { time: state.logTime.now, at: clock.monotonic() };
  }

  now(): number {
    const monotonic = this.clock.monotonic();
    this.follow(monotonic);
    const { time, at } = this.reached;
    const elapsedMs = monotonic - at;
    const target = this.target(monotonic, time + elapsedMs);
    const ahead = target < time + elapsedMs;
    this.reached = { time: ahead ? Math.max(target, time + elapsedMs * PACE_WHEN_AHEAD) : target, at: monotonic };
    return Math.floor(this.reached.time);
  }

  monotonic(): number {
    return this.clock.monotonic();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    return this.clock.setTimer(delayMs, action);
  }

  /** Must be called with every record that is applied: later times are higher than its time. */
  onApplied(): void {
    this.follow(this.clock.monotonic());
  }

  comparison(): ClockComparison {
    const monotonic = this.clock.monotonic();
    const own = this.clock.now();
    const offset = own - monotonic;
    const { compared } = this;
    const fresh =
      compared && monotonic - compared.at < COMPARISON_MS && Math.abs(offset - compared.offset) < CLOCK_SET_MS;
    if (!fresh) this.compared = { comparison: compareClocks(own, monotonic, this.group), at: monotonic, offset };
    return this.compared!.comparison;
  }

  /** The time that a majority's clocks have certainly reached; undefined while they do not agree. */
  agreedTime(): number | undefined {
    const now = this.now();
    const { verdict, highest } = this.comparison();
    return verdict === 'agreed' ? Math.min(now, Math.floor(highest)) : undefined;
  }

  /** The latest time that a clock of the group may show; undefined while fewer than a majority are known. */
  latestTime(): number | undefined {
    const now = this.now();
    const { verdict, latest } = this.comparison();
    return verdict === 'unheard' ? undefined : Math.max(now, Math.ceil(latest));
  }

  private follow(monotonic: number): void {
    const logTime = this.state.logTime.now;
    if (logTime > this.reached.time) this.reached = { time: logTime, at: monotonic };
  }

  /** @param running log time by the monotonic clock alone */
  private target(monotonic: number, running: number): number {
    const { verdict, lowest, highest } = this.comparison();
    if (verdict === 'agreed') {
      this.hasAgreed = true;
      const sinceMs = monotonic - this.compared!.at;
      return Math.min(Math.max(this.clock.now(), lowest + sinceMs), highest + sinceMs);
    }
    return this.hasAgreed ? running : Math.max(running, lowest);
  }
}
