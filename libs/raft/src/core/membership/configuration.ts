import type { Configuration, GroupId, Incarnation, Member, NodeId } from '../types.js';

/** Nobody; what a node that is yet to be added begins with. */
export const EMPTY_CONFIGURATION: Configuration = {
  groupId: 0,
  members: [],
  voters: [],
  outgoing: [],
  learners: [],
};

/** A member with defaults for whatever is left out. */
export function memberOf(nodeId: NodeId, fields: Partial<Omit<Member, 'nodeId'>> = {}): Member {
  return {
    nodeId,
    address: '',
    data: '',
    priority: 0,
    incarnation: 0,
    nextIncarnation: 0,
    returning: false,
    ...fields,
  };
}

/** The configuration a group begins with: all members are voters. */
export function votersOnly(members: readonly Member[], groupId: GroupId): Configuration {
  const sorted = [...members].sort((left, right) => left.nodeId - right.nodeId);
  return { groupId, members: sorted, voters: sorted.map(({ nodeId }) => nodeId), outgoing: [], learners: [] };
}

/** Whether a change of voters is half done: decisions need a majority of either half. */
export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

/** Whether a node's vote counts, in either half. Only such a node stands for election. */
export function isVoter(configuration: Configuration, nodeId: NodeId, incarnation: Incarnation): boolean {
  const hasVote = configuration.voters.includes(nodeId) || configuration.outgoing.includes(nodeId);
  return hasVote && incarnationOf(configuration, nodeId) === incarnation;
}

/** Whose promises count under that id; 0 when the node has no role, or was not heard of yet. */
export function incarnationOf(configuration: Configuration, nodeId: NodeId): Incarnation {
  return memberWithId(configuration, nodeId)?.incarnation ?? 0;
}

/** Whether a node has any role in the group. */
export function isMember(configuration: Configuration, nodeId: NodeId): boolean {
  return configuration.members.some((member) => member.nodeId === nodeId);
}

/** The member of that id; undefined when the node has no role. */
export function memberWithId(configuration: Configuration, nodeId: NodeId): Member | undefined {
  return configuration.members.find((member) => member.nodeId === nodeId);
}

/**
 * The second step of a change: the outgoing half is left behind (paper, section 6, C_new), and with it the
 * incarnations that are replaced.
 */
export function leaveJoint(configuration: Configuration): Configuration {
  const { groupId, members, voters, learners } = configuration;
  return {
    groupId,
    members: members
      .filter(({ nodeId }) => voters.includes(nodeId) || learners.includes(nodeId))
      .map(withNextIncarnation),
    voters,
    outgoing: [],
    learners,
  };
}

function withNextIncarnation(member: Member): Member {
  if (member.nextIncarnation === 0) return member;
  return { ...member, incarnation: member.nextIncarnation, nextIncarnation: 0 };
}
