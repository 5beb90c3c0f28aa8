import type { Configuration, NodeId } from '../core/types.js';

/*
 * What a quorum is, written down a second time and another way: a checker that asked the library would believe it.
 */

function isMajority(nodes: readonly NodeId[], passes: (nodeId: NodeId) => boolean): boolean {
  return 2 * nodes.filter(passes).length > nodes.length;
}

/** A majority of the voters and, while the configuration is joint, one of those that are left behind (paper, section 6). */
export function isQuorum(
  { voters, outgoing }: Pick<Configuration, 'voters' | 'outgoing'>,
  passes: (nodeId: NodeId) => boolean,
): boolean {
  return isMajority(voters, passes) && (outgoing.length === 0 || isMajority(outgoing, passes));
}

/** Whether every majority of the one has a node in common with every majority of the other: they differ in one node. */
export function majoritiesMeet(left: readonly NodeId[], right: readonly NodeId[]): boolean {
  const onlyLeft = left.filter((nodeId) => !right.includes(nodeId)).length;
  const onlyRight = right.filter((nodeId) => !left.includes(nodeId)).length;
  return onlyLeft + onlyRight <= 1;
}
