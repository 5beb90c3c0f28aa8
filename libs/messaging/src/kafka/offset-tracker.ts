import { invariant } from '@concordat/foundation';

/** Some seconds of a busy partition; several times the messages in flight. */
export const MAXIMUM_SPAN = 10_000;

/**
 * How far one partition has been consumed when its messages finish in any order.
 *
 * Offsets begin in ascending order (gaps are allowed, as in Kafka) and finish in any. Everything below `position` is
 * finished or given up, so `position` may be committed: a crash repeats messages but skips none that is unfinished.
 *
 * One message that never finishes holds the position, and all later ones must be remembered. So there is a bound,
 * beyond which the oldest is given up as if lost. Readers must tolerate a lost message, as all readers of the protocol
 * do: it is sent again until it is answered.
 */
export class OffsetTracker {
  private readonly begun: number[] = [];
  private head = 0;
  private readonly finishedAhead = new Set<number>();
  private next: number;

  /**
   * @param position the first offset that has not been consumed yet
   * @param maximumSpan maximum number of messages from the oldest unfinished one to the newest
   */
  constructor(
    position: number,
    private readonly maximumSpan = MAXIMUM_SPAN,
  ) {
    this.next = position;
  }

  /** Remembered offsets: from the lowest unfinished one to the newest. */
  get span(): number {
    return this.begun.length - this.head;
  }

  /** The lowest unfinished offset; a successor starts there. */
  get position(): number {
    return this.begun[this.head] ?? this.next;
  }

  /** After the last begun offset: this reader itself continues there. */
  get end(): number {
    return this.next;
  }

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

  /** Offsets below `position` that were not begun will not be consumed. */
  skipTo(position: number): void {
    this.next = Math.max(this.next, position);
  }

  /** An offset that was given up may still finish; that has no effect. */
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
