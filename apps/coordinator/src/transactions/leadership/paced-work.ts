import type { Clock } from '@concordat/foundation';

export interface PacedWorkOptions {
  readonly clock: Clock;
  /** units of work per turn; a heavy piece counts as several units */
  readonly perSlice: number;
  /** the operations that the work started: the next slice waits until they are settled */
  readonly settled: () => Promise<unknown>;
  /** called at the end of each slice of delayed work */
  readonly onSlice: () => void;
}

interface Piece {
  readonly work: () => void;
  readonly weight: number;
}

/**
 * Paces work that comes in bursts when there are many transactions (all deadlines passed, a new leader resends). A
 * little is done at once; the rest waits and is done in slices, one per turn.
 *
 * States: idle ⇄ pausing (after work: until the next turn, and if more waits, until `settled`) → closed.
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
   * Does the work now, or after the work that waits.
   *
   * @param weight in units of work; a piece heavier than a slice gets its own slice
   */
  add(work: () => void, weight = 1): void {
    if (this.closed) return;
    const piece = { work, weight };
    if (this.waitingCount > 0 || !this.fits(piece)) this.waiting.push(piece);
    else this.take(piece);
  }

  /** Drops the work that waits. */
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
