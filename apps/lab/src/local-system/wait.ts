import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly pollMs?: number;
  /** rejects the wait with its reason */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_POLL_MS = 100;

/** Waits for a condition; false after the timeout. The condition is checked at least once. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs, pollMs = DEFAULT_POLL_MS, signal }: WaitOptions,
): Promise<boolean> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    if (await condition()) return true;
    if (Date.now() >= end) return false;
    await delay(pollMs, undefined, signal ? { signal } : {});
  }
}
