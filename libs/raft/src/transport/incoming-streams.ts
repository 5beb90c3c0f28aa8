import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { ServerDuplexStream, StatusObject } from '@grpc/grpc-js';
import { errorMessage, guarded, type Clock, type Logger, type ShownCertificate } from '@concordat/foundation';
import type { ProcessClaims, Verdict } from './process-claims.js';
import type { GroupId, Message, NodeId } from '../core/types.js';
import { maximumFrameBytes, serverOptions } from './channel-options.js';
import { ConnectionListener } from './connection-listener.js';
import type { StreamTrack } from './connection-table.js';
import {
  exchangeMethod,
  groupFault,
  groupMetadata,
  readIdentity,
  verdictMetadata,
  type StreamIdentity,
} from './exchange-service.js';
import type { MutableCounters, TransportRefusal, TransportTls, TransportTlsMode } from './grpc-transport.types.js';
import { decodeFrame, type Frame } from './message-decoder.js';
import { encodeEcho } from './message-encoder.js';
import { certificateFault, describeNode, quote } from './node-certificate.js';
import type { PeerLedger } from './peer-counters.js';
import { RefusalLog } from './refusal-log.js';

export interface IncomingStreamsOptions {
  readonly nodeId: NodeId;
  readonly clusterName: string;
  /** at the start */
  readonly groupId: GroupId;
  readonly listenAddress: string;
  readonly tls: TransportTls | undefined;
  readonly tlsMode: TransportTlsMode;
  /** why a certificate does not count now, as a clause about it; undefined when it does */
  readonly distrust: (certificate: ShownCertificate) => string | undefined;
  readonly maximumMessageBytes: number;
  readonly counters: MutableCounters;
  readonly ledger: PeerLedger;
  /** its time is part of every echo */
  readonly clock: Pick<Clock, 'now' | 'monotonic' | 'setTimer'>;
  readonly claims: ProcessClaims;
  readonly logger: Logger;
  readonly onRefused: ((refusal: TransportRefusal) => void) | undefined;
  readonly isPeer: (nodeId: NodeId) => boolean;
}

/** Receives everything that arrives. */
export interface IncomingListener {
  onMessage(message: Message): void;
  /** A node's stream was accepted; `address` is where it claims to listen. */
  onCaller(nodeId: NodeId, address: string | undefined): void;
  /** The node's stream has ended, and no newer one has replaced it. */
  onCallerGone(nodeId: NodeId): void;
  /** A stream was refused because its node belongs to another group. */
  onStranger(nodeId: NodeId): void;
}

type Call = ServerDuplexStream<Buffer, Buffer>;
type Refusal = Pick<StatusObject, 'code' | 'details'> & Partial<Pick<StatusObject, 'metadata'>>;

interface Stream {
  readonly from: NodeId;
  readonly identity: StreamIdentity;
  /** of the caller */
  readonly peer: string;
  /** what is wrong with its certificate now, as a refusal */
  readonly certificateRefusal: () => Refusal | undefined;
  /** monotonic time of the last frame */
  heardAt: number;
  /** monotonic time of the last echo, if any */
  echoedAt: number;
  /** … and of the last echo that the caller has received for certain, because it sent the next ping */
  aliveAt: number;
  readonly end: (reason: Refusal) => void;
  /** set when it is accepted */
  track: StreamTrack | undefined;
}

/** Maximum number of streams, of peers and of nodes that are none (yet, any more); one for each node. */
export const MAXIMUM_INCOMING_STREAMS = 128;

/**
 * The server half: accepts one stream from each data directory of the cluster and delivers its messages. It does not
 * check membership, because this node's configuration may be old and Raft knows what to answer a stranger (paper,
 * section 6). Peers only have priority when there are too many streams.
 */
export class IncomingStreams {
  private readonly server: Server;
  private readonly listener: ConnectionListener;
  private readonly refusals: RefusalLog;
  /** by node and incarnation: one that lost its directory must be accepted beside a process that still has it */
  private readonly streams = new Map<string, Stream>();
  private stopped = false;
  private boundPort = 0;
  private groupId: GroupId;

  constructor(
    private readonly options: IncomingStreamsOptions,
    private readonly incoming: IncomingListener,
  ) {
    const { listenAddress, tls, tlsMode, clock, counters, logger, maximumMessageBytes } = options;
    this.groupId = options.groupId;
    this.refusals = new RefusalLog(logger, options.onRefused);
    this.server = new Server(serverOptions(maximumMessageBytes));
    this.server.addService({ exchange: exchangeMethod }, { exchange: (call: Call) => this.accept(call) });
    const injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
    const maximumUnfinishedBytes = maximumFrameBytes(maximumMessageBytes); // one of the largest size is always accepted
    const { refusals } = this;
    const listening = { listenAddress, tls, tlsMode, clock, counters, refusals, maximumUnfinishedBytes };
    this.listener = new ConnectionListener(listening, (socket) => injector.injectConnection(socket));
  }

  /** The port it listens on. */
  get port(): number {
    return this.boundPort;
  }

  /** For connections from now on. */
  setTls(tls: TransportTls): void {
    this.listener.setTls(tls);
  }

