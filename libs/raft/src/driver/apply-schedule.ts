import type { Clock } from '@concordat/foundation';
import type { RaftCore } from '../core/raft-core.js';
import type { Entry } from '../core/types.js';

/** A follower applies at once when this much is committed and not applied: taking over must not take long. */
const MAXIMUM_UNAPPLIED = { entries: 1_000, bytes: 1024 * 1024 };
/** Entries are applied for at most this long in one turn of the event loop. */
const TURN_MS = 3;

export interface ApplyScheduleOptions {
  /** whether a follower may leave committed entries in the log for a while */
  readonly lazyFollowers: boolean;
  readonly clock: Clock;
  readonly apply: (entries: readonly Entry[]) => void;
}

/**
 * When a node applies what is committed.
 *
 * Most of the time nobody looks at the state of a follower. Then it leaves committed entries in the log until its next
 * tick and applies them together, which costs a fraction of waking up for each of them.
 *
 *     waiting --tick, or the bound is reached--> applying --nothing is left--> waiting
 *
 * Any node but a follower with a known leader applies at once, and so does one on which somebody waits: the caller of a
 * proposal or of a read, or whoever has called `promptly` or `caughtUp`.
 */
export class ApplySchedule {
  private promptCallers = 0;
  private isApplying = false;
  private catchingUp: (() => void)[] = [];

  constructor(private readonly options: ApplyScheduleOptions) {}

  tick(): void {
    this.isApplying = true;
  }

  /** Applies at once until the returned function is called. */
  promptly(): () => void {
    let isOver = false;
    this.promptCallers++;
    return () => {
      if (!isOver) this.promptCallers--;
      isOver = true;
    };
  }

  /** Resolves when everything is applied that can be. */
  caughtUp(): Promise<void> {
    return new Promise((resolve) => this.catchingUp.push(resolve));
  }

  /**
   * Applies entries if it is time to, for one turn.
   *
   * @param isAwaited whether the caller of a proposal or a read waits for entries to be applied
   * @returns whether it must continue in a later turn
   */
  run(core: RaftCore, isAwaited: boolean): boolean {
    if (core.hasCommitted) {
      if (!this.isDue(core, isAwaited)) return false;
      const { clock, apply } = this.options;
      const end = clock.monotonic() + TURN_MS;
      do apply(core.takeCommitted());
      while (core.hasCommitted && clock.monotonic() < end);
      if (core.hasCommitted) return true;
    }
    this.release();
    return false;
  }

  /** Nothing is left to apply, or the node has stopped. */
  release(): void {
    this.isApplying = false;
    for (const resolve of this.catchingUp.splice(0)) resolve();
  }

  private isDue(core: RaftCore, isAwaited: boolean): boolean {
    if (!this.options.lazyFollowers || isAwaited || this.promptCallers > 0 || this.catchingUp.length > 0) return true;
    if (core.role !== 'follower' || core.leaderId === undefined) return true;
    const { entries, bytes } = core.unapplied;
    if (entries >= MAXIMUM_UNAPPLIED.entries || bytes >= MAXIMUM_UNAPPLIED.bytes) this.isApplying = true;
    return this.isApplying;
  }
}
