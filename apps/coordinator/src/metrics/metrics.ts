import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ClusterMember, ClusterView, ConnectionView } from '../cluster/cluster.api.js';

interface Observed {
  observe(value: number): void;
}

/** 1 ms to 60 s: from a decision in memory to the longest `waitMs` */
const DURATION_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/**
 * The numbers a coordinator shows under `/metrics`. Parts of the coordinator count through its methods, or add
 * gauges that are read when somebody looks, so that nothing is paid on the way of a transaction.
 */
export class Metrics {
  readonly registry = new Registry();
  private readonly httpDurations: Histogram<'method' | 'route' | 'status'>;
  private readonly httpChildren = new Map<string, Observed>();
  private readonly ended: Counter<'outcome' | 'reason'>;

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    this.httpDurations = new Histogram({
      name: 'concordat_http_request_duration_seconds',
      help: 'Time from a request to its answer, by route',
      labelNames: ['method', 'route', 'status'],
      buckets: DURATION_BUCKETS_SECONDS,
      registers: [this.registry],
    });
    this.ended = new Counter({
      name: 'concordat_transactions_total',
      help: 'Transactions decided while this node led, by outcome and reason of an abort',
      labelNames: ['outcome', 'reason'],
      registers: [this.registry],
    });
  }

  /** @param route the pattern, never the path: a label must have few values */
  observeRequest(method: string, route: string, status: number, durationMs: number): void {
    const key = `${method} ${status} ${route}`;
    let child = this.httpChildren.get(key);
    if (!child) {
      child = this.httpDurations.labels({ method, route, status: String(status) });
      this.httpChildren.set(key, child);
    }
    child.observe(durationMs / 1000);
  }

  /** To be called once per transaction, by the leader that decided it. */
  transactionDecided(outcome: 'committed' | 'aborted' | 'mixed', reason = ''): void {
    this.ended.inc({ outcome, reason });
  }

  /** Adds a number that is read when the metrics are. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** Adds a counter; call the function it returns for each event. */
  counter(name: string, help: string): (by?: number) => void {
    const counter = new Counter({ name, help, registers: [this.registry] });
    return (by = 1) => counter.inc(by);
  }

  /** Shows open and in-doubt transactions, as the functions tell when asked. */
  watchTransactions(source: { open(): number; inDoubt(): number }): void {
    this.gauge('concordat_transactions_open', 'Transactions that have not ended', () => source.open());
    this.gauge('concordat_branches_in_doubt', 'Branches that voted yes and wait too long for their end', () =>
      source.inDoubt(),
    );
  }

  /** Adds a number per value of a label; both are read when somebody looks, and labels that are gone disappear. */
  labelled(
    name: string,
    help: string,
    label: string,
    kind: 'gauge' | 'counter',
    read: () => Iterable<readonly [value: string, amount: number]>,
  ): void {
    const configuration = { name, help, labelNames: [label], registers: [this.registry] };
    if (kind === 'gauge') {
      new Gauge({
        ...configuration,
        collect() {
          this.reset();
          for (const [value, amount] of read()) this.set({ [label]: value }, amount);
        },
      });
    } else {
      new Counter({
        ...configuration,
        collect() {
          this.reset();
          for (const [value, amount] of read()) this.inc({ [label]: value }, amount);
        },
      });
    }
  }

  /** Prometheus text exposition format 0.0.4. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  get contentType(): string {
    return this.registry.contentType;
  }
}

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
    'Messages to the peer that were dropped, for want of a connection or of room',
    ({ droppedMessages }) => droppedMessages,
  ],
  ['concordat_raft_peer_reconnects_total', 'Connections to the peer after the first', ({ reconnects }) => reconnects],
];

/** Shows where the node stands in its group, and the way to each of its peers (label `peer`, the id of the node). */
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
    'Entries of the log that the peer lacks, as the leader knows',
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