  /** Closes the streams whose certificate counts no longer. */
  review(): void {
    this.closeRefused(({ certificateRefusal }) => certificateRefusal());
  }

  /** @throws TransportBindError */
  async start(): Promise<void> {
    this.boundPort = await this.listener.start();
  }

  /** Resolves when the port is free again and every stream is closed. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.listener.stop();
    this.server.forceShutdown();
  }

  /** The group of this node is known now: streams of other groups are closed. */
  setGroup(groupId: GroupId): void {
    this.groupId = groupId;
    this.closeRefused(({ identity }) => this.groupRefusal(identity));
  }

  private closeRefused(judge: (stream: Stream) => Refusal | undefined): void {
    for (const stream of [...this.streams.values()]) {
      const refusal = judge(stream);
      if (!refusal) continue;
      this.noteRefusal(stream.peer, refusal);
      stream.end(refusal);
    }
  }

  private noteRefusal(peer: string, { details }: Refusal): void {
    this.options.counters.refusedStreams++;
    this.refusals.refused('a stream', peer, details);
  }

  private accept(call: Call): void {
    const identity = readIdentity(call.metadata);
    const stream = identity && this.newStream(call, identity);
    const refusal = this.refusal(stream, identity) ?? (stream && this.secondProcess(stream));
    if (refusal || !stream) {
      this.listener.connections.attempted(call.getPeer());
      const reason = refusal ?? { code: status.UNAUTHENTICATED, details: 'no identity' };
      this.noteRefusal(call.getPeer(), reason);
      end(call, reason);
      return;
    }
    const { from } = stream;
    const received = this.options.ledger.of(from);
    const track = this.listener.connections.opened(stream.peer, () => this.options.isPeer(from));
    stream.track = track;
    const key = keyOf(stream.identity);
    this.streams.get(key)?.end({ code: status.ABORTED, details: 'replaced by a newer stream of the same node' });
    this.streams.set(key, stream);
    this.incoming.onCaller(from, stream.identity.address);
    const failed = (error: unknown): void => {
      this.options.logger.error(`a frame from node ${from} could not be processed; its stream ends`, error);
      stream.end({ code: status.INTERNAL, details: 'a frame could not be taken' });
    };
    const take = (bytes: Buffer): void => {
      track.frameRead();
      received.receivedBytes += bytes.length;
      stream.heardAt = this.options.clock.monotonic();
      const frame = this.decode(from, bytes);
      if (!frame) return stream.end({ code: status.INVALID_ARGUMENT, details: 'a frame could not be read' });
      // A caller that does not read its echoes gets none: they would accumulate here.
      if (frame.ping > 0 && !call.writableNeedDrain) this.echo(stream, call, frame.ping);
      received.receivedMessages += this.receive(stream.identity, frame.messages);
    };
    call.on('data', guarded(take, failed));
    call.on(
      'end',
      guarded(() => stream.end({ code: status.OK, details: '' }), failed),
    );
    call.on(
      'cancelled',
      guarded(() => this.forget(stream), failed),
    );
    call.sendMetadata(new Metadata()); // tells the caller that it is accepted
  }

  private newStream(call: Call, identity: StreamIdentity): Stream {
    const shown = this.listener.certificateOf(call.getPeer());
    const stream: Stream = {
      from: identity.from,
      identity,
      peer: call.getPeer(),
      certificateRefusal: () => this.certificateRefusal(shown, identity),
      heardAt: this.options.clock.monotonic(),
      echoedAt: -Infinity,
      aliveAt: -Infinity,
      track: undefined,
      end: (reason) => this.endStream(stream, call, reason),
    };
    return stream;
  }

  /** The refusal, if another process of the same directory is connected. */
  private secondProcess(stream: Stream): Refusal | undefined {
    const { claims, clock } = this.options;
    const { from, identity } = stream;
    const { incarnation = 0, process = 0 } = identity;
    if (incarnation === 0 || process === 0) return undefined; // an older node without them
    const key = keyOf(identity);
    const holder = this.streams.get(key);
    const isOpen = (): boolean => this.streams.get(key) === stream;
    const claimant = { process, isOpen, heardAt: () => stream.heardAt, aliveAt: () => stream.aliveAt };
    const verdict = claims.claim(from, incarnation, claimant, clock.monotonic());
    return verdict === 'accepted' ? undefined : secondProcessRefusal(verdict, from, holder?.peer);
  }

  /** A caller sends a ping only after the echo of the last one. */
  private echo(stream: Stream, call: Call, ping: number): void {
    stream.aliveAt = stream.echoedAt;
    stream.echoedAt = this.options.clock.monotonic();
    call.write(encodeEcho({ ping, clock: Math.max(0, Math.floor(this.options.clock.now())) }));
  }

  private endStream(stream: Stream, call: Call, reason: Refusal): void {
    if (this.forget(stream)) end(call, reason);
  }

