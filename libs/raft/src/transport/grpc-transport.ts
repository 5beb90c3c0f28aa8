import { credentials, ServerCredentials } from '@grpc/grpc-js';
import { invariant, silentLogger, SystemClock, SystemRandom } from '@concordat/foundation';
import type { Message, NodeId } from '../core/types.js';
import type { RaftTransport } from '../driver/ports.js';
import type { GrpcTransportOptions, MutableCounters, TransportCounters } from './grpc-transport.types.js';
import { IncomingStreams } from './incoming-streams.js';
import { OutgoingStream } from './outgoing-stream.js';

const defaultBufferedBytes = 64 * 1024 * 1024;
const defaultMessageBytes = 256 * 1024 * 1024;

/**
 * Messages between nodes over gRPC: each node calls every peer and sends on that stream, so a pair of nodes has
 * one stream per direction. Messages to one peer arrive in order or not at all.
 *
 * States: new → started → stopped. Never throws or blocks on a peer's account; a stream that ends is made anew
 * after 100 ms to 1 s.
 */
export class GrpcTransport implements RaftTransport {
  private readonly outgoing = new Map<NodeId, OutgoingStream>();
  private incoming: IncomingStreams | undefined;
  private stopped = false;
  private readonly counts: MutableCounters = {
    sentMessages: 0,
    receivedMessages: 0,
    droppedMessages: 0,
    misaddressedMessages: 0,
    malformedFrames: 0,
    refusedStreams: 0,
  };

  constructor(private readonly options: GrpcTransportOptions) {
    const nodeIds = [options.nodeId, ...options.peers.keys()];
    invariant(
      nodeIds.every((nodeId) => Number.isSafeInteger(nodeId) && nodeId > 0),
      'a node id is a positive integer',
    );
  }

  /** The port that is listened on; 0 before the start. */
  get port(): number {
    return this.incoming?.port ?? 0;
  }

  get counters(): TransportCounters {
    return { ...this.counts };
  }

  /** @throws TransportBindError when the address cannot be listened on */
  async start(onMessage: (message: Message) => void): Promise<void> {
    invariant(!this.incoming && !this.stopped, 'a transport is started once');
    const { nodeId, clusterName, tls, peers, listenAddress } = this.options;
    const common = {
      nodeId,
      clusterName,
      maxMessageBytes: this.options.maxMessageBytes ?? defaultMessageBytes,
      counters: this.counts,
      logger: this.options.logger ?? silentLogger,
    };
    const others = [...peers].filter(([peer]) => peer !== nodeId);
    this.incoming = new IncomingStreams(
      {
        ...common,
        listenAddress,
        peers: new Set(others.map(([peer]) => peer)),
        credentials: tls
          ? ServerCredentials.createSsl(tls.ca, [{ cert_chain: tls.cert, private_key: tls.key }], true)
          : ServerCredentials.createInsecure(),
      },
      onMessage,
    );
    await this.incoming.start();
    if (this.stopped) return; // stopped while the port was being opened
    for (const [peer, address] of others) {
      const stream = new OutgoingStream({
        ...common,
        peer,
        address,
        credentials: tls ? credentials.createSsl(tls.ca, tls.key, tls.cert) : credentials.createInsecure(),
        maxBufferedBytes: this.options.maxBufferedBytes ?? defaultBufferedBytes,
        clock: this.options.clock ?? new SystemClock({ unref: true }),
        random: this.options.random ?? new SystemRandom(),
      });
      this.outgoing.set(peer, stream);
    }
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const stream = this.outgoing.get(message.to);
      if (stream) stream.send(message);
      else this.counts.droppedMessages++;
    }
  }

  /** Whether the peer has accepted this node's stream and the stream lives. */
  isConnected(peer: NodeId): boolean {
    return this.outgoing.get(peer)?.isConnected ?? false;
  }

  /** Bytes that wait for a peer. */
  bufferedBytes(peer: NodeId): number {
    return this.outgoing.get(peer)?.bufferedBytes ?? 0;
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    const streams = [...this.outgoing.values()];
    this.outgoing.clear();
    await Promise.all(streams.map((stream) => stream.close()));
    await this.incoming?.stop();
  }
}
