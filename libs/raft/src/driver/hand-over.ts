import type { RaftCore } from '../core/raft-core.js';

/**
 * Stops a leader: it asks the most advanced follower to take over (thesis, 3.10) and waits for that, for one election
 * timeout at most. Pending proposals come first, for half of that time.
 */
export class HandOver {
  private whenGone: (() => void) | undefined;
  private ticks = 0;

  constructor(
    private readonly electionTicks: number,
    private readonly hasPendingProposals: () => boolean,
  ) {}

  /** Resolves when this node no longer leads, or after the timeout. */
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
