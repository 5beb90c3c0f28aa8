import { describe, expect, it } from '@jest/globals';
import type { ApplyResult } from '@concordat/commit-protocol';
import { VirtualClock } from '@concordat/foundation';
import type { RaftNodeApi, RaftStatus } from '@concordat/raft';
import type { Peer } from '../config.js';
import { RaftCluster } from './raft-cluster.js';

const PEERS: readonly Peer[] = [1, 2, 3].map((nodeId) => ({
  nodeId,
  raft: { host: '127.0.0.1', port: 9080 + nodeId },
  http: { host: '127.0.0.1', port: 8080 + nodeId },
}));

const FOLLOWER: RaftStatus = {
  nodeId: 1,
  role: 'follower',
  term: 4,
  leaderId: 2,
  commitIndex: 10,
  appliedIndex: 9,
  lastIndex: 11,
  leaderReady: false,
  voters: [1, 2, 3],
  peers: [
    { nodeId: 2, matchIndex: 0, healthy: true },
    { nodeId: 3, matchIndex: 0, healthy: false },
  ],
};

const LEADER: RaftStatus = {
  ...FOLLOWER,
  role: 'leader',
  leaderId: 1,
  leaderReady: true,
  peers: [
    { nodeId: 2, matchIndex: 11, healthy: true },
    { nodeId: 3, matchIndex: 7, healthy: false },
  ],
};

/** A Raft node that is nothing but its status. */
class StatusOnly implements RaftNodeApi<ApplyResult> {
  private readonly listeners = new Set<(status: RaftStatus) => void>();

  constructor(private current: RaftStatus) {}

  get listenerCount(): number {
    return this.listeners.size;
  }

  become(status: RaftStatus): void {
    this.current = status;
    for (const listener of this.listeners) listener(status);
  }

  status(): RaftStatus {
    return this.current;
  }

  onStatusChange(listener: (status: RaftStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start = (): Promise<void> => Promise.resolve();
  stop = (): Promise<void> => Promise.resolve();
  confirmLeadership = (): Promise<void> => Promise.resolve();
  propose = (): Promise<never> => Promise.reject(new Error('only a status'));
}

function clusterOf(
  status: RaftStatus,
  obstacle?: string,
): { node: StatusOnly; clock: VirtualClock; cluster: RaftCluster } {
  const node = new StatusOnly(status);
  const clock = new VirtualClock();
  const config = { nodeId: 1, peers: PEERS, clusterName: 'local' };
  return { node, clock, cluster: new RaftCluster(config, node, clock, () => obstacle) };
}

describe('RaftCluster', () => {
  it('shows the group as its leader sees it', () => {
    const { cluster } = clusterOf(LEADER);
    expect(cluster.view()).toMatchObject({ clusterName: 'local', nodeId: 1, leaderId: 1, term: 4, commitIndex: 10 });
    expect(cluster.view().members).toEqual([
      {
        nodeId: 1,
        role: 'voter',
        state: 'leader',
        raftUrl: '127.0.0.1:9081',
        httpUrl: 'http://127.0.0.1:8081',
        matchIndex: 11,
        healthy: true,
      },
      expect.objectContaining({ nodeId: 2, state: 'follower', matchIndex: 11, healthy: true }),
      expect.objectContaining({ nodeId: 3, state: 'unknown', matchIndex: 7, healthy: false }),
    ]);
    expect(cluster.isLeader()).toBe(true);
    expect(cluster.leaderHttpUrl()).toBeUndefined();
  });

  it('shows the group as a follower sees it, which knows only of itself how far it is', () => {
    const { cluster } = clusterOf(FOLLOWER);
    expect(cluster.view().members.map(({ state, matchIndex }) => [state, matchIndex])).toEqual([
      ['follower', 11],
      ['leader', null],
      ['unknown', null],
    ]);
    expect(cluster.isLeader()).toBe(false);
    expect(cluster.leaderHttpUrl()).toBe('http://127.0.0.1:8082');
  });

  it('leads only when its own no-op is applied', () => {
    const { cluster } = clusterOf({ ...LEADER, leaderReady: false });
    expect(cluster.isLeader()).toBe(false);
    expect(cluster.readiness()).toEqual({ ready: false, reasons: ['no leader is known'] });
  });

  it('is ready when it knows a leader and hears the participants', () => {
    expect(clusterOf(FOLLOWER).cluster.readiness()).toEqual({ ready: true, reasons: [] });
    expect(clusterOf({ ...FOLLOWER, leaderId: undefined }, 'the broker is away').cluster.readiness()).toEqual({
      ready: false,
      reasons: ['no leader is known', 'the broker is away'],
    });
    expect(clusterOf({ ...FOLLOWER, leaderId: undefined }).cluster.view().leaderId).toBeNull();
  });

  it('waits for a leader, here or elsewhere, no longer than it is told', async () => {
    expect(await clusterOf(FOLLOWER).cluster.waitForLeader(1_000)).toBe(true);
    const nobody: RaftStatus = { ...FOLLOWER, leaderId: undefined, role: 'candidate' };
    for (const status of [FOLLOWER, LEADER]) {
      const { node, clock, cluster } = clusterOf(nobody);
      const known = cluster.waitForLeader(1_000);
      node.become({ ...nobody, term: 5 });
      node.become(status);
      expect(await known).toBe(true);
      expect(node.listenerCount).toBe(0);
      expect(clock.nextDueAt()).toBeUndefined();
    }
    const { node, clock, cluster } = clusterOf(nobody);
    const known = cluster.waitForLeader(1_000);
    clock.advance(1_000);
    expect(await known).toBe(false);
    expect(node.listenerCount).toBe(0);
  });
});
