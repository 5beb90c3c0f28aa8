import type { Configuration, GroupId, Incarnation, Member, NodeId } from '../types.js';

/** No members; for a node that is not added yet. */
export const EMPTY_CONFIGURATION: Configuration = {
  groupId: 0,
  members: [],
  voters: [],
  outgoing: [],
  learners: [],
};

/** A member with defaults for missing fields. */
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

/** The first configuration of a group: all members are voters. */
export function votersOnly(members: readonly Member[], groupId: GroupId): Configuration {
  const sorted = [...members].sort((left, right) => left.nodeId - right.nodeId);
  return { groupId, members: sorted, voters: sorted.map(({ nodeId }) => nodeId), outgoing: [], learners: [] };
}

/** Whether a change of voters is in progress: decisions need a majority of either half. */
export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

/** Whether a node's vote counts, in either half. Only such a node stands for election. */
export function isVoter(configuration: Configuration, nodeId: NodeId, incarnation: Incarnation): boolean {
  const hasVote = configuration.voters.includes(nodeId) || configuration.outgoing.includes(nodeId);
  return hasVote && incarnationOf(configuration, nodeId) === incarnation;
}

/** The incarnation that has the id's rights; 0 when the node has no role, or has never answered. */
export function incarnationOf(configuration: Configuration, nodeId: NodeId): Incarnation {
  return memberWithId(configuration, nodeId)?.incarnation ?? 0;
}

/** Whether a node has a role in the group. */
export function isMember(configuration: Configuration, nodeId: NodeId): boolean {
  return configuration.members.some((member) => member.nodeId === nodeId);
}

/** The member with that id; undefined when the node has no role. */
export function memberWithId(configuration: Configuration, nodeId: NodeId): Member | undefined {
  return configuration.members.find((member) => member.nodeId === nodeId);
}

/** The second step of a change: drops the outgoing half (paper, section 6, C_new) and the replaced incarnations. */
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
