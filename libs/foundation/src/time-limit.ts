import type { Clock } from './clock.js';

/** Resolves after `delayMs`. Cannot be cancelled; use a timer for that. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(delayMs, resolve));
}

/** A promise did not settle in time; its operation may still succeed. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError';
}

/**
 * Settles as `promise` does, or rejects with `TimeLimitError` after `limitMs`. For everything outside our control:
 * handlers, hooks, servers. A late result is ignored, so after a timeout the caller must also make the operation
 * harmless (close its connection, say).
 */
export function withTimeLimit<T>(clock: Clock, limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.setTimer(limitMs, () => {
      reject(new TimeLimitError(`${what} took longer than ${Math.round(limitMs)} ms`));
    });
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
