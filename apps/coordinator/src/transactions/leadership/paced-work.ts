import type { Clock } from '@concordat/foundation';

export interface PacedWorkOptions {
  readonly clock: Clock;
  /** pieces of work that are done before others have a turn; a heavy one counts as several */
  readonly perSlice: number;
  /** what the work so far has set going: the next slice waits until it is settled */
  readonly settled: () => Promise<unknown>;
  /** called at the end of each slice of work that had to wait */
  readonly onSlice: () => void;
}

interface Piece {
  readonly work: () => void;
  readonly weight: number;
}

/**
 * Work that comes in floods when there are many transactions (all their deadlines have passed, a new leader asks
 * again). A little of it is done at once; the rest waits, and goes on in slices, each in a turn of its own.
 *
 * States: idle ⇄ pausing (something was done: until the next turn, and, if more waits, until it is settled) →
 * closed.
 */
export class PacedWork {
  private waiting: Piece[] = [];
  private next = 0;
  private taken = 0;
  private pausing = false;
  private closed = false;

  constructor(private readonly options: PacedWorkOptions) {}

  get waitingCount(): number {
    return this.waiting.length - this.next;
  }

  /**
   * Does it now, or when what came before is done.
   *
   * @param weight as how many pieces it counts; one that is heavier than a slice has a slice of its own
   */
  add(work: () => void, weight = 1): void {
    if (this.closed) return;
    const piece = { work, weight };
    if (this.waitingCount > 0 || !this.fits(piece)) this.waiting.push(piece);
    else this.take(piece);
  }

  /** Forgets what waits. */
  close(): void {
    this.closed = true;
    this.waiting = [];
    this.next = 0;
  }

  private fits({ weight }: Piece): boolean {
    return this.taken === 0 || this.taken + weight <= this.options.perSlice;
  }

  private take({ work, weight }: Piece): void {
    this.taken += weight;
    this.pause();
    work();
  }

  private pause(): void {
    if (this.pausing) return;
    this.pausing = true;
    const goOn = (): void => this.goOn();
    this.options.clock.setTimer(0, () => {
      if (this.waitingCount === 0) goOn();
      else this.options.settled().then(goOn, goOn);
    });
  }

  private goOn(): void {
    this.pausing = false;
    this.taken = 0;
    if (this.closed || this.waitingCount === 0) return;
    while (this.waitingCount > 0 && this.fits(this.waiting[this.next]!)) this.take(this.waiting[this.next++]!);
    if (this.waitingCount === 0) {
      this.waiting = [];
      this.next = 0;
    }
    this.options.onSlice();
  }
}
