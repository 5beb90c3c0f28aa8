import type { Clock } from '@concordat/foundation';

/** One piece of work that waits or runs. */
interface Job {
  readonly key: string;
  readonly run: () => Promise<void>;
  /** until then it may run, in milliseconds since 1970 */
  readonly deadline: number;
}

interface RunningJob {
  /** both on the monotonic clock, which nobody sets */
  readonly startedAt: number;
  /** by when it should have ended */
  readonly dueAt: number;
}

/** Beyond its deadline a job has as long as it may take to find out in the database what became of it. */
const OVERDUE_AFTER_MS = 60_000;

/**
 * Runs at most `concurrency` jobs at once and lets at most `capacity` more wait, in the order of their arrival.
 * Jobs never reject; a refused one is never run. The caller names each job, so that one that still waits can be
 * taken back. Every job is to bound its own time; the pool tells how old the oldest is, which shows one that does not.
 */
export class BoundedPool {
  private readonly waiting = new Map<string, Job>();
  /** in the order of their start */
  private readonly running = new Set<RunningJob>();

  constructor(
    private readonly concurrency: number,
    private readonly capacity: number,
    private readonly clock: Clock,
  ) {}

  /**
   * False when the queue is full: the job is not taken.
   *
   * @param deadline of what it works for, in milliseconds since 1970; 0 for what is to be done at once
   */
  submit(key: string, run: () => Promise<void>, deadline = 0): boolean {
    if (this.running.size < this.concurrency) {
      this.start({ key, run, deadline });
      return true;
    }
    if (this.waiting.size >= this.capacity || this.waiting.has(key)) return false;
    this.waiting.set(key, { key, run, deadline });
    return true;
  }

  /** Takes a job back that has not begun. False when it has, or is unknown. */
  cancel(key: string): boolean {
    return this.waiting.delete(key);
  }

  get runningCount(): number {
    return this.running.size;
  }

  get waitingCount(): number {
    return this.waiting.size;
  }

  /** How long the oldest job has been running, in milliseconds; 0 when none runs. */
  get oldestRunningMs(): number {
    const oldest = this.running.values().next();
    return oldest.done ? 0 : this.clock.monotonic() - oldest.value.startedAt;
  }

  /** Jobs that should have ended by now. */
  get overdueCount(): number {
    const now = this.clock.monotonic();
    let count = 0;
    for (const { dueAt } of this.running) if (dueAt < now) count++;
    return count;
  }

  private start({ run, deadline }: Job): void {
    const { clock } = this;
    const startedAt = clock.monotonic();
    const job = { startedAt, dueAt: startedAt + Math.max(0, deadline - clock.now()) + OVERDUE_AFTER_MS };
    this.running.add(job);
    void run().finally(() => {
      this.running.delete(job);
      const next = this.waiting.values().next();
      if (next.done) return;
      this.waiting.delete(next.value.key);
      this.start(next.value);
    });
  }
}
