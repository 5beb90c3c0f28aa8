import type { Clock } from '@concordat/foundation';

/** After a scan of this share of a turn's bytes, the next one gets a turn of its own. */
const LIGHT_SHARE = 0.25;

/**
 * Spreads scans of large transactions over turns, however many lists are requested at once, so that the node answers
 * its peers in between. Small scans never wait.
 */
export class ScanTurns {
  private usedBytes = 0;
  private endIsDue = false;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly bytesPerTurn: number,
  ) {}

  /** Resolves when it is the caller's turn; it must scan at once. Undefined when it need not wait. */
  turn(): Promise<void> | undefined {
    if (this.waiting.length === 0 && this.usedBytes < this.bytesPerTurn * LIGHT_SHARE) return undefined;
    return new Promise((resolve) => void this.waiting.push(resolve));
  }

  /** Records the size of a scan in this turn. */
  used(sizeBytes: number): void {
    this.usedBytes += sizeBytes;
    this.endTurnLater();
  }

  private endTurnLater(): void {
    if (this.endIsDue) return;
    this.endIsDue = true;
    this.clock.setTimer(0, () => {
      this.usedBytes = 0;
      this.endIsDue = false;
      this.waiting.shift()?.();
      if (this.waiting.length > 0) this.endTurnLater();
    });
  }
}
