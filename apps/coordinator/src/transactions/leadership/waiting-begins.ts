import type { Clock, Timer } from '@concordat/foundation';

/**
 * `Begin` records that nobody needs in the log yet. They wait a moment for whatever is proposed next, and share
 * their way into the log with it.
 *
 * States: empty ⇄ waiting (a timer runs); `release` empties it at any time.
 */
export class WaitingBegins {
  private proposals: (() => void)[] = [];
  private timer: Timer | undefined;

  /** @param delayMs how long one waits at most; 0: not at all */
  constructor(
    private readonly clock: Clock,
    private readonly delayMs: number,
  ) {}

  /** Ends as the proposal does, which is made when the wait is over. */
  add<Value>(propose: () => Promise<Value>): Promise<Value> {
    if (this.delayMs === 0) return propose();
    this.timer ??= this.clock.setTimer(this.delayMs, () => this.release());
    return new Promise((resolve, reject) => {
      this.proposals.push(() => void propose().then(resolve, reject));
    });
  }

  /** Makes all proposals that wait, in their order. */
  release(): void {
    this.timer?.cancel();
    this.timer = undefined;
    const proposals = this.proposals;
    this.proposals = [];
    for (const propose of proposals) propose();
  }
}
