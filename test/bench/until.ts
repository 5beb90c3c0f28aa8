import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 10;
const PATIENCE_MS = 60_000;

/** Looks until something is found. @throws Error after a minute, naming what was waited for */
export async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`in vain waited ${PATIENCE_MS / 1000} s for ${what}`);
    await delay(POLL_MS);
  }
}
