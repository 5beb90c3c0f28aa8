/** A record moves log time on by at most this much without its being a step, in milliseconds. */
export const MAXIMUM_TIME_STEP_MS = 60_000;

export interface LogTimeSnapshot {
  readonly now: number;
  readonly steppedTo: number;
}

/**
 * Log time: the highest time that any record has carried, in milliseconds since 1970. Part of the replicated state, so
 * it is the same on every node at the same index, and it never goes back.
 *
 * A record that moves it on by more than `MAXIMUM_TIME_STEP_MS` makes a step. Either the log was silent for so long
 * (the group was down), or somebody's clock jumped: nobody can tell from the log. So a step does not count as time that
 * has passed: what ended before it is kept as if it had ended at it.
 */
export class LogTime {
  private latest = 0;
  private step = 0;

  /** Log time; 0 before the first record. */
  get now(): number {
    return this.latest;
  }

  /** Where the last step led to. What ended before is not older than this, whatever its time says. */
  get steppedTo(): number {
    return this.step;
  }

  /** Takes the time of a record over, unless it is from the past. @returns log time */
  advance(at: number): number {
    if (at <= this.latest) return this.latest;
    if (at - this.latest > MAXIMUM_TIME_STEP_MS) this.step = at;
    this.latest = at;
    return at;
  }

  snapshot(): LogTimeSnapshot {
    return { now: this.latest, steppedTo: this.step };
  }

  restore({ now, steppedTo }: LogTimeSnapshot): void {
    this.latest = now;
    this.step = steppedTo;
  }
}
