import { describe, expect, it } from '@jest/globals';
import type { ApplyResult } from '@concordat/commit-protocol';
import { VirtualClock } from '@concordat/foundation';
import { EMPTY_CONFIGURATION, votersOnly, type PeerMetrics, type RaftNodeApi, type RaftStatus } from '@concordat/raft';
import { memberAt } from './member-address.js';
import { RaftCluster } from './raft-cluster.js';

const MEMBERS = [1, 2, 3].map((nodeId) =>
  memberAt(nodeId, { host: '127.0.0.1', port: 9080 + nodeId }, { host: '127.0.0.1', port: 8080 + nodeId }),
);

const METRICS: PeerMetrics = {
  connected: true,
  roundTripMs: undefined,
  sentBytes: 1,
  receivedBytes: 2,
  sentMessages: 3,
  receivedMessages: 4,
  droppedMessages: 5,
  bufferedBytes: 6,
  reconnects: 7,
};

const FOLLOWER: RaftStatus = {
  nodeId: 1,
  role: 'follower',
  term: 4,
  leaderId: 2,
  commitIndex: 10,
  appliedIndex: 9,
  lastIndex: 11,
  leaderReady: false,
  configuration: votersOnly(MEMBERS, 1),
  peers: [
    { nodeId: 2, matchIndex: 0, state: undefined, healthy: true, metrics: METRICS },
    { nodeId: 3, matchIndex: 0, state: undefined, healthy: false, metrics: undefined },
  ],
  transferTarget: undefined,
  diskFullReason: undefined,
  standing: {
    kind: 'member',
    incarnation: 0xc0ffee,
    groupId: 0xdecade,
    forgetful: [],
    strangers: [],
    obstacle: undefined,
  },
  refusedMessages: 0,
  misdirectedMessages: 0,
};

