import type { Logger, Timer } from '@concordat/foundation';
import type { DecisionState } from '@concordat/commit-protocol';
import { MAXIMUM_CLOCK_SKEW_MS } from './group-clocks.js';
import type { LogClock } from './log-clock.js';

const LOOK_INTERVAL_MS = 5_000;
/** Log time stands still for this long at most; well below what would count as a step of it. */
const SILENCE_MS = 20_000;

export interface TimeKeeperPorts {
  readonly clock: LogClock;
  readonly state: DecisionState;
  readonly logger: Logger;
  /** has the log take a record for the sake of its time */
  readonly tellTime: () => void;
  readonly onAlert: (detail: string) => void;
}

/**
 * While the node leads: moves log time on when nothing else does and there is something to grow old, and tells when
 * the clocks of the group are too far apart, once for each time that they come apart.
 */
export class TimeKeeper {
  private timer: Timer | undefined;
  private alerted = false;
  /** monotonic; one that is under way needs no second */
  private toldAt = -Infinity;

  constructor(private readonly ports: TimeKeeperPorts) {}

  start(): void {
    this.timer = this.ports.clock.setTimer(LOOK_INTERVAL_MS, () => {
      this.watchSkew();
      this.breakSilence();
      this.start();
    });
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.alerted = false;
  }

  private breakSilence(): void {
    const { clock, state, tellTime } = this.ports;
    const grows = state.archive.size + state.unpublishedCount > 0;
    const [silentMs, sinceToldMs] = [clock.now() - state.logTime.now, clock.monotonic() - this.toldAt];
    if (!grows || silentMs < SILENCE_MS || sinceToldMs < SILENCE_MS) return;
    this.toldAt = clock.monotonic();
    tellTime();
  }

  private watchSkew(): void {
    const { clock, onAlert, logger } = this.ports;
    const { verdict, skewMs } = clock.comparison();
    const skewed = skewMs > MAXIMUM_CLOCK_SKEW_MS;
    if (skewed === this.alerted) return;
    this.alerted = skewed;
    if (!skewed) return logger.info('the clocks of the group agree again');
    const consequence =
      verdict === 'agreed' ? 'a majority agrees, and its time counts' : 'no majority agrees, so nothing expires';
    onAlert(`the clocks of the group are ${Math.round(skewMs)} ms apart: ${consequence}; set them right`);
  }
}
