import { invariant } from '@concordat/foundation';

/** Some seconds of a busy partition; several times what may be in hand at once. */
export const MAXIMUM_SPAN = 10_000;

/**
 * How far one partition has been consumed when its messages finish in any order.
 *
 * Offsets are begun in growing order (gaps are allowed, as Kafka has them) and finished in any. Everything
 * below `position` is finished or given up, so it is what may be committed: a crash repeats messages but skips none of
 * those that are waited for.
 *
 * One message that is never finished holds the position, and all behind it must be remembered. So there is a bound:
 * beyond it the oldest is given up, as if it had been lost on its way. Whoever reads with this must be able to lose a
 * message, as all readers of the protocol are: it is sent again until it is answered.
 */
export class OffsetTracker {
  private readonly begun: number[] = [];
  private head = 0;
  private readonly finishedAhead = new Set<number>();
  private next: number;

  /**
   * @param position the first offset that has not been consumed yet
   * @param maximumSpan messages from the oldest unfinished one to the newest, at most
   */
  constructor(
    position: number,
    private readonly maximumSpan = MAXIMUM_SPAN,
  ) {
    this.next = position;
  }

  /** Offsets that are remembered: from the lowest unfinished one to the newest. */
  get span(): number {
    return this.begun.length - this.head;
  }

  /** The lowest offset that is not finished; where a successor must start. */
  get position(): number {
    return this.begun[this.head] ?? this.next;
  }

  /** Behind the last offset that was begun: where this reader itself goes on. */
  get end(): number {
    return this.next;
  }

  /** Offsets that are begun and not finished. */
  get unfinished(): number {
    return this.begun.length - this.head - this.finishedAhead.size;
  }

  /** @returns the offset that is given up to make room for this one */
  begin(offset: number): number | undefined {
    invariant(offset >= this.next, 'the offsets of a partition are begun in growing order');
    this.begun.push(offset);
    this.next = offset + 1;
    if (this.begun.length - this.head <= this.maximumSpan) return undefined;
    const oldest = this.begun[this.head];
    invariant(oldest !== undefined, 'what is begun and not finished has an offset');
    this.head++;
    this.advance();
    return oldest;
  }

  /** What lies before `position` and was not begun will not be consumed. */
  skipTo(position: number): void {
    this.next = Math.max(this.next, position);
  }

  /** One that was given up may still be finished, and changes nothing. */
  finish(offset: number): void {
    if (offset < this.position) return;
    this.finishedAhead.add(offset);
    this.advance();
  }

  private advance(): void {
    for (let first = this.begun[this.head]; first !== undefined; first = this.begun[++this.head]) {
      if (!this.finishedAhead.delete(first)) break;
    }
    if (this.head === this.begun.length || this.head > 1_024) {
      this.begun.splice(0, this.head);
      this.head = 0;
    }
  }
}
