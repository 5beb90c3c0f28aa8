import type { Clock, Timer } from '@concordat/foundation';
import type { BranchDone } from '@concordat/commit-protocol';

/** Ends of branches in one record at most. */
const MAXIMUM_ITEMS = 512;

/**
 * Gathers the ends of branches over many transactions, so that the log takes one record for all of them. Nobody
 * waits for it, unless a client asked for the end.
 */
export class DoneBatch {
  private items: BranchDone[] = [];
  private timer: Timer | undefined;
  private urgent = false;
  private closed = false;

  constructor(
    private readonly clock: Clock,
    private readonly delayMs: number,
    private readonly append: (items: readonly BranchDone[]) => Promise<void>,
  ) {}

  /** @param urgent somebody waits for it: it goes at the end of this turn */
  add(item: BranchDone, urgent: boolean): void {
    this.items.push(item);
    if (this.items.length >= MAXIMUM_ITEMS) this.flush();
    else if (urgent && !this.urgent) {
      this.urgent = true;
      queueMicrotask(() => this.flush());
    } else this.timer ??= this.clock.setTimer(this.delayMs, () => this.flush());
  }

  /** Takes back what the log did not take. */
  addAgain(items: readonly BranchDone[]): void {
    for (const item of items) this.add(item, false);
  }

  /** Logs what is gathered, or nothing but the news that the record carries besides. */
  flush(force = false): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.urgent = false;
    if (this.closed || (this.items.length === 0 && !force)) return;
    const items = this.items;
    this.items = [];
    void this.append(items);
  }

  close(): void {
    this.closed = true;
    this.timer?.cancel();
    this.items = [];
  }
}
