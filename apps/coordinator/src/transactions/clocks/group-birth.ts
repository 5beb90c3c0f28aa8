import { errorMessage, type Logger, type Timer } from '@concordat/foundation';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import type { LogClock } from './log-clock.js';

const RETRY_MS = 50;

/**
 * The first leader of a group has its log say when the group was born, before it does anything else. Whatever is older
 * belongs to an earlier group that lost its data, and nothing is presumed about it.
 *
 * The time is the latest that any known clock of the group tells, of a majority at least: the ids of the earlier group
 * were made by these clocks.
 */
export class GroupBirth {
  private timer: Timer | undefined;
  private stopped = true;

  constructor(
    private readonly clock: LogClock,
    private readonly log: DecisionLog,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.stopped = false;
    this.propose();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  private propose(): void {
    const at = this.clock.latestTime();
    if (at === undefined) return this.retry();
    this.log.append({ type: 'group-born', at }).catch((error: unknown) => {
      if (this.stopped) return;
      this.logger.debug(`the birth of the group could not be logged yet: ${errorMessage(error)}`);
      this.retry();
    });
  }

  private retry(): void {
    this.timer = this.clock.setTimer(RETRY_MS, () => this.propose());
  }
}
