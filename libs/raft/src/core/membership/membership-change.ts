import { configurationFault, faultOfMember } from './configuration-codec.js';
import { isMember, memberOf, memberWithId } from './configuration.js';
import type { Configuration, Incarnation, Member, MemberDescription, NodeId } from '../types.js';

/**
 * One step of a change. Several in one change take effect together, so a node is replaced by another with `promote` of
 * the new (a learner by then) and `remove` of the old.
 *
 * `return`: the member lost its directory and becomes a learner with its new incarnation; if it was a voter, a leader
 * promotes it when it has caught up.
 */
export type MembershipChange =
  | { readonly type: 'add-learner'; readonly member: MemberDescription }
  | { readonly type: 'promote'; readonly nodeId: NodeId }
  | { readonly type: 'demote'; readonly nodeId: NodeId }
  | { readonly type: 'remove'; readonly nodeId: NodeId }
  | { readonly type: 'return'; readonly nodeId: NodeId; readonly incarnation: Incarnation };

/**
 * - `CHANGE_IN_PROGRESS`: the last change is not committed, or still joint, or leadership is being transferred
 * - `LEADER_NOT_READY`: the leader has committed nothing in its term yet
 * - `NOT_CAUGHT_UP`: a learner lags too far to become a voter
 * - `ALREADY_MEMBER`, `UNKNOWN_MEMBER`, `NOT_A_LEARNER`, `NOT_A_VOTER`: the node does not have the role the step needs
 * - `LAST_VOTER`: no voter would be left
 * - `INVALID_CHANGE`: an empty change, a duplicate node, or an invalid member
 */
export type MembershipRefusal =
  | 'CHANGE_IN_PROGRESS'
  | 'LEADER_NOT_READY'
  | 'NOT_CAUGHT_UP'
  | 'ALREADY_MEMBER'
  | 'UNKNOWN_MEMBER'
  | 'NOT_A_LEARNER'
  | 'NOT_A_VOTER'
  | 'LAST_VOTER'
  | 'INVALID_CHANGE';

/** A refused input: nothing has changed. */
export interface Refused<Code extends string> {
  readonly refused: Code;
  /** a sentence for the user */
  readonly reason: string;
}

/** Makes a `Refused`. */
export function refuse<Code extends string>(refused: Code, reason: string): Refused<Code> {
  return { refused, reason };
}

/**
 * The configuration after a change: joint when voters change (paper, section 6, C_old,new), otherwise final at once,
 * because a learner takes part in no decision. The given configuration must not be joint.
 *
 * @param incarnationOf of a learner to be promoted, as the leader knows it; 0: unknown
 */
export function changed(
  before: Configuration,
  changes: readonly MembershipChange[],
  incarnationOf: (nodeId: NodeId) => Incarnation,
): { readonly configuration: Configuration } | Refused<MembershipRefusal> {
  if (changes.length === 0) return refuse('INVALID_CHANGE', 'a change names at least one node');
  const touched = changes.map((change) => (change.type === 'add-learner' ? change.member.nodeId : change.nodeId));
  if (new Set(touched).size !== touched.length)
    return refuse('INVALID_CHANGE', 'a change names each node at most once; several steps are several changes');
  const voters = new Set(before.voters);
  const learners = new Set(before.learners);
  const members = new Map(before.members.map((member) => [member.nodeId, member]));
  for (const change of changes) {
    const refusal = faultOf(before, change, incarnationOf);
    if (refusal) return refusal;
    switch (change.type) {
      case 'add-learner':
        members.set(change.member.nodeId, newMember(change.member));
        learners.add(change.member.nodeId);
        break;
      case 'promote':
        learners.delete(change.nodeId);
        voters.add(change.nodeId);
        members.set(change.nodeId, {
          ...members.get(change.nodeId)!,
          incarnation: incarnationOf(change.nodeId),
          returning: false,
        });
        break;
      case 'demote':
        voters.delete(change.nodeId);
        learners.add(change.nodeId);
        break;
      case 'remove':
        voters.delete(change.nodeId);
        learners.delete(change.nodeId);
        break;
      case 'return':
        members.set(
          change.nodeId,
          returned(members.get(change.nodeId)!, change.incarnation, voters.has(change.nodeId)),
        );
        voters.delete(change.nodeId);
        learners.add(change.nodeId);
        break;
    }
  }
  if (voters.size === 0) return refuse('LAST_VOTER', 'the group would be left without a voter');
  const votersChange = !sameNodes([...voters], before.voters);
  const outgoing = votersChange ? before.voters : [];
  const hasRole = (nodeId: NodeId): boolean => voters.has(nodeId) || learners.has(nodeId) || outgoing.includes(nodeId);
  const configuration: Configuration = {
    groupId: before.groupId,
    members: [...members.values()]
      .filter(({ nodeId }) => hasRole(nodeId))
      .sort((left, right) => left.nodeId - right.nodeId),
    voters: ascending(voters),
    outgoing,
    learners: ascending(learners),
  };
  const fault = configurationFault(configuration);
  return fault === undefined ? { configuration } : refuse('INVALID_CHANGE', fault);
}

/** Its incarnation is still unknown. */
function newMember({ nodeId, address, data, priority }: MemberDescription): Member {
  return memberOf(nodeId, { address, data, priority });
}

/** The old incarnation of a voter stays until its vote is dropped; it answers no more. */
function returned(member: Member, incarnation: Incarnation, wasVoter: boolean): Member {
  return wasVoter ? { ...member, nextIncarnation: incarnation, returning: true } : { ...member, incarnation };
}

function faultOf(
  before: Configuration,
  change: MembershipChange,
  incarnationOf: (nodeId: NodeId) => Incarnation,
): Refused<MembershipRefusal> | undefined {
  if (change.type === 'add-learner') {
    const fault = faultOfMember(newMember(change.member));
    if (fault !== undefined) return refuse('INVALID_CHANGE', fault);
    const { nodeId } = change.member;
    return isMember(before, nodeId) ? refuse('ALREADY_MEMBER', `node ${nodeId} is a member already`) : undefined;
  }
  const { type, nodeId } = change;
  if (!isMember(before, nodeId)) return refuse('UNKNOWN_MEMBER', `node ${nodeId} is not a member of this group`);
  if (type === 'promote' && !before.learners.includes(nodeId))
    return refuse('NOT_A_LEARNER', `node ${nodeId} is a voter already`);
  if (type === 'demote' && !before.voters.includes(nodeId))
    return refuse('NOT_A_VOTER', `node ${nodeId} is a learner already`);
  if (type === 'promote' && incarnationOf(nodeId) === 0)
    return refuse('NOT_CAUGHT_UP', `node ${nodeId} has not answered yet`);
  if (type === 'return' && memberWithId(before, nodeId)!.incarnation === change.incarnation)
    return refuse('ALREADY_MEMBER', `node ${nodeId} is a member under that incarnation already`);
  return undefined;
}

function ascending(nodes: ReadonlySet<NodeId>): NodeId[] {
  return [...nodes].sort((left, right) => left - right);
}

function sameNodes(left: readonly NodeId[], right: readonly NodeId[]): boolean {
  return left.length === right.length && left.every((nodeId) => right.includes(nodeId));
}
