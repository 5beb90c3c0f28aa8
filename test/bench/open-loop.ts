import { setTimeout as delay } from 'node:timers/promises';
import type { Attempt } from './closed-loop.js';
import { LatencyHistogram } from './latency-histogram.js';

export interface OpenLoopOptions {
  /** requests per second, at even distances */
  readonly perSecond: number;
  readonly seconds: number;
  /** requests under way at a time; those that are due beyond it wait, and their wait counts */
  readonly connections: number;
}

export interface OpenLoopMeasurement {
  readonly requested: number;
  readonly committed: number;
  /** aborted, by reason */
  readonly aborted: Readonly<Record<string, number>>;
  /** until the last answer */
  readonly seconds: number;
  /** of the committed, from the moment at which each should have been sent */
  readonly latencies: LatencyHistogram;
  /** how late the load itself looked at its clock: so much of a latency is not the system's */
  readonly lateness: LatencyHistogram;
}

/** How many requests are due so long after the start; the first is due at once. */
export function dueAt(
  elapsedMs: number,
  { perSecond, seconds }: Pick<OpenLoopOptions, 'perSecond' | 'seconds'>,
): number {
  const total = Math.floor(perSecond * seconds);
  return elapsedMs < 0 ? 0 : Math.min(total, Math.floor((elapsedMs * perSecond) / 1000) + 1);
}

/** When request `index`, from 0 on, should be sent; milliseconds after the start. */
export function intendedStartMs(index: number, perSecond: number): number {
  return (index * 1000) / perSecond;
}

/**
 * Sends at a fixed rate, whatever the answers do, as independent users would. A closed loop stops asking while the
 * system is slow, and so leaves out the very requests that would have been slow (coordinated omission). Here each
 * latency begins at the moment at which the schedule wanted the request sent.
 */
export async function openLoop(options: OpenLoopOptions, attempt: Attempt): Promise<OpenLoopMeasurement> {
  const { perSecond, connections } = options;
  const total = dueAt(Infinity, options);
  const latencies = new LatencyHistogram();
  const lateness = new LatencyHistogram();
  const aborted: Record<string, number> = {};
  const free = Array.from({ length: connections }, (_, client) => client);
  const requests: Promise<void>[] = [];
  const failures: unknown[] = [];
  const start = performance.now();
  let due = 0;
  let sent = 0;

  const send = async (client: number, index: number): Promise<void> => {
    for (let next: number | undefined = index; next !== undefined; next = sent < due ? sent++ : undefined) {
      const reason = await attempt(client);
      if (reason === undefined) latencies.add(performance.now() - start - intendedStartMs(next, perSecond));
      else aborted[reason] = (aborted[reason] ?? 0) + 1;
    }
    free.push(client);
  };

  while (due < total && failures.length === 0) {
    const elapsedMs = performance.now() - start;
    for (const end = dueAt(elapsedMs, options); due < end; due++) {
      lateness.add(elapsedMs - intendedStartMs(due, perSecond));
    }
    while (sent < due) {
      const client = free.pop();
      if (client === undefined) break; // whoever is free next takes it
      const request = send(client, sent++);
      requests.push(request);
      void request.catch((error: unknown) => failures.push(error)); // it also rejects below
    }
    if (due < total) await delay(1);
  }
  await Promise.all(requests);
  const seconds = (performance.now() - start) / 1000;
  return { requested: total, committed: latencies.count, aborted, seconds, latencies, lateness };
}
