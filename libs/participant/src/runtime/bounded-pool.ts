/** One piece of work that waits or runs. */
interface Job {
  readonly key: string;
  readonly run: () => Promise<void>;
}

/**
 * Runs at most `concurrency` jobs at once and lets at most `capacity` more wait, in the order of their arrival.
 * Jobs never reject; a refused one is never run. The caller names each job, so that one that still waits can be
 * taken back.
 */
export class BoundedPool {
  private readonly waiting = new Map<string, Job>();
  private running = 0;

  constructor(
    private readonly concurrency: number,
    private readonly capacity: number,
  ) {}

  /** False when the queue is full: the job is not taken. */
  submit(key: string, run: () => Promise<void>): boolean {
    if (this.running < this.concurrency) {
      this.start({ key, run });
      return true;
    }
    if (this.waiting.size >= this.capacity || this.waiting.has(key)) return false;
    this.waiting.set(key, { key, run });
    return true;
  }

  /** Takes a job back that has not begun. False when it has, or is unknown. */
  cancel(key: string): boolean {
    return this.waiting.delete(key);
  }

  get runningCount(): number {
    return this.running;
  }

  get waitingCount(): number {
    return this.waiting.size;
  }

  private start(job: Job): void {
    this.running++;
    void job.run().finally(() => {
      this.running--;
      const next = this.waiting.values().next();
      if (next.done) return;
      this.waiting.delete(next.value.key);
      this.start(next.value);
    });
  }
}
