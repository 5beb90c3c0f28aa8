/** Further apart, deadlines are noticeably early or late: the same bound as for databases in three phases. */
export const MAXIMUM_CLOCK_DIFFERENCE_MS = 2_000;

export interface ClockReading {
  /** what the other clock showed, in milliseconds since 1970; a range where it tells only seconds */
  readonly earliest: number;
  readonly latest: number;
  /** when it was asked, and when the answer came, by this process's clock */
  readonly askedAt: number;
  readonly answeredAt: number;
}

/**
 * How far another clock is ahead of this one, at least, in milliseconds; negative: it is behind. 0 when the difference
 * may be that of the way of the answer.
 */
export function clockDifferenceMs({ earliest, latest, askedAt, answeredAt }: ClockReading): number {
  const [least, most] = [earliest - answeredAt, latest - askedAt];
  if (least > 0) return least;
  return Math.min(most, 0);
}

/** "3.2 s ahead of" */
export function describeDifference(differenceMs: number): string {
  return `${(Math.abs(differenceMs) / 1_000).toFixed(1)} s ${differenceMs > 0 ? 'ahead of' : 'behind'}`;
}
