/**
 * A leader's right to answer reads without asking anybody (thesis, section 6.4.1). A quorum that answered a round
 * votes for nobody else until an election timeout after it heard of the round, which is not before the round began;
 * so the lease runs from the round's beginning for an election timeout less a tick (the voters count whole ticks)
 * and less what clocks may differ. Times are of the monotonic clock, which goes on while the process is paused.
 */
export class ReadLease {
  private round: { readonly requestId: number; readonly startedAt: number } | undefined;
  private validUntil = -Infinity;
  private readonly durationMs: number;

  constructor(options: {
    readonly tickMs: number;
    readonly electionTicks: number;
    readonly maximumClockDrift: number;
  }) {
    this.durationMs = (options.electionTicks - 1) * options.tickMs * (1 - options.maximumClockDrift);
  }

  /** Whether no round is under way, or one so old that it would be of no use any more. */
  wantsRound(now: number): boolean {
    return this.round === undefined || now - this.round.startedAt >= this.durationMs;
  }

  /** @param now read before the round's messages left */
  started(requestId: number, now: number): void {
    this.round = { requestId, startedAt: now };
  }

  confirmed(requestId: number): void {
    if (this.round?.requestId !== requestId) return;
    this.validUntil = this.round.startedAt + this.durationMs;
    this.round = undefined;
  }

  isValid(now: number): boolean {
    return now < this.validUntil;
  }

  /** Leadership has changed. */
  end(): void {
    this.round = undefined;
    this.validUntil = -Infinity;
  }
}
