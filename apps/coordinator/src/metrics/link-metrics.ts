import type { DirectCoordinatorBus, MessageBus } from '@concordat/messaging';
import type { FileStorage, GrpcTransport } from '@concordat/raft';
import type { Metrics } from './metrics.js';

/** Metrics of the appends that were sent, and of what was refused: unknown nodes, certificates, unreadable frames. */
export function watchTransport(metrics: Metrics, transport: Pick<GrpcTransport, 'counters'>): void {
  metrics.labelled(
    'concordat_raft_sent_appends_total',
    'AppendEntries messages to all peers, with entries or without any',
    'content',
    'counter',
    () => [
      ['entries', transport.counters.sentAppends],
      ['none', transport.counters.sentEmptyAppends],
    ],
  );
  metrics.gauge(
    'concordat_raft_refused_calls_total',
    'Calls and connections from nodes that were refused: another cluster, another identity, no certificate',
    () => transport.counters.refusedStreams + transport.counters.refusedConnections,
  );
  metrics.gauge(
    'concordat_raft_refused_servers_total',
    'Called nodes whose certificate names another node',
    () => transport.counters.refusedServers,
  );
  metrics.gauge(
    'concordat_raft_malformed_frames_total',
    'Frames from other nodes that could not be read',
    () => transport.counters.malformedFrames,
  );
}

/** Shows how often the log was made durable: how well proposals share an fsync. */
export function watchStorage(metrics: Metrics, storage: Pick<FileStorage, 'durableAppends'>): void {
  metrics.gauge(
    'concordat_raft_log_syncs_total',
    'Durable writes to the log, each with one fsync',
    () => storage.durableAppends,
  );
}

/** Metrics of the requests to the broker, and of the messages that this node has put into the dead letter topic. */
export function watchBus(
  metrics: Metrics,
  bus: Pick<MessageBus, 'deadLetters' | 'signatureWarnings' | 'brokerRequests'>,
): void {
  metrics.labelled(
    'concordat_broker_requests_total',
    'Requests to the broker that sent messages, or that consumers made, by kind; none with direct streams',
    'kind',
    'counter',
    () => Object.entries(bus.brokerRequests?.() ?? {}),
  );
  metrics.labelled(
    'concordat_dead_letters_total',
    'Messages that this node moved to the dead letter topic, by reason: OTHER_CLUSTER means that clusters share topics',
    'reason',
    'counter',
    () => Object.entries(bus.deadLetters()),
  );
  metrics.labelled(
    'concordat_signature_warnings_total',
    'Messages that this node has taken although their signatures do not hold, by reason: CONCORDAT_SIGNATURES is warn',
    'reason',
    'counter',
    () => Object.entries(bus.signatureWarnings?.() ?? {}).filter(([, count]) => count > 0),
  );
}

/** Shows the direct streams of participants, and what goes over them. */
export function watchStreams(metrics: Metrics, direct: Pick<DirectCoordinatorBus, 'streamCounts' | 'traffic'>): void {
  metrics.labelled(
    'concordat_direct_streams',
    'Direct streams that stand, by participant',
    'participant',
    'gauge',
    () => direct.streamCounts(),
  );
  metrics.labelled(
    'concordat_direct_messages_total',
    'Messages over direct streams, by direction',
    'direction',
    'counter',
    () => Object.entries(direct.traffic),
  );
}
