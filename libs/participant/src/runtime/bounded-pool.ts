import type { Clock } from '@concordat/foundation';

interface Job {
  readonly key: string;
  readonly run: () => Promise<void>;
  /** how long it may run from now on, in milliseconds; asked when it starts */
  readonly allowedMs: () => number;
}

interface RunningJob {
  /** monotonic, like `dueAt` */
  readonly startedAt: number;
  /** when it should have ended */
  readonly dueAt: number;
}

/** After its deadline a job may still ask the database for its result. */
const OVERDUE_AFTER_MS = 60_000;

const atOnce = (): number => 0;

/**
 * Runs at most `concurrency` jobs at once; at most `capacity` more wait, in the order of their arrival. Jobs never
 * reject; a refused one never runs. The caller names each job, so that a waiting one can be cancelled. Every job must
 * bound its own time; the pool reports the age of the oldest, which shows one that does not.
 *
 * A job starts only while `hasRoom` says so, too; call `wake` when that may have changed.
 */
export class BoundedPool {
  private readonly waiting = new Map<string, Job>();
  /** in the order of their start */
  private readonly running = new Set<RunningJob>();

  constructor(
    private readonly concurrency: number,
    private readonly capacity: number,
    private readonly clock: Clock,
    private readonly hasRoom: (running: number) => boolean = () => true,
  ) {}

  /**
   * False when the queue is full: the job is not taken.
   *
   * @param allowedMs how long it may run, in milliseconds; asked when it starts
   */
  submit(key: string, run: () => Promise<void>, allowedMs = atOnce): boolean {
    if (this.waiting.size === 0 && this.mayStart()) {
      this.start({ key, run, allowedMs });
      return true;
    }
    if (this.waiting.size >= this.capacity || this.waiting.has(key)) return false;
    this.waiting.set(key, { key, run, allowedMs });
    return true;
  }

  /** Starts waiting jobs as far as possible. */
  wake(): void {
    while (this.mayStart()) {
      const next = this.waiting.values().next();
      if (next.done) return;
      this.waiting.delete(next.value.key);
      this.start(next.value);
    }
  }

  /** Cancels a waiting job. False when it is running, or unknown. */
  cancel(key: string): boolean {
    return this.waiting.delete(key);
  }

  get runningCount(): number {
    return this.running.size;
  }

  get waitingCount(): number {
    return this.waiting.size;
  }

  /** Age of the oldest running job, in milliseconds; 0 when none runs. */
  get oldestRunningMs(): number {
    const oldest = this.running.values().next();
    return oldest.done ? 0 : this.clock.monotonic() - oldest.value.startedAt;
  }

  get overdueCount(): number {
    const now = this.clock.monotonic();
    let count = 0;
    for (const { dueAt } of this.running) if (dueAt < now) count++;
    return count;
  }

  private mayStart(): boolean {
    return this.running.size < this.concurrency && this.hasRoom(this.running.size);
  }

  private start({ run, allowedMs }: Job): void {
    const { clock } = this;
    const startedAt = clock.monotonic();
    const job = { startedAt, dueAt: startedAt + Math.max(0, allowedMs()) + OVERDUE_AFTER_MS };
    this.running.add(job);
    void run().finally(() => {
      this.running.delete(job);
      this.wake();
    });
  }
}
