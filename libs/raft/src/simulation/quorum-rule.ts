import type { Configuration, NodeId } from '../core/types.js';

/* A second, different implementation of quorums: a checker that used the library's would trust it. */

function isMajority(nodes: readonly NodeId[], passes: (nodeId: NodeId) => boolean): boolean {
  return 2 * nodes.filter(passes).length > nodes.length;
}

/** A majority of the voters and, in a joint configuration, one of the outgoing voters (paper, section 6). */
export function isQuorum(
  { voters, outgoing }: Pick<Configuration, 'voters' | 'outgoing'>,
  passes: (nodeId: NodeId) => boolean,
): boolean {
  return isMajority(voters, passes) && (outgoing.length === 0 || isMajority(outgoing, passes));
}

/** Whether every majority of the one intersects every majority of the other: they differ in one node. */
export function majoritiesMeet(left: readonly NodeId[], right: readonly NodeId[]): boolean {
  const onlyLeft = left.filter((nodeId) => !right.includes(nodeId)).length;
  const onlyRight = right.filter((nodeId) => !left.includes(nodeId)).length;
  return onlyLeft + onlyRight <= 1;
}
