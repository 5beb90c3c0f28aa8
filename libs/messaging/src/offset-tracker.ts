import { invariant } from '@concordat/foundation';

/**
 * How far one partition has been consumed when its messages finish in any order.
 *
 * Offsets are begun in growing order (gaps are allowed, as Kafka has them) and finished in any. Everything
 * below `position` is finished, so it is what may be committed: a crash repeats messages but skips none.
 */
export class OffsetTracker {
  private readonly begun: number[] = [];
  private head = 0;
  private readonly finishedAhead = new Set<number>();
  private next: number;

  /** @param position the first offset that has not been consumed yet */
  constructor(position: number) {
    this.next = position;
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

  begin(offset: number): void {
    invariant(offset >= this.next, 'the offsets of a partition are begun in growing order');
    this.begun.push(offset);
    this.next = offset + 1;
  }

  /** What lies before `position` and was not begun will not be consumed. */
  skipTo(position: number): void {
    this.next = Math.max(this.next, position);
  }

  finish(offset: number): void {
    this.finishedAhead.add(offset);
    for (let first = this.begun[this.head]; first !== undefined; first = this.begun[++this.head]) {
      if (!this.finishedAhead.delete(first)) break;
    }
    if (this.head === this.begun.length || this.head > 1_024) {
      this.begun.splice(0, this.head);
      this.head = 0;
    }
  }
}
