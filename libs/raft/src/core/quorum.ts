import { invariant } from '@concordat/foundation';

/** How many of `voterCount` voters make a majority. */
export function quorumSize(voterCount: number): number {
  invariant(voterCount > 0, 'a group has voters');
  return Math.floor(voterCount / 2) + 1;
}

/**
 * The greatest value that a majority has reached, given one value per voter: the commit index out of match
 * indexes, the confirmed round out of acknowledged rounds (paper, section 5.3 and figure 2).
 */
export function reachedByQuorum(values: readonly number[]): number {
  const descending = [...values].sort((left, right) => right - left);
  return descending[quorumSize(values.length) - 1]!;
}
