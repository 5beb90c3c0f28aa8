/**
 * A leader that hears from no quorum for an election timeout steps down (thesis, section 6.2): its clients then ask
 * elsewhere, and nobody takes its word for longer. This counts the ticks to the next look; one look per election timeout
 * means that it steps down one to two of them after the last answer.
 */
export class CheckQuorum {
  private ticks = 0;

  constructor(private readonly electionTicks: number) {}

  /** One tick; true when the leader is to look whether a quorum is still with it. */
  tick(): boolean {
    if (++this.ticks < this.electionTicks) return false;
    this.ticks = 0;
    return true;
  }
}
