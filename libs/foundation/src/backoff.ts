import { randomFraction, type Random } from './random.js';

export interface BackoffOptions {
  /** delay before the first retry, in milliseconds */
  baseMs: number;
  /** maximum delay, in milliseconds */
  capMs: number;
}

/**
 * Exponential back-off with jitter: attempt 0 waits about `baseMs`, each further one twice as long up to `capMs`. Every
 * delay is spread over [50 %, 100 %] of that, so that retries are not synchronised.
 */
export function backoffMs(attempt: number, options: BackoffOptions, random: Random): number {
  const full = Math.min(options.capMs, options.baseMs * 2 ** Math.min(attempt, 30));
  return full * (0.5 + 0.5 * randomFraction(random));
}
