import type { Logger, Timer } from '@concordat/foundation';
import type { DecisionState } from '@concordat/commit-protocol';
import { MAXIMUM_CLOCK_SKEW_MS } from './group-clocks.js';
import type { LogClock } from './log-clock.js';

const LOOK_INTERVAL_MS = 5_000;
/** Log time stands still this long at most, far below what counts as a step. */
const MAXIMUM_IDLE_MS = 20_000;

export interface TimeKeeperPorts {
  readonly clock: LogClock;
  readonly state: DecisionState;
  readonly logger: Logger;
  /** logs a record that only advances log time */
  readonly advanceLogTime: () => void;
  readonly onAlert: (detail: string) => void;
}

/**
 * While the node leads: advances log time when no other record does and something may expire, and logs a warning each
 * time the clocks of the group come apart.
 */
export class TimeKeeper {
  private timer: Timer | undefined;
  private alerted = false;
  /** monotonic; bounds how often a record is proposed */
  private proposedAt = -Infinity;

  constructor(private readonly ports: TimeKeeperPorts) {}

  start(): void {
    this.timer = this.ports.clock.setTimer(LOOK_INTERVAL_MS, () => {
      this.watchSkew();
      this.advanceIfIdle();
      this.start();
    });
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.alerted = false;
  }

  private advanceIfIdle(): void {
    const { clock, state, advanceLogTime } = this.ports;
    const grows = state.archive.size + state.unpublishedCount > 0;
    const [idleMs, sinceProposedMs] = [clock.now() - state.logTime.now, clock.monotonic() - this.proposedAt];
    if (!grows || idleMs < MAXIMUM_IDLE_MS || sinceProposedMs < MAXIMUM_IDLE_MS) return;
    this.proposedAt = clock.monotonic();
    advanceLogTime();
  }

  private watchSkew(): void {
    const { clock, onAlert, logger } = this.ports;
    const { verdict, skewMs } = clock.comparison();
    const skewed = skewMs > MAXIMUM_CLOCK_SKEW_MS;
    if (skewed === this.alerted) return;
    this.alerted = skewed;
    if (!skewed) return logger.info('the clocks of the group agree again');
    const consequence =
      verdict === 'agreed' ? 'a majority agrees, and its time is used' : 'no majority agrees, so nothing expires';
    onAlert(`the clocks of the group are ${Math.round(skewMs)} ms apart: ${consequence}; correct them`);
  }
}
