import {
  invariant,
  silentLogger,
  SystemClock,
  SystemRandom,
  type CertificateTrust,
  type Clock,
  type ShownCertificate,
} from '@concordat/foundation';
import { ProcessClaims, type Verdict } from './process-claims.js';
import { randomId } from '../core/membership/addressing.js';
import { MAXIMUM_INTEGER, type Message, type NodeId } from '../core/types.js';
import type { NodeIdentity, PeerMetrics, RaftTransport, TransportNotices } from '../driver/ports.js';
import type {
  GrpcTransportOptions,
  MutableCounters,
  TransportCounters,
  TransportTls,
  TransportTlsMode,
} from './grpc-transport.types.js';
import { IncomingStreams } from './incoming-streams.js';
import { FrameEncoder } from './message-encoder.js';
import { loadTls } from './node-certificate.js';
import { OutgoingStream } from './outgoing-stream.js';
import { isCallableAddress } from './peer-address.js';
import { PeerLedger, type PeerClockReading } from './peer-counters.js';
import { PeerStreams } from './peer-streams.js';
import type { SecureContext } from 'node:tls';

const defaultBufferedBytes = 80 * 1024 * 1024;
const defaultMessageBytes = 66 * 1024 * 1024;
const defaultIdleTimeoutMs = 10_000;
const defaultPingIntervalMs = 1000;
/** A connected process that has missed this many pings may be dead when another one of its directory arrives. */
const SILENT_PINGS = 3;

/**
 * Messages between nodes over gRPC: each node calls every peer and sends on that stream, so a pair of nodes has one
 * stream per direction. Messages to one peer arrive in order or not at all.
 *
 * States: new → started → stopped. Never throws or blocks because of a peer; a stream that ends is reopened after 100
 * ms to 1 s. `PeerStreams` decides which nodes are called, `IncomingStreams` which are accepted.
 */
export class GrpcTransport implements RaftTransport {
  private readonly streams: PeerStreams;
  private readonly ledger: PeerLedger;
  private incoming: IncomingStreams | undefined;
  private secureContext: SecureContext | undefined;
  private trust: CertificateTrust = {};
  private readonly tlsMode: TransportTlsMode;
  private stopped = false;
  private identity: NodeIdentity = { incarnation: 0, groupId: 0 };
  /** distinguishes this process from others on its directory, or a copy */
  private readonly process: number;
  private readonly claims: ProcessClaims;
  private notices: TransportNotices = { onStranger: () => undefined, onSecondProcess: () => undefined };
  private readonly maximumMessageBytes: number;
  private readonly maximumBufferedBytes: number;
  private readonly clock: Clock;
  private readonly counts: MutableCounters = {
    sentMessages: 0,
    sentAppends: 0,
    sentEmptyAppends: 0,
    receivedMessages: 0,
    droppedMessages: 0,
    misaddressedMessages: 0,
    malformedFrames: 0,
    refusedStreams: 0,
    refusedConnections: 0,
    refusedServers: 0,
  };

  constructor(private readonly options: GrpcTransportOptions) {
    const { nodeId, advertisedAddress, seeds = new Map<NodeId, string>(), clock, random } = options;
    if (options.tls) this.trust = trustOf(options.tls);
    this.tlsMode = options.tlsMode ?? 'require';
    checkNodeIds([nodeId, ...seeds.keys()]);
    invariant(
      advertisedAddress === undefined || isCallableAddress(advertisedAddress),
      'an advertised address is host:port',
    );
    this.maximumMessageBytes = options.maximumMessageBytes ?? defaultMessageBytes;
    this.maximumBufferedBytes = options.maximumBufferedBytes ?? defaultBufferedBytes;
    invariant(this.maximumMessageBytes <= this.maximumBufferedBytes, 'a message of the largest size may be buffered');
    this.clock = clock ?? new SystemClock({ unref: true });
    const parts = {
      clock: this.clock,
      random: random ?? new SystemRandom(),
      encoder: new FrameEncoder(),
    };
    const logger = options.logger ?? silentLogger;
    const pingIntervalMs = options.pingIntervalMs ?? defaultPingIntervalMs;
    this.process = randomId(parts.random);
    this.claims = new ProcessClaims(SILENT_PINGS * pingIntervalMs);
    this.ledger = new PeerLedger((peer) => this.streams.isPeer(peer));
    this.streams = new PeerStreams({
      nodeId,
      seeds,
      logger,
      clock: parts.clock,
      idleTimeoutMs: options.idleTimeoutMs ?? defaultIdleTimeoutMs,
      pingIntervalMs,
      open: (peer, address, onDemand) =>
        new OutgoingStream(
          {
            ...parts,
            nodeId,
            peer,
            address,
            advertisedAddress,
            clusterName: options.clusterName,
            identity: () => ({ ...this.identity, process: this.process }),
            onJudged: (verdict) => this.judged(peer, verdict),
            onStranger: () => this.notices.onStranger(peer),
            secureContext: this.tlsMode === 'accept' ? undefined : this.secureContext,
            distrust: (certificate) => this.distrust(certificate),
            maximumBufferedBytes: this.maximumBufferedBytes,
            maximumMessageBytes: this.maximumMessageBytes,
            counters: this.counts,
            peerCounters: this.ledger.of(peer),
            logger,
          },
          onDemand,
        ),
      onRound: () => this.incoming?.review(),
    });
  }

  /** The port it listens on; 0 before the start. */
  get port(): number {
    return this.incoming?.port ?? 0;
  }

