import { LatencyHistogram } from './latency-histogram.js';

export interface Measurement {
  readonly clients: number;
  readonly seconds: number;
  /** committed, by the word of whoever was asked */
  readonly committed: number;
  /** aborted, by reason */
  readonly aborted: Readonly<Record<string, number>>;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

/** One transfer; resolves to undefined when it was committed, to a reason when not. */
export type Attempt = (client: number) => Promise<string | undefined>;

/** Each of `clients` makes one attempt after another, until the time is over or `count` were begun. */
export async function closedLoop(
  clients: number,
  until: { readonly seconds: number } | { readonly count: number },
  attempt: Attempt,
): Promise<Measurement> {
  const latencies = new LatencyHistogram();
  const aborted: Record<string, number> = {};
  const start = performance.now();
  const end = 'seconds' in until ? start + until.seconds * 1000 : Infinity;
  let remaining = 'count' in until ? until.count : Infinity;
  const loop = async (client: number): Promise<void> => {
    while (performance.now() < end && remaining-- > 0) {
      const begun = performance.now();
      const reason = await attempt(client);
      if (reason === undefined) latencies.add(performance.now() - begun);
      else aborted[reason] = (aborted[reason] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => loop(client)));
  const seconds = (performance.now() - start) / 1000;
  return {
    clients,
    seconds,
    committed: latencies.count,
    aborted,
    perSecond: latencies.count / seconds,
    p50Ms: latencies.percentile(0.5),
    p90Ms: latencies.percentile(0.9),
    p99Ms: latencies.percentile(0.99),
  };
}
