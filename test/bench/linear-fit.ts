/** A straight line through points by least squares. */
export interface LinearFit {
  readonly intercept: number;
  /** what one more of x costs */
  readonly slope: number;
  /** the share of the spread that the line explains, 0..1; 1 where there is no spread at all */
  readonly rSquared: number;
  /**
   * The slope of the upper half of the points over that of the lower half, the middle one belonging to both: near 1
   * for a line, while R² alone is high for a parabola, too. Undefined for fewer than three points or a lower half that
   * does not rise.
   */
  readonly bend: number | undefined;
}

export type Point = readonly [x: number, y: number];

/** Undefined where two different x are not given: through one point goes every line. */
export function fitLine(points: readonly Point[]): LinearFit | undefined {
  const line = leastSquares(points);
  if (!line) return undefined;
  const sorted = points.toSorted(([one], [other]) => one - other);
  const middle = Math.floor((sorted.length - 1) / 2);
  const lower = leastSquares(sorted.slice(0, middle + 1));
  const upper = leastSquares(sorted.slice(middle));
  const bend = lower && upper && lower.slope > 0 ? upper.slope / lower.slope : undefined;
  return { ...line, rSquared: rSquared(points, line), bend };
}

function leastSquares(points: readonly Point[]): { intercept: number; slope: number } | undefined {
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const spread = sum(points.map(([x]) => (x - meanX) ** 2));
  if (points.length < 2 || spread === 0) return undefined;
  const slope = sum(points.map(([x, y]) => (x - meanX) * (y - meanY))) / spread;
  return { slope, intercept: meanY - slope * meanX };
}

function rSquared(points: readonly Point[], line: { intercept: number; slope: number }): number {
  const meanY = mean(points.map(([, y]) => y));
  const total = sum(points.map(([, y]) => (y - meanY) ** 2));
  if (total === 0) return 1;
  return 1 - sum(points.map(([x, y]) => (y - line.intercept - line.slope * x) ** 2)) / total;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
