import { uuidV7Time } from '@concordat/foundation';
import type { ExpireRecord } from '@concordat/commit-protocol';
import type { DecisionLog } from '../../apps/coordinator/src/index.js';

/** A clock within what is allowed, a log that was silent for less than a step, and a record on its way. */
const RETENTION_TOLERANCE_MS = 90_000;

/** What has ended, until the log drops it; in true time. */
export class RetentionBook {
  /** up to this time, in milliseconds since 1970, the log may have forgotten what had ended */
  watermark = 0;
  private readonly endedTimes = new Map<string, number>();
  private dropped = 0;

  /** @param retentionMs how long what has ended must be known */
  constructor(
    private readonly violate: (rule: string) => void,
    private readonly now: () => number,
    private readonly retentionMs: number,
  ) {}

  /** Whether the log has dropped anything. */
  get hasExpired(): boolean {
    return this.dropped > 0;
  }

  mayBeForgotten(transactionId: string): boolean {
    return (uuidV7Time(transactionId) ?? 0) < this.watermark;
  }

  ended(transactionId: string): void {
    this.endedTimes.set(transactionId, this.now());
  }

  /** What has been dropped is never presumed about, and was kept as long as it was promised. */
  expired({ state }: DecisionLog, { crowded }: ExpireRecord): void {
    const left = new Set<string>();
    for (const { transactionId } of state.newestFirst()) left.add(transactionId);
    for (const [transactionId, endedAt] of this.endedTimes) {
      if (left.has(transactionId)) continue;
      this.endedTimes.delete(transactionId);
      this.dropped++;
      const keptMs = this.now() - endedAt;
      if (!state.mayHaveExpired(transactionId))
        this.violate(`${transactionId} is dropped, and would be presumed aborted`);
      if (!crowded && keptMs < this.retentionMs - RETENTION_TOLERANCE_MS)
        this.violate(`C2: ${transactionId} and its keys are dropped ${keptMs} ms after its end`);
    }
  }
}
