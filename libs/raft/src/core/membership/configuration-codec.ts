import { MAXIMUM_INTEGER, type Configuration, type Member, type NodeId } from '../types.js';

/** Bounds the members of a group: every majority, message and status is linear in them. */
export const MAXIMUM_MEMBERS = 64;
const MAXIMUM_ADDRESS_LENGTH = 512;
const MAXIMUM_DATA_LENGTH = 4096;
const MAXIMUM_PRIORITY = 1000;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The data of a `configuration` entry, and the configuration in snapshots: JSON in UTF-8. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  return encoder.encode(JSON.stringify(configuration));
}

/** Undefined when the bytes are no valid configuration. */
export function decodeConfiguration(data: Uint8Array): Configuration | undefined {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(data));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { groupId, members, voters, outgoing, learners } = value as Record<string, unknown>;
  if (!isIdOrNone(groupId)) return undefined;
  if (!isNodeIds(voters) || !isNodeIds(outgoing) || !isNodeIds(learners)) return undefined;
  if (!Array.isArray(members) || members.length > MAXIMUM_MEMBERS || !members.every(isMember)) return undefined;
  const configuration = { groupId, members: members.map(cleanMember), voters, outgoing, learners };
  return configurationFault(configuration) === undefined ? configuration : undefined;
}

/** What is wrong with a configuration, in words; undefined when it is valid. */
export function configurationFault(configuration: Configuration): string | undefined {
  const { groupId, members, voters, outgoing, learners } = configuration;
  if (!isIdOrNone(groupId) || (groupId === 0) !== (members.length === 0))
    return 'a group has an id, a positive integer';
  if (members.length > MAXIMUM_MEMBERS) return `a group has at most ${MAXIMUM_MEMBERS} members`;
  const memberFault = members.map(faultOfMember).find((fault) => fault !== undefined);
  if (memberFault !== undefined) return memberFault;
  if (members.some(({ nodeId }, position) => position > 0 && members[position - 1]!.nodeId >= nodeId))
    return 'members are distinct and in the order of their ids';
  if (voters.length === 0 && members.length > 0) return 'a group has at least one voter';
  if ([voters, outgoing, learners].some((list) => new Set(list).size !== list.length)) return 'a node is named twice';
  if (learners.some((nodeId) => voters.includes(nodeId))) return 'a learner is no voter';
  const named = new Set([...voters, ...outgoing, ...learners]);
  if (named.size !== members.length || members.some(({ nodeId }) => !named.has(nodeId)))
    return 'members are exactly the nodes that have a role';
  return members.map((member) => faultOfStanding(configuration, member)).find((fault) => fault !== undefined);
}

/** What is wrong with the incarnations of a member. */
function faultOfStanding({ voters, outgoing, learners }: Configuration, member: Member): string | undefined {
  const { nodeId, incarnation, nextIncarnation, returning } = member;
  const isVoter = voters.includes(nodeId) || outgoing.includes(nodeId);
  if (isVoter && incarnation === 0) return 'the incarnation of a voter is known';
  if (returning && !learners.includes(nodeId)) return 'only a learner is on its return';
  if (nextIncarnation === 0) return undefined;
  return returning && outgoing.includes(nodeId) && nextIncarnation !== incarnation
    ? undefined
    : 'an incarnation is replaced while its vote is being left behind';
}

/** What is wrong with a member, in words; undefined when it is valid. */
export function faultOfMember({ nodeId, address, data, priority, ...identity }: Member): string | undefined {
  if (!isId(nodeId)) return 'a node id is a positive integer';
  if (address.length > MAXIMUM_ADDRESS_LENGTH) return `an address has at most ${MAXIMUM_ADDRESS_LENGTH} characters`;
  if (data.length > MAXIMUM_DATA_LENGTH) return `a member's data have at most ${MAXIMUM_DATA_LENGTH} characters`;
  if (!Number.isInteger(priority) || priority < 0 || priority > MAXIMUM_PRIORITY)
    return `a priority is an integer from 0 to ${MAXIMUM_PRIORITY}`;
  if (!isIdOrNone(identity.incarnation) || !isIdOrNone(identity.nextIncarnation))
    return 'an incarnation is an integer from 0 on';
  return undefined;
}

function isId(value: unknown): value is NodeId {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= MAXIMUM_INTEGER;
}

function isNodeIds(value: unknown): value is NodeId[] {
  return Array.isArray(value) && value.length <= MAXIMUM_MEMBERS && value.every(isId);
}

function isIdOrNone(value: unknown): value is number {
  return value === 0 || isId(value);
}

function isMember(value: unknown): value is Member {
  if (typeof value !== 'object' || value === null) return false;
  const member = value as Record<string, unknown>;
  return (
    isId(member['nodeId']) &&
    typeof member['address'] === 'string' &&
    typeof member['data'] === 'string' &&
    typeof member['priority'] === 'number' &&
    isIdOrNone(member['incarnation']) &&
    isIdOrNone(member['nextIncarnation']) &&
    typeof member['returning'] === 'boolean'
  );
}

function cleanMember(member: Member): Member {
  const { nodeId, address, data, priority, incarnation, nextIncarnation, returning } = member;
  return { nodeId, address, data, priority, incarnation, nextIncarnation, returning };
}
