import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** default 20,000 ms */
  readonly timeoutMs?: number;
  /** between two looks, default 5 ms */
  readonly intervalMs?: number;
}

/**
 * Looks again and again until `condition` gives something truthy, and returns that.
 *
 * @param what the condition in words, for the message of the failure
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + (options.timeoutMs ?? 20_000);
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await delay(options.intervalMs ?? 5);
  }
}
