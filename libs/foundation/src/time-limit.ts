import type { Clock } from './clock.js';

/** Resolves after `delayMs`. Nobody can end the waiting; where that is needed, keep the timer. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(delayMs, resolve));
}

/** A promise did not settle in time; whatever it stands for may still happen. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError';
}

/**
 * Settles as `promise` does, or rejects with `TimeLimitError` after `limitMs`. The one way to wait for what is not ours:
 * handlers, hooks, servers. What the promise does afterwards is heard by nobody, so whoever gives up must also take
 * away whatever the other could still do (its connection, its place).
 */
export function withTimeLimit<T>(clock: Clock, limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.setTimer(limitMs, () => {
      reject(new TimeLimitError(`${what} took longer than ${Math.round(limitMs)} ms`));
    });
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
