import type { DirectCoordinatorBus, MessageBus } from '@concordat/messaging';
import type { GrpcTransport } from '@concordat/raft';
import type { Metrics } from './metrics.js';

/** Metrics of what the transport refused: unknown nodes, wrong certificates, unreadable frames. */
export function watchTransport(metrics: Metrics, transport: Pick<GrpcTransport, 'counters'>): void {
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

/** Metrics of the messages that this node has put into the dead letter topic. */
export function watchBus(metrics: Metrics, bus: Pick<MessageBus, 'deadLetters'>): void {
  metrics.labelled(
    'concordat_dead_letters_total',
    'Messages that this node moved to the dead letter topic, by reason: OTHER_CLUSTER means that clusters share topics',
    'reason',
    'counter',
    () => Object.entries(bus.deadLetters()),
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
