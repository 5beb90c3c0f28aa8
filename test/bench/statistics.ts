/** The middle value; of an even number of values the lower one of the middle two. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value that a fraction of all values does not exceed (nearest rank); 0 for none. */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * fraction) - 1)] ?? 0;
}
