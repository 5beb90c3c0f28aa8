import {
  TimeLimitError,
  errorMessage,
  withTimeLimit,
  type Clock,
  type Logger,
  type Timer,
} from '@concordat/foundation';
import { BeforeConsumingTimeoutError } from '../runtime/errors.js';

/** Long enough for the migration of a large table. */
export const DEFAULT_BEFORE_CONSUMING_LIMIT_MS = 600_000;
const REPORT_EVERY_MS = 30_000;

export interface BeforeConsumingPorts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The application's hook `beforeConsuming`, which the start of a participant awaits.
 *
 * States: new → pending → ended, failed (then it runs again), or given up. A hook that was given up may still be
 * running, on connections of its own, so it never runs again in this process.
 */
export class BeforeConsuming {
  private startedAt: number | undefined;
  private failure: string | undefined;
  private givenUp: BeforeConsumingTimeoutError | undefined;
  private interrupt: (() => void) | undefined;

  /** @param limitMs maximum duration of one run, in milliseconds */
  constructor(
    private readonly hook: () => Promise<void>,
    private readonly limitMs: number,
    private readonly ports: BeforeConsumingPorts,
  ) {}

  /** Why the hook keeps the participant from consuming; undefined when it has ended, or has not begun. */
  obstacle(): string | undefined {
    if (this.givenUp) return this.givenUp.message;
    if (this.failure !== undefined) return `beforeConsuming failed and is tried again: ${this.failure}`;
    return this.startedAt === undefined ? undefined : this.pending(this.startedAt);
  }

  /**
   * @throws BeforeConsumingTimeoutError after the limit; then for every later call, too
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

  /** Stops the waits for the hook: the process is stopping. */
  stop(): void {
    this.interrupt?.();
  }

  /** Turns a synchronous throw of the hook into a rejection. */
  private async start(): Promise<void> {
    await this.hook();
  }

  private interrupted(): Promise<void> {
    return new Promise((resolve) => (this.interrupt = resolve));
  }

  private pending(startedAt: number): string {
    const seconds = Math.round((this.ports.clock.monotonic() - startedAt) / 1_000);
    const limit = `it is given up after ${Math.round(this.limitMs / 1_000)} s (beforeConsumingTimeoutMs)`;
    return `beforeConsuming has been running for ${seconds} s; until it ends nothing is consumed, and ${limit}`;
  }
}
