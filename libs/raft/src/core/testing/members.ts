import type { Address } from '../membership/addressing.js';
import { memberOf, votersOnly } from '../membership/configuration.js';
import type { Configuration, Incarnation, Member, NodeId } from '../types.js';

/*
 * Nodes in tests live in their first directory, and their group has the id 1, unless it matters.
 */
export const TEST_GROUP_ID = 1;
export const FIRST_INCARNATION = 1;

/** A member that has been heard of. */
export function knownMember(nodeId: NodeId, fields: Partial<Omit<Member, 'nodeId'>> = {}): Member {
  return memberOf(nodeId, { incarnation: FIRST_INCARNATION, ...fields });
}

/** A group of voters. */
export function groupOf(...nodeIds: readonly NodeId[]): Configuration {
  return votersOnly(
    nodeIds.map((nodeId) => knownMember(nodeId)),
    TEST_GROUP_ID,
  );
}

/** The beginning of a message from one to another, without its term. */
export function between(
  from: NodeId,
  to: NodeId,
  fromIncarnation: Incarnation = FIRST_INCARNATION,
  toIncarnation: Incarnation = FIRST_INCARNATION,
): Omit<Address, 'term'> {
  return { from, to, fromIncarnation, toIncarnation, groupId: TEST_GROUP_ID };
}
