import { setImmediate as nextTurn } from 'node:timers/promises';
import { VirtualClock } from '@concordat/foundation';
import { ConcordatClient } from '../concordat-client.js';
import type { ClientOptions } from '../transport/options.js';
import { ScriptedFetch, type Step } from './scripted-fetch.js';

export const URLS = ['http://one', 'http://two', 'http://three'];

/** A client with a scripted `fetch`, a clock that only moves when told, and no randomness. */
export function virtualClient(
  steps: readonly Step[],
  options: Partial<ClientOptions> = {},
  clock = new VirtualClock(),
) {
  const script = new ScriptedFetch(...steps);
  const client = new ConcordatClient({ coordinators: URLS, clock, fetch: script.fetch, random: () => 0, ...options });
  return { client, clock, script };
}

/** Moves the clock from timer to timer until the promise settles. Fails after too many timers. */
export async function settle<Result>(clock: VirtualClock, promise: Promise<Result>): Promise<Result> {
  let isSettled = false;
  const done = (): void => void (isSettled = true);
  promise.then(done, done);
  for (let timer = 0; timer < 10_000; timer++) {
    await turns();
    if (isSettled) return promise;
    clock.fireNext();
  }
  throw new Error('the promise does not settle');
}

/** Lets everything run that needs no time. */
export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}
