import type { Clock, Timer } from '@concordat/foundation';
import type { BranchDone } from '@concordat/commit-protocol';

/** Maximum number of branch ends in one record. */
const MAXIMUM_ITEMS = 512;

/** A batch that has been collected for this part of the delay goes with another record. */
const RIPE_AFTER = 0.4;

/**
 * Collects the ends of branches over many transactions into one record. Nobody waits for it, unless a client waits for
 * the end. It shares the log write of another record when one is proposed in time: a write of its own costs every node
 * a wake-up.
 */
export class DoneBatch {
  private items: BranchDone[] = [];
  private timer: Timer | undefined;
  private urgent = false;
  /** when the oldest item came */
  private since = 0;
  private closed = false;

  constructor(
    private readonly clock: Clock,
    private readonly delayMs: number,
    private readonly append: (items: readonly BranchDone[]) => Promise<void>,
  ) {}

  /** @param urgent a client waits for it: it is logged at the end of this turn, with all that was collected before */
  add(item: BranchDone, urgent: boolean): void {
    if (this.items.length === 0) this.since = this.clock.monotonic();
    this.items.push(item);
    if (this.items.length === MAXIMUM_ITEMS)
      this.flush(); // a fuller batch is one that the log has just refused
    else if (urgent && !this.urgent) {
      this.urgent = true;
      queueMicrotask(() => this.flush());
    } else this.flushLater();
  }

  /** Takes back what the log refused. It waits for the next delay, however much it is. */
  restore(items: readonly BranchDone[]): void {
    if (this.closed) return;
    this.items.unshift(...items);
    this.since = this.clock.monotonic();
    this.flushLater();
  }

  /** Another record is proposed in this turn: what has been collected for a while goes with it. */
  ride(): void {
    if (this.items.length === 0) return;
    if (this.clock.monotonic() - this.since >= this.delayMs * RIPE_AFTER) this.flush();
  }

  /** Logs what is collected. With `force` it logs a record even without any, for the news that the record carries. */
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
