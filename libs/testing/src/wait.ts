import type { Clock } from '@concordat/foundation';
import { InvalidArgumentError } from './errors.js';

const POLL_MS = 5;

/** Looks again and again until `look` gives something; undefined when the time is over. */
export async function lookFor<T>(
  clock: Clock,
  withinMs: number,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T | undefined> {
  if (!Number.isFinite(withinMs) || withinMs < 0) {
    throw new InvalidArgumentError(`withinMs is ${withinMs}; it must be a number of milliseconds, 0 or more`);
  }
  const deadline = clock.monotonic() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined || clock.monotonic() >= deadline) return found;
    await new Promise<void>((resolve) => void clock.setTimer(POLL_MS, resolve));
  }
}
