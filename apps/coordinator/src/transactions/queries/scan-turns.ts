import type { Clock } from '@concordat/foundation';

/** From this share of a turn's bytes on, whoever comes next has a turn of its own. */
const LIGHT_SHARE = 0.25;

/**
 * Has lists look at large transactions one after the other, each in a turn of its own, however many lists are asked for
 * at once: between two of them the node hears its peers. Lists that look at little never wait for each other.
 */
export class ScanTurns {
  private usedBytes = 0;
  private endIsDue = false;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly bytesPerTurn: number,
  ) {}

  /** Resolves when it is the caller's turn, who looks at once; undefined when it need not wait. */
  turn(): Promise<void> | undefined {
    if (this.waiting.length === 0 && this.usedBytes < this.bytesPerTurn * LIGHT_SHARE) return undefined;
    return new Promise((resolve) => void this.waiting.push(resolve));
  }

  /** So much was looked at in this turn. */
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
