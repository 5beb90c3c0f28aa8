/** A record that advances log time by more milliseconds than this makes a step. */
export const MAXIMUM_TIME_STEP_MS = 60_000;

export interface LogTimeSnapshot {
  readonly now: number;
  readonly steppedTo: number;
}

/**
 * Log time: the highest time of any record, in milliseconds since 1970. Part of the replicated state, so it is the same
 * on every node at the same index; it never goes back.
 *
 * A record that advances it by more than `MAXIMUM_TIME_STEP_MS` makes a step: either the log was silent that long (the
 * group was down), or a clock jumped; the log cannot tell which. So a step does not count as elapsed time: what ended
 * before it is kept as if it had ended at it.
 */
export class LogTime {
  private latest = 0;
  private step = 0;

  /** Log time; 0 before the first record. */
  get now(): number {
    return this.latest;
  }

  /** The end of the last step. What ended before it counts as no older than this. */
  get steppedTo(): number {
    return this.step;
  }

  /** Advances to the time of a record, unless that is lower. @returns log time */
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
