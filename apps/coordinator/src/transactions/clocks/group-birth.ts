import { errorMessage, type Logger, type Timer } from '@concordat/foundation';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import type { LogClock } from './log-clock.js';

const RETRY_MS = 50;

/**
 * The first leader of a group logs the birth of the group before it does anything else. Older transactions belong to an
 * earlier group that lost its data; nothing is presumed about them.
 *
 * The time is the latest that a known clock of the group shows, with a majority known: these clocks made the ids of the
 * earlier group.
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