  /** False when it is removed already. */
  private forget(stream: Stream): boolean {
    const key = keyOf(stream.identity);
    if (this.streams.get(key) !== stream) return false;
    this.streams.delete(key);
    stream.track?.closed();
    const other = [...this.streams.values()].find(({ from }) => from === stream.from);
    if (other) this.incoming.onCaller(other.from, other.identity.address);
    else this.incoming.onCallerGone(stream.from);
    return true;
  }

  /** Undefined, counted and logged, when the bytes are no frame. */
  private decode(from: NodeId, bytes: Buffer): Frame | undefined {
    try {
      return decodeFrame(bytes);
    } catch (error) {
      this.options.counters.malformedFrames++;
      this.options.logger.warn(`ended the stream of node ${from}: ${errorMessage(error)}`);
      return undefined;
    }
  }

  /** The number of delivered messages. */
  private receive(identity: StreamIdentity, messages: readonly Message[]): number {
    const { counters } = this.options;
    let count = 0;
    for (const message of messages) {
      if (message.from !== identity.from || message.to !== identity.to) {
        counters.misaddressedMessages++;
      } else if (!this.stopped) {
        count++;
        this.incoming.onMessage(message);
      }
    }
    counters.receivedMessages += count;
    return count;
  }

  private refusal(stream: Stream | undefined, identity: StreamIdentity | undefined): Refusal | undefined {
    const { nodeId, clusterName } = this.options;
    if (!identity) return { code: status.UNAUTHENTICATED, details: 'the caller does not say which node it is' };
    const details = `the caller is of cluster ${quote(identity.clusterName)}, this node of ${quote(clusterName)}`;
    if (identity.clusterName !== clusterName) return { code: status.PERMISSION_DENIED, details };
    if (identity.to !== nodeId)
      return {
        code: status.FAILED_PRECONDITION,
        details: `the caller looks for node ${identity.to}, but this is node ${nodeId}`,
      };
    if (identity.from === nodeId)
      return { code: status.PERMISSION_DENIED, details: `the caller says it is node ${nodeId}, but that is this one` };
    const knownRefusal = stream?.certificateRefusal() ?? this.groupRefusal(identity);
    if (knownRefusal) return knownRefusal;
    return this.hasRoomFor(identity)
      ? undefined
      : { code: status.RESOURCE_EXHAUSTED, details: `this node has ${MAXIMUM_INCOMING_STREAMS} streams already` };
  }

  /** Asks what was shown in the handshake, never the connection, which may be closed by now. */
  private certificateRefusal(shown: ShownCertificate | undefined, { from }: StreamIdentity): Refusal | undefined {
    const { tls, tlsMode, clusterName, distrust } = this.options;
    if (!tls) return undefined;
    // plain text comes so far only where the settings allow it
    if (!shown && tlsMode !== 'require') return undefined;
    const caller = { clusterName, nodeId: from };
    const fault = shown
      ? (clauseOf(distrust(shown)) ?? certificateFault(shown.certificate.subjectAltName, caller))
      : 'there is no certificate';
    if (fault === undefined) return undefined;
    return { code: status.UNAUTHENTICATED, details: `${fault}, the caller says it is ${describeNode(caller)}` };
  }

  /** Also reports the stranger. */
  private groupRefusal(identity: StreamIdentity): Refusal | undefined {
    const details = groupFault(identity, this.groupId);
    if (details === undefined) return undefined;
    this.incoming.onStranger(identity.from);
    return { code: status.PERMISSION_DENIED, details, metadata: groupMetadata(this.groupId) };
  }

  /** If there are too many streams, a peer replaces the node that is no peer and has been connected longest. */
  private hasRoomFor(identity: StreamIdentity): boolean {
    const { isPeer } = this.options;
    const { from: nodeId } = identity;
    if (this.streams.has(keyOf(identity)) || this.streams.size < MAXIMUM_INCOMING_STREAMS) return true;
    const stranger = isPeer(nodeId) ? [...this.streams.values()].find(({ from }) => !isPeer(from)) : undefined;
    stranger?.end({ code: status.RESOURCE_EXHAUSTED, details: 'makes room for a peer' });
    return stranger !== undefined;
  }
}

function clauseOf(distrust: string | undefined): string | undefined {
  return distrust && `the certificate ${distrust}`;
}

function keyOf({ from, incarnation = 0 }: StreamIdentity): string {
  return `${from} ${incarnation}`;
}

function secondProcessRefusal(
  verdict: Exclude<Verdict, 'accepted'>,
  nodeId: NodeId,
  other: string | undefined,
): Refusal {
  const which = `another process of node ${nodeId} with the same data directory, or a copy of it`;
  const where = other === undefined ? '' : ` from ${other}`;
  const metadata = verdictMetadata(verdict);
  return verdict === 'wait'
    ? { code: status.UNAVAILABLE, details: `${which}, is connected${where}: it may be dead, ask again`, metadata }
    : {
        code: status.FAILED_PRECONDITION,
        details: `${which}, runs and is connected${where}: end one of them`,
        metadata,
      };
}

/** Ends a call with a status; further data are dropped. */
function end(call: Call, reason: Refusal): void {
  call.removeAllListeners('data');
  call.resume();
  if (reason.code === status.OK) call.end();
  else call.emit('error', Object.assign(new Error(reason.details), reason));
}
