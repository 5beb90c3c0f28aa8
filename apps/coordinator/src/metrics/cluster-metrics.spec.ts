import { describe, expect, it } from '@jest/globals';
import type { ClusterMember, ClusterView } from '../cluster/cluster.api.js';
import { watchCluster } from './cluster-metrics.js';
import { Metrics } from './metrics.js';

const SELF: ClusterMember = {
  nodeId: 1,
  role: 'voter',
  state: 'leader',
  raftUrl: 'a:1',
  httpUrl: 'http://a:2',
  matchIndex: 42,
  lag: 0,
  replication: null,
  healthy: true,
  incarnation: '000000000001',
  returning: false,
  connection: null,
};
const PEER: ClusterMember = {
  ...SELF,
  nodeId: 2,
  role: 'learner',
  state: 'follower',
  matchIndex: 40,
  lag: 2,
  replication: 'replicate',
  connection: {
    connected: true,
    roundTripMs: 1.5,
    sentBytes: 100,
    receivedBytes: 200,
    sentMessages: 3,
    receivedMessages: 4,
    droppedMessages: 5,
    bufferedBytes: 6,
    reconnects: 7,
  },
};
const VIEW: ClusterView = {
  clusterName: 'test',
  directAddress: null,
  clusterId: '00000000c0de',
  nodeId: 1,
  incarnation: '000000000001',
  standing: 'member',
  obstacle: null,
  forgetful: [3],
  leaderId: 1,
  term: 3,
  commitIndex: 41,
  appliedIndex: 40,
  lastIndex: 42,
  changing: false,
  transferTarget: null,
  diskFullReason: 'no room',
  refusedMessages: 9,
  misdirectedMessages: 8,
  members: [SELF, PEER],
};

describe('metrics of the group', () => {
  it('show where the node stands, and the way to each peer', async () => {
    const metrics = new Metrics();
    watchCluster(metrics, () => VIEW);
    const lines = (await metrics.text()).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'concordat_raft_term 3',
        'concordat_raft_commit_index 41',
        'concordat_raft_applied_index 40',
        'concordat_raft_last_index 42',
        'concordat_raft_is_leader 1',
        'concordat_raft_members 2',
        'concordat_raft_voters 1',
        'concordat_raft_disk_full 1',
        'concordat_raft_refused_messages_total 9',
        'concordat_raft_misdirected_messages_total 8',
        'concordat_raft_has_rights 1',
        'concordat_raft_forgetful_members 1',
        'concordat_raft_peer_lag_entries{peer="1"} 0',
        'concordat_raft_peer_lag_entries{peer="2"} 2',
        'concordat_raft_peer_connected{peer="2"} 1',
        'concordat_raft_peer_round_trip_seconds{peer="2"} 0.0015',
        'concordat_raft_peer_buffered_bytes{peer="2"} 6',
        'concordat_raft_peer_sent_bytes_total{peer="2"} 100',
        'concordat_raft_peer_received_bytes_total{peer="2"} 200',
        'concordat_raft_peer_dropped_messages_total{peer="2"} 5',
        'concordat_raft_peer_reconnects_total{peer="2"} 7',
      ]),
    );
  });

  it('forget a peer that has left, and count up to what is read, not beyond', async () => {
    const metrics = new Metrics();
    let view = VIEW;
    watchCluster(metrics, () => view);
    await metrics.text();
    expect(await metrics.text()).toContain('concordat_raft_peer_sent_bytes_total{peer="2"} 100');
    view = { ...VIEW, members: [SELF] };
    expect(await metrics.text()).not.toContain('peer="2"');
  });
});
