import { isMember } from './configuration.js';
import type { OtherIncarnations } from './other-incarnations.js';
import type { RaftLog } from '../log/log.js';
import type { Acquaintance, Newcomer } from './newcomer.js';
import type { GroupId, Incarnation, NodeId } from '../types.js';

/**
 * The membership of a node:
 *
 * - `member`: its log has it, with the incarnation of its directory
 * - `founding`: its directory is empty, and it is one of the first members: the group begins when all of them are known,
 *   or has begun with this node, and its first entries are on their way
 * - `joining`: its directory is empty, and the group does not have its id (yet), or its first entries are on their way
 * - `returning`: the group has its id with another incarnation: the directory was lost. It has no vote until a leader
 *   has taken it back
 * - `removed`: its log says that it does not belong to the group
 */
export type StandingKind = 'member' | 'founding' | 'joining' | 'returning' | 'removed';

/** A node's own membership, and members without their rights. */
export interface Standing {
  readonly kind: StandingKind;
  readonly incarnation: Incarnation;
  /** 0 while the node belongs to no group */
  readonly groupId: GroupId;
  /** members that returned without their directory, or run as two processes; they have no vote */
  readonly forgetful: readonly NodeId[];
  /** nodes of another group with ids of this group's members */
  readonly strangers: readonly NodeId[];
  /** why the node cannot serve, and what to do, in a sentence; undefined when it can */
  readonly obstacle: string | undefined;
}

interface Sources {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  readonly log: RaftLog;
  readonly newcomer: Newcomer;
  readonly otherIncarnations: OtherIncarnations;
  readonly strangers: ReadonlySet<NodeId>;
  readonly leaderId: NodeId | undefined;
}

const NOBODY: readonly NodeId[] = [];

/** Derives the standing of a node from what it knows. Called in every pass, and cheap for a member without trouble. */
export function standingOf(sources: Sources): Standing {
  const { incarnation, log, otherIncarnations, strangers } = sources;
  const kind = kindOf(sources);
  return {
    kind,
    incarnation,
    groupId: log.configuration.groupId,
    forgetful: otherIncarnations.isEmpty ? NOBODY : [...otherIncarnations.membersOf(log.configuration).keys()],
    strangers: strangers.size === 0 ? NOBODY : [...strangers],
    obstacle: obstacleOf(kind, sources),
  };
}

function kindOf(sources: Sources): StandingKind {
  const { nodeId, log, newcomer } = sources;
  if (newcomer.isReplaced) return 'returning';
  if (!newcomer.isEmpty) return isMember(log.configuration, nodeId) ? 'member' : 'removed';
  if (witnessesOfLoss(sources).length > 0) return 'returning';
  if (isAwaited(sources)) return newcomer.isKeptFromFounding ? 'founding' : 'joining';
  return newcomer.founders !== 0 && nodesWithLog(newcomer).length === 0 ? 'founding' : 'joining';
}

/** The nodes whose group has another incarnation of this one. */
function witnessesOfLoss({ newcomer, incarnation }: Sources): [NodeId, Acquaintance][] {
  return [...newcomer.present()].filter(([, { knownIncarnation: known }]) => known !== 0 && known !== incarnation);
}

/** Whether the group has this very incarnation, and only its entries have not arrived yet. */
function isAwaited({ newcomer, incarnation }: Sources): boolean {
  return nodesWithLog(newcomer).some(([, { knownIncarnation }]) => knownIncarnation === incarnation);
}

/** The nodes with a log, for a node without one. */
function nodesWithLog(newcomer: Newcomer): [NodeId, Acquaintance][] {
  return [...newcomer.present()].filter(([, { lastLogIndex }]) => lastLogIndex > 0);
}

