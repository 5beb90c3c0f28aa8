import { encodeConfiguration } from '../../membership/configuration-codec.js';
import { DEFAULT_LIMITS, type CoreLimits } from '../../raft-core.types.js';
import type { Configuration, Entry, Member, NodeId, Snapshot } from '../../types.js';
import { FIRST_INCARNATION, knownMember, TEST_GROUP_ID } from '../members.js';
import { ChosenTimeouts } from './chosen-timeouts.js';
import { parseInteger, type Fields } from './fields.js';
import { configurationOf, parsePriorities } from './notation.js';
import { ScriptError } from './script-error.js';
import { snapshotData, type ScriptedNodeOptions } from './scripted-node.js';

const ELECTION_TICKS = 5;
const HEARTBEAT_TICKS = 1;
const TIMEOUT_TICKS = 7;

/**
 * A node with an empty disk: `election=` and `heartbeat=` ticks, `timeout=` ticks drawn for every election,
 * `votes-at-once=no`, `heartbeats=spared`, `priority=node:n,…`, and the core's limits by their names.
 */
export function freshNode(nodeId: NodeId, members: readonly NodeId[], fields: Fields): ScriptedNodeOptions {
  const electionTicks = fields.integer('election', ELECTION_TICKS);
  const heartbeatTicks = fields.integer('heartbeat', HEARTBEAT_TICKS);
  const timeoutTicks = fields.integer('timeout', TIMEOUT_TICKS + electionTicks - ELECTION_TICKS);
  return {
    nodeId,
    incarnation: fields.integer('incarnation', FIRST_INCARNATION),
    bootstrapMembers: membersOf(members, parsePriorities(fields.optional('priority') ?? '')),
    timeouts: new ChosenTimeouts(electionTicks, timeoutTicks),
    electionTicks,
    heartbeatTicks,
    votesAtOnce: fields.optional('votes-at-once') !== 'no',
    sparesHeartbeats: fields.optional('heartbeats') === 'spared',
    limits: limitsOf(fields),
    hardState: { term: 0, vote: 0, commitIndex: 0 },
    snapshot: undefined,
    entries: [],
  };
}

/** A node with an empty disk that knows where the group is, and may `found` it. */
export function newcomer(nodeId: NodeId, incarnation: number, founds: boolean, fields: Fields): ScriptedNodeOptions {
  const members = membersOf(fields.integers('knows'), new Map());
  return { ...freshNode(nodeId, [], fields), incarnation, members, founds, newGroupId: TEST_GROUP_ID };
}

function membersOf(nodeIds: readonly NodeId[], priorities: ReadonlyMap<NodeId, number>): Member[] {
  return nodeIds.map((nodeId) => knownMember(nodeId, { priority: priorities.get(nodeId) ?? 0 }));
}

/**
 * A node with a past: `log=` terms of its entries, the first of which holds the configuration unless there is a
 * `snapshot=index@term` before them; `voters=`, `outgoing=`, `learners=`; `term=`, `vote=`, `commit=`.
 */
export function nodeWithPast(nodeId: NodeId, fields: Fields): ScriptedNodeOptions {
  const configuration = configurationOf({
    voters: fields.integers('voters'),
    outgoing: fields.integers('outgoing'),
    learners: fields.integers('learners'),
    priorities: parsePriorities(fields.optional('priority') ?? ''),
  });
  const terms = fields.integers('log');
  const snapshot = fields.has('snapshot')
    ? snapshotOf(fields.position('snapshot'), fields.integer('size', 20), configuration)
    : undefined;
  const start = snapshot?.metadata.index ?? 0;
  const entries = terms.map((term, position): Entry => {
    const index = start + 1 + position;
    if (index === 1) return { index, term, kind: 'configuration', data: encodeConfiguration(configuration) };
    return { index, term, kind: 'normal', data: new Uint8Array(0) };
  });
  const term = fields.integer('term', terms.at(-1) ?? snapshot?.metadata.term ?? 0);
  const vote = fields.integer('vote', 0);
  const commitIndex = fields.integer('commit', start);
  return { ...freshNode(nodeId, [], fields), hardState: { term, vote, commitIndex }, snapshot, entries };
}

function snapshotOf(
  position: { readonly index: number; readonly term: number },
  sizeBytes: number,
  configuration: Configuration,
): Snapshot {
  return { metadata: { ...position, configuration }, data: snapshotData(position.index, sizeBytes) };
}

function limitsOf(fields: Fields): Partial<CoreLimits> {
  const limits = fields.names().map((name): [string, number] => {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) throw new ScriptError(`${name}= has no meaning here`);
    return [name, parseInteger(fields.required(name))];
  });
  return Object.fromEntries(limits);
}
