/** How much is taken at once, and how much a second for ever. */
export interface Rate {
  readonly atOnce: number;
  readonly perSecond: number;
}

/**
 * Bounds how much of something happens: it is full at first, fills itself over time, and may be given more, but never
 * holds more than it takes at once. What is taken beyond is owed.
 */
export class TokenBucket {
  private tokens: number;
  private filledAt: number;

  /** @param now in milliseconds, on the clock of all later calls */
  constructor(
    private readonly rate: Rate,
    now: number,
  ) {
    this.tokens = rate.atOnce;
    this.filledAt = now;
  }

  /** Counts with what is taken before the next look, also where the bucket is full. */
  give(count: number): void {
    this.tokens += count;
  }

  take(count: number): void {
    this.tokens -= count;
  }

  /** Whether more was taken than there was. */
  isOverdrawn(now: number): boolean {
    const { atOnce, perSecond } = this.rate;
    this.tokens = Math.min(atOnce, this.tokens + ((now - this.filledAt) / 1_000) * perSecond);
    this.filledAt = now;
    return this.tokens < 0;
  }
}
