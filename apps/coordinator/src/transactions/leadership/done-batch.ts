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
    if (this.items.length === MAXIMUM_ITEMS)
      this.flush(); // beyond it, the log has just refused some
    else if (urgent && !this.urgent) {
      this.urgent = true;
      queueMicrotask(() => this.flush());
    } else this.flushLater();
  }

  /** Takes back what the log did not take: however much it is, it waits before it is tried again. */
  addAgain(items: readonly BranchDone[]): void {
    if (this.closed) return;
    this.items.unshift(...items);
    this.flushLater();
  }

  /** Logs what is gathered, or nothing but the news that the record carries besides. */
  flush(force = false): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.urgent = false;
    if (this.closed || (this.items.length === 0 && !force)) return;
    const items = this.items.splice(0, MAXIMUM_ITEMS);
    if (this.items.length > 0) this.flushLater();
    void this.append(items);
  }

  close(): void {
    this.closed = true;
    this.timer?.cancel();
    this.items = [];
  }

  private flushLater(): void {
    this.timer ??= this.clock.setTimer(this.delayMs, () => this.flush());
  }
}
