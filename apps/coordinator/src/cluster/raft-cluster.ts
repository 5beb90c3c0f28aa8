import type { Clock } from '@concordat/foundation';
import type { ApplyResult } from '@concordat/commit-protocol';
import type { RaftNodeApi } from '@concordat/raft';
import { formatAddress, type Config, type Peer } from '../config.js';
import type { ClusterApi, ClusterMember, ClusterView } from '../transactions/transactions.api.js';

/** The group as this node sees it: what Raft knows, with the addresses of the configuration. */
export class RaftCluster implements ClusterApi {
  constructor(
    private readonly config: Pick<Config, 'nodeId' | 'peers' | 'clusterName'>,
    private readonly node: RaftNodeApi<ApplyResult>,
    private readonly clock: Clock,
    /** why replies are not consumed; undefined when they are */
    private readonly obstacle: () => string | undefined,
  ) {}

  view(): ClusterView {
    const { nodeId, term, commitIndex, appliedIndex, leaderId } = this.node.status();
    return {
      clusterName: this.config.clusterName,
      nodeId,
      leaderId: leaderId ?? null,
      term,
      commitIndex,
      appliedIndex,
      members: this.config.peers.map((peer) => this.member(peer)),
    };
  }

  isLeader(): boolean {
    return this.node.status().leaderReady;
  }

  leaderHttpUrl(): string | undefined {
    const { leaderId, nodeId } = this.node.status();
    const leader = leaderId === nodeId ? undefined : this.config.peers.find((peer) => peer.nodeId === leaderId);
    return leader && `http://${formatAddress(leader.http)}`;
  }

  waitForLeader(timeoutMs: number): Promise<boolean> {
    if (this.knowsLeader()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (known: boolean): void => {
        timer.cancel();
        detach();
        resolve(known);
      };
      const timer = this.clock.setTimer(timeoutMs, () => end(false));
      const detach = this.node.onStatusChange(() => {
        if (this.knowsLeader()) end(true);
      });
    });
  }

  readiness(): { ready: boolean; reasons: string[] } {
    const reasons: string[] = [];
    if (!this.knowsLeader()) reasons.push('no leader is known');
    const obstacle = this.obstacle();
    if (obstacle !== undefined) reasons.push(obstacle);
    return { ready: reasons.length === 0, reasons };
  }

  private knowsLeader(): boolean {
    return this.isLeader() || this.leaderHttpUrl() !== undefined;
  }

  private member({ nodeId, raft, http }: Peer): ClusterMember {
    const status = this.node.status();
    const own = nodeId === status.nodeId;
    const peer = status.peers.find((candidate) => candidate.nodeId === nodeId);
    const healthy = own || (peer?.healthy ?? false);
    const matchIndex = own ? status.lastIndex : status.role === 'leader' ? (peer?.matchIndex ?? null) : null;
    const role = own ? status.role : nodeId === status.leaderId ? 'leader' : healthy ? 'follower' : 'unknown';
    return {
      nodeId,
      role: 'voter',
      state: role,
      raftUrl: formatAddress(raft),
      httpUrl: `http://${formatAddress(http)}`,
      matchIndex,
      healthy,
    };
  }
}
