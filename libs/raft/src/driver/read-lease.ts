/**
 * A leader's right to answer reads without a round (thesis, section 6.4.1). A quorum that answered a round grants no
 * other vote until an election timeout after it received the round, so at least after the round began. So the lease
 * runs from the round's begin for an election timeout, less a tick (voters count whole ticks) and the clocks' drift.
 * Times are of the monotonic clock, which runs while the process is paused.
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

  /** Whether no round is in progress, or only one that is too old. */
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
