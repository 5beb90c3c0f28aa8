/** Runs storage calls strictly one after another, as one row of the storage port demands. A failed one fails only its caller. */
export class StorageLane {
  private last: Promise<unknown> = Promise.resolve();
  private abandoned = false;

  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.last.then(() => (this.abandoned ? new Promise<T>(() => undefined) : job()));
    this.last = result.catch(() => undefined);
    return result;
  }

  /** What has not begun never will, and never settles: as if the machine had lost power. */
  abandon(): void {
    this.abandoned = true;
  }
}
