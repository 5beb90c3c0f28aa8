import type { Clock } from '@concordat/foundation';

/** A promise did not settle in time; whatever it stands for may still happen. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError';
}

/** Settles as `promise` does, or rejects with `TimeLimitError` after `limitMs`. */
export function withTimeLimit<T>(clock: Clock, limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.setTimer(limitMs, () => {
      reject(new TimeLimitError(`${what} took longer than ${limitMs} ms`));
    });
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
