/**
 * A leader without answers of a quorum for an election timeout steps down (thesis, section 6.2): its clients then ask
 * elsewhere. This counts the ticks to the next check. With one check per election timeout, the leader steps down one to
 * two timeouts after the last answer.
 */
export class CheckQuorum {
  private ticks = 0;

  constructor(private readonly electionTicks: number) {}

  /** One tick; true when the leader must check its quorum. */
  tick(): boolean {
    if (++this.ticks < this.electionTicks) return false;
    this.ticks = 0;
    return true;
  }
}
