export interface WarmUpOptions {
  /** its throughput is the result */
  readonly slice: (slice: number) => Promise<number>;
  readonly minimumSlices: number;
  readonly maximumSlices: number;
  /** two slices in a row that differ by no more than this share of the larger one: the system is warm */
  readonly agreement: number;
}

export interface WarmUp {
  readonly slices: number;
  /** whether the last two slices agreed; otherwise the patience was over */
  readonly settled: boolean;
}

/**
 * Load before anything is measured, until it no longer makes the system faster. A broker compiles its hot code for
 * minutes: cold it costs two to three times as much CPU, and a cold Node process is no better.
 */
export async function warmUp({ slice, ...limits }: WarmUpOptions): Promise<WarmUp> {
  const throughputs: number[] = [];
  while (throughputs.length < limits.maximumSlices && !hasSettled(throughputs, limits)) {
    throughputs.push(await slice(throughputs.length + 1));
  }
  return { slices: throughputs.length, settled: hasSettled(throughputs, limits) };
}

/** @param throughputs of the slices so far, in their order */
export function hasSettled(
  throughputs: readonly number[],
  { minimumSlices, agreement }: Pick<WarmUpOptions, 'minimumSlices' | 'agreement'>,
): boolean {
  const [before = 0, last = 0] = throughputs.slice(-2);
  if (throughputs.length < Math.max(2, minimumSlices) || last <= 0) return false;
  return Math.abs(last - before) <= agreement * Math.max(before, last);
}
