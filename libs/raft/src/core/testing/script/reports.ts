import { formatConfiguration, formatEntries, formatPosition } from './notation.js';
import type { ScriptedNode } from './scripted-node.js';

/** One line on what a node is and how far it is. */
export function describeStatus(node: ScriptedNode): string[] {
  if (!node.isRunning) return [`${node.nodeId} is down`];
  const { role, term, vote, leaderId, lastIndex, persistedIndex, commitIndex, configuration, transferTarget } =
    node.core.inspect();
  const transfer = transferTarget === undefined ? '' : ` transferring to ${transferTarget}`;
  const log = `last=${lastIndex} persisted=${persistedIndex} commit=${commitIndex} applied=${node.appliedIndex}`;
  const standing = `term=${term} vote=${vote} leader=${leaderId ?? 'none'}`;
  return [`${node.nodeId} ${role} ${standing} ${log} ${formatConfiguration(configuration)}${transfer}`];
}

/** Where a node stands with its group, and what keeps it from more. */
export function describeStanding(node: ScriptedNode): string[] {
  if (!node.isRunning) return [`${node.nodeId} is down`];
  const { kind, obstacle } = node.core.standing;
  return [`${node.nodeId} ${kind}${obstacle === undefined ? '' : `: ${obstacle}`}`];
}

/** What a leader knows of each follower. */
export function describeFollowers(node: ScriptedNode): string[] {
  return node.core.inspect().followers.map((follower) => {
    const { nodeId, state, matchIndex, nextIndex, inflightMessages, active, caughtUp } = follower;
    const standing = `${active ? 'active' : 'silent'}${caughtUp ? ' caught-up' : ''}`;
    return `${nodeId} ${state} match=${matchIndex} next=${nextIndex} inflight=${inflightMessages} ${standing}`;
  });
}

/** Positions of the entries in memory, from the compacted one on. */
export function describeLog(node: ScriptedNode): string[] {
  const { startIndex, lastIndex } = node.core.inspect();
  const positions: string[] = [];
  for (let index = startIndex + 1; index <= lastIndex; index++)
    positions.push(formatPosition({ index, term: node.core.termAt(index)! }));
  const start = startIndex === 0 ? [] : [`compacted up to ${startIndex}@${node.core.termAt(startIndex)}`];
  return [`${node.nodeId} ${[...start, ...positions].join(' ') || 'empty'}`];
}

/** What is durable. */
export function describeDisk(node: ScriptedNode): string[] {
  const { term, vote, commitIndex } = node.hardState;
  const metadata = node.shelf.snapshot?.metadata;
  const snapshot = metadata
    ? ` snapshot ${formatPosition(metadata)} of ${formatConfiguration(metadata.configuration)},`
    : '';
  const entries = node.entries.length === 0 ? 'no entries' : formatEntries(node.entries);
  return [`${node.nodeId} term ${term} vote ${vote} commit ${commitIndex},${snapshot} ${entries}`];
}
