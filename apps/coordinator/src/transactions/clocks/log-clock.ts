import type { Clock, Timer } from '@concordat/foundation';
import type { DecisionState } from '@concordat/commit-protocol';
import { compareClocks, type ClockComparison, type GroupClocks } from './group-clocks.js';

/** How fast log time goes while it is ahead of the clocks: they catch up, and it still moves. */
const PACE_AHEAD = 0.5;
/** The clocks are compared at most so often, unless this node's was set meanwhile. */
const COMPARED_EVERY_MS = 100;
/** How far a clock may go off the monotonic one between two looks without having been set. */
const SET_BY_MS = 20;

/**
 * The time that goes into records and ids, and the only wall clock in this folder: the group's, not the machine's.
 *
 * It never goes back, also not behind log time, so not from one leader to the next either. It follows the clock of this
 * node as long as that agrees with a majority of the group, and theirs when it does not. While no majority agrees it
 * goes on at the pace of the monotonic clock. A clock that is set moves nothing here, neither forward nor backward.
 *
 * Only a node that has not heard a majority yet trusts its own clock: after hours of silence it is all there is. If it
 * is wrong, log time makes a step, behind which nothing expires (`LogTime`).
 *
 * Durations are measured with `monotonic` and timers, which no one sets.
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
    this.reached = { time: ahead ? Math.max(target, time + elapsedMs * PACE_AHEAD) : target, at: monotonic };
    return Math.floor(this.reached.time);
  }

  monotonic(): number {
    return this.clock.monotonic();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    return this.clock.setTimer(delayMs, action);
  }

  /** To be called with every record that is applied: what comes after it is later. */
  onApplied(): void {
    this.follow(this.clock.monotonic());
  }

  comparison(): ClockComparison {
    const monotonic = this.clock.monotonic();
    const own = this.clock.now();
    const offset = own - monotonic;
    const { compared } = this;
    const fresh =
      compared && monotonic - compared.at < COMPARED_EVERY_MS && Math.abs(offset - compared.offset) < SET_BY_MS;
    if (!fresh) this.compared = { comparison: compareClocks(own, monotonic, this.group), at: monotonic, offset };
    return this.compared!.comparison;
  }

  /** The time up to which a majority's clocks have certainly come; undefined while they do not agree. */
  agreedTime(): number | undefined {
    const now = this.now();
    const { verdict, highest } = this.comparison();
    return verdict === 'agreed' ? Math.min(now, Math.floor(highest)) : undefined;
  }

  /** The latest time that any clock of the group may show; undefined while fewer than a majority's are known. */
  latestTime(): number | undefined {
    const now = this.now();
    const { verdict, latest } = this.comparison();
    return verdict === 'unheard' ? undefined : Math.max(now, Math.ceil(latest));
  }

  private follow(monotonic: number): void {
    const logTime = this.state.logTime.now;
    if (logTime > this.reached.time) this.reached = { time: logTime, at: monotonic };
  }

  /** @param running where log time is without any clock but the monotonic one */
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
