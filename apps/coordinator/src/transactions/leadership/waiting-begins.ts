import type { Clock, Timer } from '@concordat/foundation';

/**
 * `Begin` records that nobody needs in the log yet. They wait a moment for the next proposal and share its log write.
 *
 * States: empty ⇄ waiting (a timer runs); `release` empties it at any time.
 */
export class WaitingBegins {
  private proposals: (() => void)[] = [];
  private timer: Timer | undefined;

  /** @param delayMs maximum wait; 0: none */
  constructor(
    private readonly clock: Clock,
    private readonly delayMs: number,
  ) {}

  /** Settles as the delayed proposal does. */
  add<Value>(propose: () => Promise<Value>): Promise<Value> {
    if (this.delayMs === 0) return propose();
    this.timer ??= this.clock.setTimer(this.delayMs, () => this.release());
    return new Promise((resolve, reject) => {
      this.proposals.push(() => void propose().then(resolve, reject));
    });
  }

  /** Makes all delayed proposals, in order. */
  release(): void {
    this.timer?.cancel();
    this.timer = undefined;
    const proposals = this.proposals;
    this.proposals = [];
    for (const propose of proposals) propose();
  }
}
