/**
 * Keeps the transactions of libraries apart that share one session and overlap in time.
 *
 * A transaction is at work while one of its statements runs, and for the rest of the event loop's turn after that. Then
 * nobody else may work on the session. So transactions that send one statement after the other, such as saves in a
 * `Promise.all`, come one after the other. One that waits for something else lets others in, because those may be what
 * it waits for; whichever of them is then undone finds that its savepoint no longer serves.
 */
export class Turns {
  private readonly busy = new Map<object, number>();
  private readonly waiting: (() => void)[] = [];

  /** @param transaction the library's that works, or is about to; undefined for a statement outside of one */
  async run<T>(transaction: object | undefined, work: () => Promise<T>): Promise<T> {
    await this.take(transaction);
    try {
      return await work();
    } finally {
      if (transaction) setImmediate(() => this.leave(transaction));
    }
  }

  /** A transaction has ended. */
  end(transaction: object): void {
    this.busy.delete(transaction);
    this.wake();
  }

  private async take(transaction: object | undefined): Promise<void> {
    while (this.isBusyWithout(transaction)) await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (transaction) this.busy.set(transaction, (this.busy.get(transaction) ?? 0) + 1);
  }

  private leave(transaction: object): void {
    const count = this.busy.get(transaction);
    if (count === undefined) return; // it has ended
    if (count > 1) this.busy.set(transaction, count - 1);
    else this.end(transaction);
  }

  private isBusyWithout(transaction: object | undefined): boolean {
    for (const one of this.busy.keys()) if (one !== transaction) return true;
    return false;
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}
