import type { ClusterMember, ClusterView, ConnectionView } from '../cluster/cluster.api.js';
import type { Metrics } from './metrics.js';

type NodeReading = readonly [name: string, help: string, read: (cluster: ClusterView) => number];

const NODE_GAUGES: readonly NodeReading[] = [
  ['concordat_raft_term', 'Current term', ({ term }) => term],
  ['concordat_raft_last_index', 'Index of the last entry of the log', ({ lastIndex }) => lastIndex],
  ['concordat_raft_commit_index', 'Index up to which the log is committed', ({ commitIndex }) => commitIndex],
  ['concordat_raft_applied_index', 'Index up to which the log is applied', ({ appliedIndex }) => appliedIndex],
  ['concordat_raft_is_leader', '1 on the leader', ({ leaderId, nodeId }) => (leaderId === nodeId ? 1 : 0)],
  ['concordat_raft_has_leader', '1 while a leader is known', ({ leaderId }) => (leaderId === null ? 0 : 1)],
  [
    'concordat_raft_healthy_members',
    'Members that answer, as this node sees it',
    ({ members }) => members.filter(({ healthy }) => healthy).length,
  ],
  ['concordat_raft_members', 'Members of the group, learners among them', ({ members }) => members.length],
  [
    'concordat_raft_voters',
    'Members of the group that vote',
    ({ members }) => members.filter(({ role }) => role === 'voter').length,
  ],
  ['concordat_raft_disk_full', '1 while the disk is full', ({ diskFullReason }) => (diskFullReason === null ? 0 : 1)],
  [
    'concordat_raft_refused_messages_total',
    'Messages that contradicted the protocol and were ignored',
    ({ refusedMessages }) => refusedMessages,
  ],
  [
    'concordat_raft_misdirected_messages_total',
    'Messages for another data directory of this node, or from another group',
    ({ misdirectedMessages }) => misdirectedMessages,
  ],
  [
    'concordat_raft_has_rights',
    '1 while the group knows the data directory of this node; 0 before it is founded or joined, and after a loss',
    ({ standing }) => (standing === 'member' ? 1 : 0),
  ],
  [
    'concordat_raft_forgetful_members',
    'Members that came back without their data directory and have no vote',
    ({ forgetful }) => forgetful.length,
  ],
];

type ConnectionReading = readonly [name: string, help: string, read: (connection: ConnectionView) => number | null];

const CONNECTION_GAUGES: readonly ConnectionReading[] = [
  ['concordat_raft_peer_connected', '1 while the peer is connected', ({ connected }) => (connected ? 1 : 0)],
  [
    'concordat_raft_peer_round_trip_seconds',
    'Latest time from a message to its answer',
    ({ roundTripMs }) => roundTripMs && roundTripMs / 1_000,
  ],
  ['concordat_raft_peer_buffered_bytes', 'Bytes that wait for the peer', ({ bufferedBytes }) => bufferedBytes],
];

const CONNECTION_COUNTERS: readonly ConnectionReading[] = [
  ['concordat_raft_peer_sent_bytes_total', 'Bytes sent to the peer', ({ sentBytes }) => sentBytes],
  ['concordat_raft_peer_received_bytes_total', 'Bytes received from the peer', ({ receivedBytes }) => receivedBytes],
  ['concordat_raft_peer_sent_messages_total', 'Messages sent to the peer', ({ sentMessages }) => sentMessages],
  [
    'concordat_raft_peer_received_messages_total',
    'Messages received from the peer',
    ({ receivedMessages }) => receivedMessages,
  ],
  [
    'concordat_raft_peer_dropped_messages_total',
    'Messages to the peer that were dropped: no connection, or a full buffer',
    ({ droppedMessages }) => droppedMessages,
  ],
  ['concordat_raft_peer_reconnects_total', 'Connections to the peer after the first', ({ reconnects }) => reconnects],
];

/** Metrics of the node's place in its group, and of its connections (label `peer`: the node id). */
export function watchCluster(metrics: Metrics, view: () => ClusterView): void {
  for (const [name, help, read] of NODE_GAUGES) metrics.gauge(name, help, () => read(view()));
  const perMember = (read: (member: ClusterMember) => number | null | undefined) => (): [string, number][] => {
    const amounts: [string, number][] = [];
    for (const member of view().members) {
      const amount = read(member);
      if (amount !== null && amount !== undefined) amounts.push([String(member.nodeId), amount]);
    }
    return amounts;
  };
  metrics.labelled(
    'concordat_raft_peer_lag_entries',
    'Entries of the log that the peer lacks; known to the leader only',
    'peer',
    'gauge',
    perMember(({ lag }) => lag),
  );
  for (const [kind, readings] of [
    ['gauge', CONNECTION_GAUGES],
    ['counter', CONNECTION_COUNTERS],
  ] as const) {
    for (const [name, help, read] of readings) {
      metrics.labelled(
        name,
        help,
        'peer',
        kind,
        perMember(({ connection }) => connection && read(connection)),
      );
    }
  }
}
