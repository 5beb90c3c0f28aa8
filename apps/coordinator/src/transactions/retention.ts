import type { Clock, Timer } from '@concordat/foundation';
import type { DecisionLog } from '../decision-log/decision-log.js';
import type { TransactionOptions } from './options.js';

/**
 * While the node leads: now and then has the log forget ended transactions that are older than the retention.
 * Only what is known to be published can be forgotten, so the log is told of that first, even if nothing else
 * happens any more.
 */
export class Retention {
  private timer: Timer | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly log: DecisionLog,
    private readonly options: Pick<TransactionOptions, 'retentionMs' | 'retentionIntervalMs'>,
    private readonly logPublished: () => void,
  ) {}

  start(): void {
    this.timer = this.clock.setTimer(this.options.retentionIntervalMs, () => this.run());
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private run(): void {
    this.logPublished();
    const before = this.clock.now() - this.options.retentionMs;
    const oldest = this.log.state.archive.oldestEndedAt();
    if (oldest !== undefined && oldest < before) {
      this.log.append({ type: 'expire', before }).catch(() => undefined); // the next round, or leader, does it
    }
    this.start();
  }
}