  get counters(): TransportCounters {
    return { ...this.counts };
  }

  /**
   * @throws TransportBindError when it cannot listen on the address
   * @throws TransportTlsError when the certificates cannot be used or are another node's
   */
  async start(onMessage: (message: Message) => void, notices?: TransportNotices): Promise<void> {
    invariant(!this.incoming && !this.stopped, 'a transport is started once');
    this.notices = notices ?? this.notices;
    const { nodeId, clusterName, listenAddress, logger, onRefused, tls } = this.options;
    if (tls) this.secureContext = loadTls(tls, { clusterName, nodeId });
    this.incoming = new IncomingStreams(
      {
        nodeId,
        clusterName,
        groupId: this.identity.groupId,
        claims: this.claims,
        listenAddress,
        tls,
        tlsMode: this.tlsMode,
        distrust: (certificate) => this.distrust(certificate),
        maximumMessageBytes: this.maximumMessageBytes,
        counters: this.counts,
        ledger: this.ledger,
        clock: this.clock,
        logger: logger ?? silentLogger,
        onRefused,
        isPeer: (peer) => this.streams.isPeer(peer),
      },
      {
        onMessage: (message) => this.receive(message, onMessage),
        onCaller: (peer, address) => this.streams.callerCame(peer, address),
        onCallerGone: (peer) => this.streams.callerWent(peer),
        onStranger: (peer) => this.notices.onStranger(peer),
      },
    );
    await this.incoming.start();
    if (!this.stopped) this.streams.start(); // unless it was stopped while the port was being opened
  }

  /**
   * Other certificates and key of this node, for connections from now on, other authorities, or other revocations. Open
   * connections stay, unless their certificate counts no longer, and streams to peers go on until others with the new
   * ones are connected.
   *
   * @throws TransportTlsError when they cannot be used or are another node's; then the last ones stay
   */
  setTls(tls: TransportTls): void {
    const { nodeId, clusterName } = this.options;
    invariant(this.options.tls !== undefined, 'certificates change only where there are some');
    const secureContext = loadTls(tls, { clusterName, nodeId });
    this.trust = trustOf(tls);
    if (!this.incoming) return;
    this.secureContext = secureContext;
    this.incoming.setTls(tls);
    this.incoming.review();
    this.streams.reconnect();
  }

  /**
   * New peers are called; removed ones keep their stream for messages in flight and while Raft still sends to them. An
   * address that is not `host:port` counts as none.
   */
  setPeers(peers: ReadonlyMap<NodeId, string>): void {
    checkNodeIds([...peers.keys()]);
    this.streams.setPeers(peers);
  }

  /**
   * From now on streams of other groups are refused, and this node's own streams name its group. Nodes without a group
   * are accepted: their messages name the receiving group.
   */
  setIdentity(identity: NodeIdentity): void {
    const { groupId, incarnation } = this.identity;
    if (identity.groupId === groupId && identity.incarnation === incarnation) return;
    this.identity = identity;
    this.incoming?.setGroup(identity.groupId);
    this.streams.renew();
  }

  /** Asked for each stream in each round: a certificate ends, and what is trusted changes, while a stream is open. */
  private distrust(certificate: ShownCertificate): string | undefined {
    return certificate.faultBy(this.trust, this.clock.now())?.clause;
  }

  private judged(peer: NodeId, verdict: Verdict): void {
    this.claims.judgedBy(peer, verdict);
    if (verdict === 'accepted') this.streams.connected(peer);
    if (verdict === 'second') this.notices.onSecondProcess(peer);
  }

  private receive(message: Message, onMessage: (message: Message) => void): void {
    if (this.claims.listensTo(message.from)) onMessage(message);
    else this.counts.misaddressedMessages++; // it is for the process that the peer accepts
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.streams.send(message)) continue;
      this.counts.droppedMessages++;
      const peerCounters = this.ledger.find(message.to);
      if (peerCounters) peerCounters.droppedMessages++;
    }
  }

  /** Whether the peer has accepted this node's stream and the stream is open. */
  isConnected(peer: NodeId): boolean {
    return this.streams.isConnected(peer);
  }

  /** Bytes waiting for a peer. */
  bufferedBytes(peer: NodeId): number {
    return this.streams.bufferedBytes(peer);
  }

  /** Undefined for a node without any connection, and for one that was dropped from the counters. */
  peerMetrics(peer: NodeId): PeerMetrics | undefined {
    const counters = this.ledger.find(peer);
    if (!counters) return undefined;
    const { connections, clock: _, ...traffic } = counters;
    return {
      ...traffic,
      connected: this.isConnected(peer),
      bufferedBytes: this.bufferedBytes(peer),
      reconnects: Math.max(0, connections - 1),
    };
  }

  /** A peer's clock at its last answer; undefined before. */
  peerClock(peer: NodeId): PeerClockReading | undefined {
    return this.ledger.find(peer)?.clock;
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    await this.streams.stop();
    await this.incoming?.stop();
  }
}

function trustOf({ ca, revoked }: TransportTls): CertificateTrust {
  return { ca: ca.toString('utf8'), revoked };
}

function checkNodeIds(nodeIds: readonly NodeId[]): void {
  invariant(
    nodeIds.every((nodeId) => Number.isInteger(nodeId) && nodeId > 0 && nodeId <= MAXIMUM_INTEGER),
    'a node id is a positive integer',
  );
}
