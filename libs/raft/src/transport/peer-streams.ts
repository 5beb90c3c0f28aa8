import type { Clock, Logger, Timer } from '@concordat/foundation';
import type { Message, NodeId } from '../core/types.js';
import type { OutgoingStream } from './outgoing-stream.js';
import { isCallableAddress } from './peer-address.js';

export interface PeerStreamsOptions {
  readonly nodeId: NodeId;
  readonly seeds: ReadonlyMap<NodeId, string>;
  readonly idleTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** opens a stream, which begins to connect at once; `onDemand`: because of a message */
  readonly open: (peer: NodeId, address: string, onDemand: boolean) => OutgoingStream;
  /** each round */
  readonly onRound: () => void;
}

/** Addresses of former peers are kept up to this number of addresses. */
const maximumAddresses = 256;

/**
 * The streams to other nodes.
 *
 * A peer (a member of the group, or a seed until the group is known) has a permanent stream. Any other node has a
 * stream on demand: opened for a message if its address is known, closed after an idle time. Addresses are used in this
 * order: where a calling node claims to listen, `setPeers` (also earlier ones, so that a removed node still gets Raft's
 * messages), the seeds. For a peer, its own stream comes first. Where it calls from is used only while that stream is
 * broken, because then the peer may have moved and this node's configuration may be old.
 *
 * States: new → started → stopped; only a started one has streams.
 */
export class PeerStreams {
  private peers: ReadonlySet<NodeId>;
  private readonly addresses = new Map<NodeId, string>();
  private readonly callers = new Map<NodeId, string>();
  private readonly kept = new Map<NodeId, OutgoingStream>();
  private readonly onDemand = new Map<NodeId, OutgoingStream>();
  /** by the stream that follows: streams that are in use until that one is connected */
  private readonly former = new Map<OutgoingStream, OutgoingStream>();
  private readonly closing = new Set<Promise<void>>();
  private state: 'new' | 'started' | 'stopped' = 'new';
  private timer: Timer | undefined;

  constructor(private readonly options: PeerStreamsOptions) {
    this.peers = new Set([...options.seeds.keys()].filter((peer) => peer !== options.nodeId));
    for (const [peer, address] of options.seeds) this.learn(peer, address);
  }

  isPeer(nodeId: NodeId): boolean {
    return this.peers.has(nodeId);
  }

  start(): void {
    if (this.state !== 'new') return;
    this.state = 'started';
    this.reconcile();
    this.scheduleRound();
  }

  setPeers(peers: ReadonlyMap<NodeId, string>): void {
    this.peers = new Set([...peers.keys()].filter((peer) => peer !== this.options.nodeId));
    for (const [peer, address] of peers) if (address !== '') this.learn(peer, address);
    this.forgetSome();
    this.reconcile();
  }

  /** This node's identity has changed since its streams were opened. */
  renew(): void {
    for (const stream of [...this.kept.values(), ...this.onDemand.values()]) stream.renew();
  }

  /**
   * Calls every node anew, with other certificates. A stream that is connected goes on until the one that follows is,
   * unless the certificate of its peer counts no longer: no message is late because all nodes reconnect at once.
   */
  reconnect(): void {
    if (this.state !== 'started') return;
    for (const streams of [this.kept, this.onDemand]) {
      for (const [peer, stream] of streams) {
        const next = this.options.open(peer, stream.address, true);
        streams.set(peer, next);
        const inUse = this.inUse(stream);
        if (inUse.isConnected && inUse.distrust === undefined) {
          inUse.retire();
          this.former.delete(stream);
          this.former.set(next, inUse);
          if (inUse !== stream) this.close(stream);
        } else {
          this.close(stream);
        }
      }
    }
  }

  /** Calls those nodes anew whose certificate counts no longer: they may have another one by now. */
  review(): void {
    for (const streams of [this.kept, this.onDemand]) {
      for (const [peer, stream] of streams) {
        const { distrust } = this.inUse(stream);
        if (distrust === undefined || !this.inUse(stream).isConnected) continue;
        this.options.logger.warn(`ended the stream to node ${peer}: ${distrust}`);
        streams.set(peer, this.options.open(peer, stream.address, true));
        this.close(stream);
      }
    }
  }

  /** A stream to the peer is connected: the one before it has done its work. */
  connected(peer: NodeId): void {
    for (const stream of this.streamsTo(peer)) {
      const former = stream.isConnected ? this.former.get(stream) : undefined;
      if (!former) continue;
      this.former.delete(stream);
      this.close(former);
    }
  }

  callerCame(nodeId: NodeId, address: string | undefined): void {
    if (address === undefined) this.callers.delete(nodeId);
    else this.callers.set(nodeId, address);
  }

