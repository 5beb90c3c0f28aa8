import {
  TimeLimitError,
  errorMessage,
  withTimeLimit,
  type Clock,
  type Logger,
  type Timer,
} from '@concordat/foundation';
import { BeforeConsumingTimeoutError } from '@concordat/participant';

/** Long enough for the migration of a large table; what hangs is known before somebody looks. */
export const DEFAULT_BEFORE_CONSUMING_LIMIT_MS = 600_000;
const REPORT_EVERY_MS = 30_000;

export interface BeforeConsumingPorts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The application's hook `beforeConsuming`: foreign code that the start of a participant waits for.
 *
 * States: new → pending → ended, or failed (and then it may run again), or given up. A hook that was given up may
 * still be at work, on connections that are not ours, so it never runs a second time in this process.
 */
export class BeforeConsuming {
  private startedAt: number | undefined;
  private failure: string | undefined;
  private givenUp: BeforeConsumingTimeoutError | undefined;
  private interrupt: (() => void) | undefined;

  /** @param limitMs how long one run may take, in milliseconds */
  constructor(
    private readonly hook: () => Promise<void>,
    private readonly limitMs: number,
    private readonly ports: BeforeConsumingPorts,
  ) {}

  /** Why nothing is consumed because of the hook; undefined when it has ended, or has not begun. */
  obstacle(): string | undefined {
    if (this.givenUp) return this.givenUp.message;
    if (this.failure !== undefined) return `beforeConsuming failed and is tried again: ${this.failure}`;
    return this.startedAt === undefined ? undefined : this.pending(this.startedAt);
  }

  /**
   * @throws BeforeConsumingTimeoutError when it takes longer than it may, for good
   * @throws whatever the hook rejects with
   */
  async run(): Promise<void> {
    if (this.givenUp) throw this.givenUp;
    const { clock, logger } = this.ports;
    const startedAt = clock.monotonic();
    this.startedAt = startedAt;
    this.failure = undefined;
    let timer: Timer;
    const reportLater = (): Timer =>
      clock.setTimer(REPORT_EVERY_MS, () => {
        logger.warn(this.pending(startedAt));
        timer = reportLater();
      });
    timer = reportLater();
    try {
      await withTimeLimit(clock, this.limitMs, 'beforeConsuming', Promise.race([this.start(), this.interrupted()]));
    } catch (error) {
      if (!(error instanceof TimeLimitError)) {
        this.failure = errorMessage(error);
        throw error;
      }
      this.givenUp = new BeforeConsumingTimeoutError(this.limitMs, { cause: error });
      throw this.givenUp;
    } finally {
      timer.cancel();
      this.startedAt = undefined;
    }
  }

  /** The process stops: nobody waits for the hook any more. */
  stop(): void {
    this.interrupt?.();
  }

  /** What foreign code throws before it gives a promise is a rejection, too. */
  private async start(): Promise<void> {
    await this.hook();
  }

  private interrupted(): Promise<void> {
    return new Promise((resolve) => (this.interrupt = resolve));
  }

  private pending(startedAt: number): string {
    const seconds = Math.round((this.ports.clock.monotonic() - startedAt) / 1_000);
    const limit = `it is given up after ${Math.round(this.limitMs / 1_000)} s (beforeConsumingTimeoutMs)`;
    return `beforeConsuming has not come to an end for ${seconds} s; until then nothing is consumed, and ${limit}`;
  }
}
