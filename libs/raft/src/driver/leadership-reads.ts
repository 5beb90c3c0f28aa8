interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Callers of `confirmLeadership`.
 *
 *     waiting --round starts--> in the round --confirmed--> applying --applied up to readIndex--> resolved
 *
 * One round is under way at a time; who comes meanwhile shares the next. A lost round needs no retry: every
 * heartbeat carries it again.
 */
export class LeadershipReads {
  private waiting: Waiter[] = [];
  private inRound: { round: number; readIndex: number; waiters: Waiter[] } | undefined;
  private applying: { readIndex: number; waiters: Waiter[] }[] = [];

  add(): Promise<void> {
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  wantsRound(): boolean {
    return this.waiting.length > 0 && !this.inRound;
  }

  /** @param readIndex everything committed up to now lies at or before it */
  roundStarted(round: number, readIndex: number): void {
    this.inRound = { round, readIndex, waiters: this.waiting };
    this.waiting = [];
  }

  roundConfirmed(round: number): void {
    if (!this.inRound || this.inRound.round > round) return;
    this.applying.push(this.inRound);
    this.inRound = undefined;
  }

  appliedUpTo(appliedIndex: number): void {
    // Read indexes rise from round to round.
    while (this.applying.length > 0 && this.applying[0]!.readIndex <= appliedIndex) {
      for (const waiter of this.applying.shift()!.waiters) waiter.resolve();
    }
  }

  rejectAll(error: Error): void {
    const groups = [...this.applying, ...(this.inRound ? [this.inRound] : []), { waiters: this.waiting }];
    this.applying = [];
    this.inRound = undefined;
    this.waiting = [];
    for (const { waiters } of groups) for (const waiter of waiters) waiter.reject(error);
  }
}