  callerWent(nodeId: NodeId): void {
    this.callers.delete(nodeId);
  }

  /** False when the receiver's address is unknown. */
  send(message: Message): boolean {
    const stream = this.streamFor(message.to);
    if (!stream) return false;
    this.inUse(stream).send(message);
    return true;
  }

  isConnected(peer: NodeId): boolean {
    return this.streamsTo(peer).some((stream) => this.inUse(stream).isConnected);
  }

  bufferedBytes(peer: NodeId): number {
    const bytesOf = (stream: OutgoingStream | undefined): number => stream?.bufferedBytes ?? 0;
    return this.streamsTo(peer).reduce((sum, stream) => sum + bytesOf(stream) + bytesOf(this.former.get(stream)), 0);
  }

  /** Closes all streams; what is queued gets a moment to leave. */
  async stop(): Promise<void> {
    this.state = 'stopped';
    this.timer?.cancel();
    for (const stream of [...this.kept.values(), ...this.onDemand.values()]) this.close(stream);
    this.kept.clear();
    this.onDemand.clear();
    await Promise.all(this.closing);
  }

  private streamsTo(peer: NodeId): OutgoingStream[] {
    return [this.kept.get(peer), this.onDemand.get(peer)].filter((stream) => stream !== undefined);
  }

  /** The stream, or the one before it while that is the one that is connected. */
  private inUse(stream: OutgoingStream): OutgoingStream {
    const former = stream.isConnected ? undefined : this.former.get(stream);
    return former?.isConnected ? former : stream;
  }

  private streamFor(peer: NodeId): OutgoingStream | undefined {
    const kept = this.kept.get(peer);
    if ((kept && this.inUse(kept).isConnected) || this.state !== 'started') return kept;
    const address = this.callers.get(peer) ?? this.addresses.get(peer);
    if (address === undefined || address === kept?.address || peer === this.options.nodeId) return kept;
    const existing = this.onDemand.get(peer);
    if (existing?.address === address) return existing;
    if (existing) this.close(existing);
    const stream = this.options.open(peer, address, true);
    this.onDemand.set(peer, stream);
    return stream;
  }

  /** Adapts the permanent streams to the peers and their addresses. */
  private reconcile(): void {
    if (this.state !== 'started') return;
    for (const [peer, stream] of this.kept) {
      if (this.peers.has(peer) && this.addresses.get(peer) === stream.address) continue;
      this.kept.delete(peer);
      if (this.peers.has(peer)) this.close(stream);
      else this.demote(peer, stream);
    }
    for (const peer of this.peers) {
      const address = this.addresses.get(peer);
      if (address === undefined || this.kept.has(peer)) continue;
      const promoted = this.onDemand.get(peer);
      if (promoted?.address === address) this.onDemand.delete(peer);
      this.kept.set(peer, promoted?.address === address ? promoted : this.options.open(peer, address, false));
    }
  }

  /** A removed peer may have a last message in flight, and Raft may soon send it another. */
  private demote(peer: NodeId, stream: OutgoingStream): void {
    if (!stream.isConnected || this.onDemand.has(peer)) this.close(stream);
    else this.onDemand.set(peer, stream);
  }

  private close(stream: OutgoingStream): void {
    const former = this.former.get(stream);
    this.former.delete(stream);
    if (former) this.close(former);
    const closed = stream.close().finally(() => this.closing.delete(closed));
    this.closing.add(closed);
  }

  private learn(peer: NodeId, address: string): void {
    if (peer === this.options.nodeId || this.addresses.get(peer) === address) return;
    if (!isCallableAddress(address)) {
      this.options.logger.warn(`node ${peer} cannot be called at ${JSON.stringify(address)}: this is not host:port`);
      return;
    }
    this.addresses.set(peer, address);
  }

  private forgetSome(): void {
    for (const peer of this.addresses.keys()) {
      if (this.addresses.size <= maximumAddresses) return;
      if (!this.peers.has(peer) && !this.options.seeds.has(peer)) this.addresses.delete(peer);
    }
  }

  private scheduleRound(): void {
    this.timer = this.options.clock.setTimer(this.options.pingIntervalMs, () => {
      this.round();
      this.scheduleRound();
    });
  }

  private round(): void {
    this.review();
    this.options.onRound();
    for (const stream of this.kept.values()) stream.ping();
    for (const [peer, stream] of this.onDemand) {
      if (stream.idleMs() < this.options.idleTimeoutMs) {
        stream.ping();
      } else {
        this.onDemand.delete(peer);
        this.close(stream);
      }
    }
  }
}
