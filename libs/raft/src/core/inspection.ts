import type { Leader } from './leader.js';
import type { RaftLog } from './log/log.js';
import type { CoreInspection, FollowerInspection } from './raft-core.types.js';

/** The log's part of an inspection. */
export function inspectLog(
  log: RaftLog,
): Pick<
  CoreInspection,
  'startIndex' | 'lastIndex' | 'persistedIndex' | 'commitIndex' | 'configuration' | 'configurationIndex'
> {
  const { startIndex, lastIndex, persistedIndex, commitIndex, configuration, configurationIndex } = log;
  return { startIndex, lastIndex, persistedIndex, commitIndex, configuration, configurationIndex };
}

/** The leader's part of an inspection. */
export function inspectLeader(leader: Leader | undefined): Pick<CoreInspection, 'transferTarget' | 'followers'> {
  if (!leader) return { transferTarget: undefined, followers: [] };
  const followers = Array.from(leader.replication.all(), (follower): FollowerInspection => ({
    nodeId: follower.nodeId,
    state: follower.state,
    matchIndex: follower.matchIndex,
    nextIndex: follower.nextIndex,
    inflightMessages: follower.inflightMessages,
    active: leader.replication.isActive(follower),
    caughtUp: leader.replication.hasCaughtUp(follower),
  }));
  return { transferTarget: leader.transferTarget, followers };
}
