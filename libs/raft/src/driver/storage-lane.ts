/** Runs storage calls strictly one after another, as the storage port requires. A failed one fails only its caller. */
export class StorageLane {
  private last: Promise<unknown> = Promise.resolve();
  private abandoned = false;

  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.last.then(() => (this.abandoned ? new Promise<T>(() => undefined) : job()));
    this.last = result.catch(() => undefined);
    return result;
  }

  /** Waiting calls never begin and never settle, as after a loss of power. */
  abandon(): void {
    this.abandoned = true;
  }
}
