const FINE_BUCKETS = 100_000; // of a microsecond each
const COARSE_BUCKETS = 100_000; // of a millisecond each

/**
 * Durations counted by length, to the microsecond below 100 ms and to the millisecond above. Unlike a list of them it
 * does not grow, and asking for a percentile does not stop the process for as long as sorting millions would: nodes
 * of a consensus group that measure themselves would be taken for dead meanwhile.
 */
export class LatencyHistogram {
  private readonly fine = new Uint32Array(FINE_BUCKETS);
  private readonly coarse = new Uint32Array(COARSE_BUCKETS);
  private total = 0;

  /** All durations of several together. */
  static merged(histograms: readonly LatencyHistogram[]): LatencyHistogram {
    const all = new LatencyHistogram();
    for (const { fine, coarse, total } of histograms) {
      for (let at = 0; at < FINE_BUCKETS; at++) all.fine[at]! += fine[at]!;
      for (let at = 0; at < COARSE_BUCKETS; at++) all.coarse[at]! += coarse[at]!;
      all.total += total;
    }
    return all;
  }

  get count(): number {
    return this.total;
  }

  add(durationMs: number): void {
    this.total++;
    const microseconds = Math.round(durationMs * 1000);
    if (microseconds < FINE_BUCKETS) this.fine[microseconds]!++;
    else this.coarse[Math.min(COARSE_BUCKETS - 1, Math.round(durationMs))]!++;
  }

  /** The duration in milliseconds that a fraction of all does not exceed (nearest rank); 0 for none. */
  percentile(fraction: number): number {
    let rank = Math.max(1, Math.ceil(this.total * fraction));
    if (this.total === 0) return 0;
    for (const [microseconds, count] of this.fine.entries()) {
      rank -= count;
      if (rank <= 0) return microseconds / 1000;
    }
    for (const [milliseconds, count] of this.coarse.entries()) {
      rank -= count;
      if (rank <= 0) return milliseconds;
    }
    return COARSE_BUCKETS;
  }
}
