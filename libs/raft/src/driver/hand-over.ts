import type { RaftCore } from '../core/raft-core.js';

/**
 * A leader's last minutes when its node is stopped: it asks the most advanced follower to take over (thesis, 3.10)
 * and waits until it has, for one election timeout at most. Pending proposals come first, for half of that time.
 */
export class HandOver {
  private whenGone: (() => void) | undefined;
  private ticks = 0;

  constructor(
    private readonly electionTicks: number,
    private readonly hasPendingProposals: () => boolean,
  ) {}

  /** Resolves when this node leads no more, or has waited long enough. */
  begin(core: RaftCore): Promise<void> {
    return new Promise((resolve) => {
      this.whenGone = resolve;
      this.tick(core);
    });
  }

  tick(core: RaftCore): void {
    if (!this.whenGone) return;
    if (++this.ticks > this.electionTicks) return this.whenGone();
    if (!this.hasPendingProposals() || this.ticks > this.electionTicks / 2) core.handOver();
  }

  leadershipGone(): void {
    this.whenGone?.();
  }
}