const LEADER: RaftStatus = {
  ...FOLLOWER,
  role: 'leader',
  leaderId: 1,
  leaderReady: true,
  peers: [
    { nodeId: 2, matchIndex: 11, state: 'replicate', healthy: true, metrics: { ...METRICS, roundTripMs: 1.5 } },
    { nodeId: 3, matchIndex: 7, state: 'probe', healthy: false, metrics: undefined },
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
  readIndex = (): Promise<number> => Promise.resolve(0);
  caughtUp = async (): Promise<void> => {
    this.current = { ...this.current, appliedIndex: this.current.commitIndex };
  };
  applyPromptly = () => (): void => undefined;
  propose = (): Promise<never> => Promise.reject(new Error('only a status'));
  transferLeadership = (): Promise<never> => Promise.reject(new Error('only a status'));
  changeMembership = (): Promise<never> => Promise.reject(new Error('only a status'));
}

function clusterOf(
  status: RaftStatus,
  obstacle?: string,
): { node: StatusOnly; clock: VirtualClock; cluster: RaftCluster } {
  const node = new StatusOnly(status);
  const clock = new VirtualClock();
  return { node, clock, cluster: new RaftCluster({ clusterName: 'local' }, node, clock, () => obstacle) };
}

describe('RaftCluster', () => {
  it('shows on request what is applied after everything is that the node knows to be committed', async () => {
    const { cluster } = clusterOf({ ...LEADER, appliedIndex: 3 });
    expect(cluster.view().appliedIndex).toBe(3);
    expect((await cluster.currentView()).appliedIndex).toBe(10);
  });

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
        lag: 0,
        replication: null,
        healthy: true,
        incarnation: null,
        returning: false,
        connection: null,
      },
      {
        nodeId: 2,
        role: 'voter',
        state: 'follower',
        raftUrl: '127.0.0.1:9082',
        httpUrl: 'http://127.0.0.1:8082',
        matchIndex: 11,
        lag: 0,
        replication: 'replicate',
        healthy: true,
        incarnation: null,
        returning: false,
        connection: { ...METRICS, roundTripMs: 1.5 },
      },
      expect.objectContaining({
        nodeId: 3,
        state: 'unknown',
        matchIndex: 7,
        lag: 4,
        replication: 'probe',
        healthy: false,
        incarnation: null,
        returning: false,
        connection: null,
      }),
    ]);
    expect(cluster.isLeader()).toBe(true);
    expect(cluster.leaderHttpUrl()).toBeUndefined();
  });

  it('shows the group as a follower sees it, which knows only of itself how far it is', () => {
    const { cluster } = clusterOf(FOLLOWER);
    expect(cluster.view().members.map(({ state, matchIndex, lag }) => [state, matchIndex, lag])).toEqual([
      ['follower', 11, null],
      ['leader', null, null],
      ['unknown', null, null],
    ]);
    expect(cluster.view().members[1]?.connection).toEqual({ ...METRICS, roundTripMs: null });
    expect(cluster.isLeader()).toBe(false);
    expect(cluster.leaderHttpUrl()).toBe('http://127.0.0.1:8082');
  });

  it('leads only when its own no-op is applied', () => {
    const { cluster } = clusterOf({ ...LEADER, leaderReady: false });
    expect(cluster.isLeader()).toBe(false);
    expect(cluster.lacks()).toEqual([{ what: 'leader', reason: 'no leader is known' }]);
  });

  it('is ready when it knows a leader and hears the participants', () => {
    expect(clusterOf(FOLLOWER).cluster.lacks()).toEqual([]);
    expect(clusterOf({ ...FOLLOWER, leaderId: undefined }, 'the broker is away').cluster.lacks()).toEqual([
      { what: 'leader', reason: 'no leader is known' },
      { what: 'broker', reason: 'the broker is away' },
    ]);
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
      expect(node.listenerCount).toBe(1); // its own
      expect(clock.nextDueAt()).toBeUndefined();
    }
    const { node, clock, cluster } = clusterOf(nobody);
    const known = cluster.waitForLeader(1_000);
    clock.advance(1_000);
    expect(await known).toBe(false);
    expect(node.listenerCount).toBe(1); // its own
  });

  it('takes members, roles and addresses from the replicated configuration', () => {
    const moved = memberAt(4, { host: '10.0.0.4', port: 9081 }, { host: '::1', port: 8081 });
    const configuration = {
      groupId: 1,
      members: [...MEMBERS, moved],
      voters: [1, 2],
      outgoing: [1, 2, 3],
      learners: [4],
    };
    const { cluster } = clusterOf({
      ...FOLLOWER,
      leaderId: 4,
      configuration,
      transferTarget: 2,
      diskFullReason: 'no room',
    });
    expect(cluster.view()).toMatchObject({ changing: true, transferTarget: 2, diskFullReason: 'no room' });
    expect(cluster.view().members.map(({ nodeId, role }) => [nodeId, role])).toEqual([
      [1, 'voter'],
      [2, 'voter'],
      [3, 'leaving'],
      [4, 'learner'],
    ]);
    expect(cluster.view().members[3]).toMatchObject({ raftUrl: '10.0.0.4:9081', httpUrl: 'http://[::1]:8081' });
    expect(cluster.leaderHttpUrl()).toBe('http://[::1]:8081');
  });

  it('is not ready, and says so, when it does not belong to the group or has no room', () => {
    const notYet = clusterOf({ ...FOLLOWER, leaderId: 2, configuration: EMPTY_CONFIGURATION, peers: [] }).cluster;
    expect(notYet.lacks()).toEqual([
      { what: 'membership', reason: expect.stringContaining('POST /v1/cluster/members') },
    ]);
    expect(notYet.exclusion()).toContain('does not belong to the group yet');
    const removed = clusterOf({ ...FOLLOWER, configuration: votersOnly(MEMBERS.slice(1), 1) }).cluster;
    expect(removed.exclusion()).toBe('node 1 was removed from the group');
    expect(removed.lacks().map(({ what }) => what)).toEqual(['membership']);
    const leaving = { groupId: 1, members: MEMBERS, voters: [2, 3], outgoing: [1, 2, 3], learners: [] };
    expect(clusterOf({ ...FOLLOWER, configuration: leaving }).cluster.exclusion()).toBeUndefined();
    const left = clusterOf({ ...FOLLOWER, configuration: leaving, leaderId: undefined }).cluster;
    expect(left.lacks()).toEqual([{ what: 'membership', reason: 'node 1 is being removed from the group' }]);
    expect(clusterOf({ ...LEADER, diskFullReason: 'disk /d is full' }).cluster.lacks()).toEqual([
      { what: 'disk', reason: 'the disk is full: disk /d is full' },
    ]);
    expect(clusterOf(FOLLOWER).cluster.exclusion()).toBeUndefined();
  });

  it('says why a node without its directory has no vote, and why a group without a leader has none', () => {
    const obstacle = 'node 1 has lost its data directory';
    const standing = { ...FOLLOWER.standing, kind: 'returning', obstacle } as const;
    const returning = clusterOf({ ...FOLLOWER, leaderId: undefined, configuration: EMPTY_CONFIGURATION, standing });
    expect(returning.cluster.exclusion()).toBe(obstacle);
    expect(returning.cluster.lacks()).toEqual([{ what: 'membership', reason: obstacle }]);
    expect(returning.cluster.view()).toMatchObject({ standing: 'returning', obstacle, incarnation: '000000c0ffee' });

    const waiting = 'node 2 came back without the data directory';
    const member = { ...FOLLOWER.standing, forgetful: [2], obstacle: waiting };
    const { cluster } = clusterOf({ ...FOLLOWER, leaderId: undefined, standing: member });
    expect(cluster.exclusion()).toBeUndefined();
    expect(cluster.lacks()).toEqual([{ what: 'leader', reason: `no leader is known: ${waiting}` }]);
    expect(cluster.view()).toMatchObject({ clusterId: '000000decade', forgetful: [2], obstacle: waiting });
  });

  it('is no stranger to a group that is yet to be founded', () => {
    const standing = {
      ...FOLLOWER.standing,
      kind: 'founding',
      groupId: 0,
      obstacle: 'node 3 was not heard of',
    } as const;
    const { cluster } = clusterOf({
      ...FOLLOWER,
      leaderId: undefined,
      configuration: EMPTY_CONFIGURATION,
      peers: [],
      standing,
    });
    expect(cluster.exclusion()).toBeUndefined();
    expect(cluster.view().clusterId).toBeNull();
    expect(cluster.lacks()).toEqual([{ what: 'leader', reason: 'no leader is known: node 3 was not heard of' }]);
  });
});
