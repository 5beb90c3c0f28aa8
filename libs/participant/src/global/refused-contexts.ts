import type { Clock, Logger } from '@concordat/foundation';
import { ContextExpiredError, InvalidContextError } from './errors.js';

/** Calls that were refused because of their context, by code. */
export type RefusedContextCounts = Readonly<Record<'INVALID_CONTEXT' | 'CONTEXT_EXPIRED', number>>;

/** Anybody can send a header, so it is logged at most so often; all are counted. */
const LOG_EACH_MS = 1_000;

/** Counts and logs the calls whose context could not be used. None of them has had an effect. */
export class RefusedContexts {
  private readonly counted = { INVALID_CONTEXT: 0, CONTEXT_EXPIRED: 0 };
  private loggedAt = -Infinity;

  constructor(private readonly ports: { readonly clock: Clock; readonly logger: Logger }) {}

  get counts(): RefusedContextCounts {
    return { ...this.counted };
  }

  /** Whatever a call has failed with; other errors are not counted. */
  note(error: unknown): void {
    if (!(error instanceof InvalidContextError || error instanceof ContextExpiredError)) return;
    const { code, message } = error;
    this.counted[code]++;
    const { clock, logger } = this.ports;
    if (clock.monotonic() - this.loggedAt < LOG_EACH_MS) return;
    this.loggedAt = clock.monotonic();
    logger.warn(`a call is refused because of its context (${code}, ${this.counted[code]} so far): ${message}`);
  }
}
