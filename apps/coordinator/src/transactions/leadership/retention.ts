import type { Timer } from '@concordat/foundation';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import type { LogClock } from '../clocks/log-clock.js';
import type { TransactionOptions } from '../options.js';

/** From this share of the maximum on, the count is checked more often: some 60,000 may end between two checks. */
const CROWDED_SHARE = 0.9;
const CROWDED_INTERVAL_MS = 5_000;
/**
 * Younger transactions stay, however many there are: a branch whose `Begin` was lost asks within seconds, and must get
 * an abort, not the answer that its transaction may have been forgotten.
 */
const MINIMUM_RETENTION_MS = 60_000;

/**
 * While the node leads: periodically has the log forget ended transactions that are older than the retention, and the
 * oldest of those beyond the maximum. Only transactions whose outcome is known to be published can be forgotten, so
 * `publishedIndex` is logged first.
 *
 * A single clock cannot tell an age. Nothing is forgotten by age while the clocks of the group do not agree. What ended
 * before a step of log time is not forgotten by age until the retention has passed since the step.
 */
export class Retention {
  private timer: Timer | undefined;

  constructor(
    private readonly clock: LogClock,
    private readonly log: DecisionLog,
    private readonly options: Pick<
      TransactionOptions,
      'retentionMs' | 'retentionIntervalMs' | 'maximumEnded' | 'maximumEndedBytes'
    >,
    private readonly logPublished: () => void,
  ) {}

  start(): void {
    const { retentionIntervalMs, maximumEnded, maximumEndedBytes } = this.options;
    const { size, sizeBytes } = this.log.state.archive;
    const crowded = size > maximumEnded * CROWDED_SHARE || sizeBytes > maximumEndedBytes * CROWDED_SHARE;
    const delayMs = crowded ? Math.min(retentionIntervalMs, CROWDED_INTERVAL_MS) : retentionIntervalMs;
    this.timer = this.clock.setTimer(delayMs, () => this.run());
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private run(): void {
    this.logPublished();
    const now = this.clock.agreedTime();
    if (now !== undefined) {
      this.expireOld(now);
      this.expireExcess(now);
    }
    this.start();
  }

  private expireOld(now: number): void {
    const before = now - this.options.retentionMs;
    if (before >= this.log.state.logTime.steppedTo) this.expire(before);
  }

  private expireExcess(now: number): void {
    const { maximumEnded, maximumEndedBytes } = this.options;
    const before = this.log.state.archive.endedBefore(maximumEnded, maximumEndedBytes);
    if (before !== undefined) this.expire(Math.min(before, now - MINIMUM_RETENTION_MS), true);
  }

  private expire(before: number, crowded?: true): void {
    const oldest = this.log.state.archive.oldestEndedAt();
    if (oldest === undefined || oldest >= before) return;
    const record = { type: 'expire', before, at: this.clock.now(), ...(crowded && { crowded }) } as const;
    this.log.append(record).catch(() => undefined); // the next round, or leader, tries again
  }
}
