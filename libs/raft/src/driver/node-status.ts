import { EMPTY_CONFIGURATION } from '../core/membership/configuration.js';
import type { RaftCore } from '../core/raft-core.js';
import type { Standing } from '../core/membership/standing.js';
import type { NodeId } from '../core/types.js';
import type { RaftTransport } from './ports.js';
import type { PeerStatus, RaftStatus } from './raft-node.types.js';

/** Before the storage was read. */
const NOT_READ: Standing = {
  kind: 'joining',
  incarnation: 0,
  groupId: 0,
  forgetful: [],
  strangers: [],
  obstacle: undefined,
};

export interface StatusSources {
  readonly nodeId: NodeId;
  /** undefined before the storage was read */
  readonly core: RaftCore | undefined;
  readonly transport: RaftTransport;
  readonly isAlive: boolean;
  readonly appliedIndex: number;
  readonly diskFullReason: string | undefined;
}

/** The status for users. A stopped node follows no leader. */
export function nodeStatus(sources: StatusSources): RaftStatus {
  const { nodeId, core, isAlive, appliedIndex, diskFullReason } = sources;
  const role = isAlive ? (core?.role ?? 'follower') : 'follower';
  const configuration = core?.configuration ?? EMPTY_CONFIGURATION;
  return {
    nodeId,
    role,
    term: core?.term ?? 0,
    leaderId: isAlive ? core?.leaderId : undefined,
    commitIndex: core?.commitIndex ?? 0,
    appliedIndex,
    lastIndex: core?.lastIndex ?? 0,
    leaderReady: role === 'leader' && appliedIndex >= (core?.noOpIndex ?? 0),
    configuration,
    peers: configuration.members
      .filter((member) => member.nodeId !== nodeId)
      .map((member) => peerStatus(sources, member.nodeId)),
    transferTarget: core?.transferTarget,
    diskFullReason,
    standing: core?.standing ?? NOT_READ,
    refusedMessages: core?.refusedMessages ?? 0,
    misdirectedMessages: core?.misdirectedMessages ?? 0,
  };
}

function peerStatus({ core, transport, isAlive }: StatusSources, nodeId: NodeId): PeerStatus {
  const peer = core?.peer(nodeId);
  const healthy = peer?.active ?? transport.isConnected(nodeId);
  return {
    nodeId,
    matchIndex: peer?.matchIndex ?? 0,
    state: peer?.state,
    healthy: isAlive && healthy,
    metrics: transport.peerMetrics?.(nodeId),
  };
}

/** Changes exactly when listeners must be called. */
export function statusSummary({ isAlive, core, appliedIndex, diskFullReason }: StatusSources): string {
  if (!isAlive || !core) return 'stopped';
  const ready = core.role === 'leader' && appliedIndex >= core.noOpIndex;
  const { kind, obstacle } = core.standing;
  const place = `${core.role} ${core.term} ${core.leaderId ?? 0} ${ready} ${core.configurationIndex}`;
  return `${place} ${diskFullReason ?? ''} ${kind} ${obstacle ?? ''}`;
}
