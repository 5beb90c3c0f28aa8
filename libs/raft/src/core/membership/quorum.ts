import { invariant } from '@concordat/foundation';
import type { Configuration, NodeId } from '../types.js';

/** The size of a majority of `voterCount` voters. */
export function quorumSize(voterCount: number): number {
  invariant(voterCount > 0, 'a group has voters');
  return Math.floor(voterCount / 2) + 1;
}

/**
 * The greatest value that a quorum has reached, given one value per voter: the commit index from match indexes, the
 * confirmed round from acknowledged rounds (paper, section 5.3 and figure 2). In a joint configuration a quorum is a
 * majority of either half (paper, section 6).
 */
export function reachedByQuorum(configuration: Configuration, valueOf: (voter: NodeId) => number): number {
  const incoming = reachedByMajority(configuration.voters, valueOf);
  if (configuration.outgoing.length === 0) return incoming;
  return Math.min(incoming, reachedByMajority(configuration.outgoing, valueOf));
}

export function hasQuorum(configuration: Configuration, passes: (voter: NodeId) => boolean): boolean {
  return reachedByQuorum(configuration, (voter) => (passes(voter) ? 1 : 0)) === 1;
}

/** By insertion: it runs with each acknowledgement, over a handful of voters. */
function reachedByMajority(voters: readonly NodeId[], valueOf: (voter: NodeId) => number): number {
  const descending = new Array<number>(voters.length);
  for (let count = 0; count < voters.length; count++) {
    const value = valueOf(voters[count]!);
    let place = count;
    for (; place > 0 && descending[place - 1]! < value; place--) descending[place] = descending[place - 1]!;
    descending[place] = value;
  }
  return descending[quorumSize(voters.length) - 1]!;
}