function obstacleOf(kind: StandingKind, sources: Sources): string | undefined {
  const entriesAreComing = `node ${sources.nodeId} belongs to the group, and its first entries are on their way`;
  switch (kind) {
    case 'member':
      return obstacleOfMember(sources);
    case 'founding':
      return isAwaited(sources) ? entriesAreComing : obstacleToFounding(sources);
    case 'joining':
      return isAwaited(sources) ? entriesAreComing : obstacleToJoining(sources);
    case 'returning':
      return obstacleToReturn(sources);
    case 'removed':
      return `node ${sources.nodeId} was removed from the group`;
  }
}

/** Only without a leader: then the votes of members without their directory may be the missing ones. */
function obstacleOfMember({ log, otherIncarnations, leaderId, strangers }: Sources): string | undefined {
  if (leaderId !== undefined) return undefined;
  const forgetful = [...otherIncarnations.membersOf(log.configuration).keys()];
  const reasons: string[] = [];
  if (forgetful.length > 0)
    reasons.push(
      `${listed(forgetful)} came back without the data directory and without a vote: start all other members, or, ` +
        'if a majority of the directories is lost, restore the group from a backup',
    );
  if (strangers.size > 0)
    reasons.push(`${listed([...strangers])} of another group answered: check addresses and names of the groups`);
  return reasons.length > 0 ? reasons.join('; ') : undefined;
}

function obstacleToFounding({ nodeId, newcomer }: Sources): string {
  const present = newcomer.present();
  const others = newcomer.firstMembers.filter((member) => member.nodeId !== nodeId).map((member) => member.nodeId);
  const missing = others.filter((other) => !present.has(other));
  const differing = others.filter((other) => ![undefined, 0, newcomer.founders].includes(present.get(other)?.founders));
  const unwilling = others.filter((other) => present.get(other)?.founders === 0);
  const twofold = others.filter((other) => (present.get(other)?.doubtTicks ?? 0) > 0);
  const reasons: string[] = [];
  if (missing.length > 0) reasons.push(`${listed(missing)} has not answered yet`);
  if (differing.length > 0)
    reasons.push(`${listed(differing)} names other first members: all nodes must be given the same list`);
  if (unwilling.length > 0)
    reasons.push(
      `${listed(unwilling)} is configured to join a group or not to found one, or knows of an existing group`,
    );
  if (twofold.length > 0) reasons.push(`two processes run as ${listed(twofold)}`);
  const why = reasons.length > 0 ? reasons.join('; ') : 'all agree, and the first entry is being sent';
  return `the group is not founded yet; all its first members must be up with empty directories: ${why}`;
}

function obstacleToJoining({ nodeId, newcomer }: Sources): string {
  const [past] = nodesWithLog(newcomer);
  if (past === undefined && newcomer.isKeptFromFounding)
    return (
      `the directory of node ${nodeId} is empty, and it knows of an existing group, so it founds none: start the ` +
      'other members, or, if a majority of the directories is lost, restore the group from a backup; only if there is ' +
      'none, delete this directory, too, so that a new group can be founded'
    );
  if (past === undefined)
    return `the directory of node ${nodeId} is empty, and no member of the group answers: start the others`;
  return `node ${nodeId} does not belong to the group yet: a leader must add it`;
}

function obstacleToReturn(sources: Sources): string {
  const { nodeId } = sources;
  const witnesses = witnessesOfLoss(sources);
  const who = witnesses.length > 0 ? listed(witnesses.map(([witness]) => witness)) : 'the group';
  const leader = witnesses.find(([, { leaderId }]) => leaderId !== 0)?.[1].leaderId;
  const what =
    leader === undefined
      ? 'no leader is known to take it back: start the other members, or, if a majority of the directories is lost, restore the group from a backup'
      : `leader ${leader} takes it back as a learner, unless another process runs as node ${nodeId}`;
  return `node ${nodeId} has lost its data directory (${who} knows it under another incarnation) and has no vote; ${what}`;
}

function listed(nodeIds: readonly NodeId[]): string {
  return nodeIds.map((nodeId) => `node ${nodeId}`).join(', ');
}
