import { Client, credentials, status, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js';
import type { PeerCertificate, SecureContext } from 'node:tls';
import {
  backoffMs,
  guarded,
  ShownCertificate,
  type Clock,
  type Logger,
  type Random,
  type Timer,
} from '@concordat/foundation';
import type { Verdict } from './process-claims.js';
import type { Message, NodeId } from '../core/types.js';
import { clientOptions } from './channel-options.js';
import {
  exchangeMethod,
  identityMetadata,
  readVerdict,
  refusesGroup,
  type StreamIdentity,
} from './exchange-service.js';
import { MalformedFrameError, MAXIMUM_ENTRIES_PER_MESSAGE } from './frame-limits.js';
import type { MutableCounters } from './grpc-transport.types.js';
import { decodeEcho } from './message-decoder.js';
import { messageSizeBytes, type FrameEncoder } from './message-encoder.js';
import { certificateFault, describeNode } from './node-certificate.js';
import type { PeerCounters } from './peer-counters.js';

export interface OutgoingStreamOptions {
  readonly nodeId: NodeId;
  readonly peer: NodeId;
  readonly address: string;
  readonly advertisedAddress: string | undefined;
  readonly clusterName: string;
  /** of this node when the stream is opened */
  readonly identity: () => Pick<StreamIdentity, 'groupId' | 'incarnation' | 'process'>;
  /** the peer has refused the stream because it belongs to another group */
  readonly onStranger: () => void;
  /** the peer has accepted the stream, or refused it because of another process */
  readonly onJudged: (verdict: Verdict) => void;
  /** undefined for plain text */
  readonly secureContext: SecureContext | undefined;
  /** why a certificate does not count now, as a clause about it; undefined when it does */
  readonly distrust: (certificate: ShownCertificate) => string | undefined;
  readonly maximumBufferedBytes: number;
  readonly maximumMessageBytes: number;
  /** shared by all streams of a node, so that entries for several peers are encoded once */
  readonly encoder: FrameEncoder;
  readonly counters: MutableCounters;
  readonly peerCounters: PeerCounters;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

type Call = ClientDuplexStream<Buffer, Buffer>;

/** How long `close` waits for bytes in flight. */
const closeTimeoutMs = 200;
/** Delays between attempts to connect; a successful connection resets them. */
export const RECONNECT = { baseMs: 100, capMs: 1000 };
/** A frame of this size takes no further message, which ensures the limits of `frame-limits.ts`. */
const frameBytes = 1024 * 1024;
/** When gRPC has this much that is not on the socket yet, the rest waits here, where it can be batched. */
const inFlightBytes = 4 * 1024 * 1024;
/** What a stream that was opened for a message keeps until its first connection. */
const firstWordsBytes = 1024 * 1024;

/**
 * This node's stream to one peer at one address.
 *
 * States: connecting (called, not accepted yet) → connected (the peer's headers arrived) → waiting (the stream ended; a
 * timer with capped back-off runs) → connecting, … and from each to closed. `renew` leads from connected to connecting,
 * once the peer has read everything; a retired one does not connect again. Messages are accepted only while connected,
 * because Raft repeats what a dead peer missed; a stream `withFirstWords` also keeps a few during its first attempt, and
 * every stream while it is renewed.
 * Queued bytes and bytes in flight together stay below `maximumBufferedBytes`.
 *
 * `ping` measures the round trip: a frame has a number, which the peer echoes at once. The time begins when the frame
 * is handed to gRPC, so it includes the queue before it and the load of both processes, as for a message of Raft.
 */
export class OutgoingStream {
  private readonly client: Client;
  private call: Call | undefined;
  private connected = false;
  private closing = false;
  private retired = false;
  /** the call is ending, and the next one follows at once */
  private renewing = false;
  /** the call is that next one; it counts as the same connection */
  private isRenewed = false;
  private renewal: Timer | undefined;
  private whenEnded: () => void = () => undefined;
  private retry: Timer | undefined;
  private failures = 0;
  private lastFailure = '';
  /** of the peer, of the last connection over TLS */
  private serverCertificate: ShownCertificate | undefined;
  /** what is wrong with the peer's last certificate */
  private strangeServer: string | undefined;
  private queue: Message[] = [];
  private queuedBytes = 0;
  private sendingBytes = 0;
  private flushScheduled = false;
  private lastPing = 0;
  private pingDue = false;
  private pingSentAt: number | undefined;
  /** monotonic time of the last message to be sent, even if it was dropped */
  private usedAt: number;

  constructor(
    private readonly options: OutgoingStreamOptions,
    private withFirstWords: boolean,
  ) {
    const { address, peer, secureContext, maximumMessageBytes, clock } = options;
    this.usedAt = clock.monotonic();
    const channelCredentials = secureContext
      ? credentials.createFromSecureContext(secureContext, {
          checkServerIdentity: (_host, certificate) => this.checkServer(certificate),
        })
      : credentials.createInsecure();
    this.client = new Client(address, channelCredentials, clientOptions(maximumMessageBytes, address, peer));
    this.connect();
  }

  get address(): string {
    return this.options.address;
  }

  get isConnected(): boolean {
    return this.connected;
  }

  /** What is wrong by now with the certificate that the peer has shown, if it has shown one; undefined: nothing. */
  get distrust(): string | undefined {
    return this.serverCertificate && this.faultOf(this.serverCertificate);
  }

  /** Bytes queued or on their way to the socket. */
  get bufferedBytes(): number {
    return this.queuedBytes + this.sendingBytes;
  }

  idleMs(): number {
    return this.bufferedBytes > 0 ? 0 : this.options.clock.monotonic() - this.usedAt;
  }

  /** Queues a message; those of one turn leave in one write. */
  send(message: Message): void {
    this.usedAt = this.options.clock.monotonic();
    const sizeBytes = messageSizeBytes(message);
    if (this.closing || !this.isSendable(message, sizeBytes) || !this.hasRoom(sizeBytes)) {
      this.countDropped(1);
      return;
    }
    this.queue.push(message);
    this.queuedBytes += sizeBytes;
    if (this.connected) this.scheduleFlush();
  }

  /** Measures the round trip, unless the last ping is unanswered. */
  ping(): void {
    if (!this.connected || this.closing || this.pingDue || this.pingSentAt !== undefined) return;
    this.pingDue = true;
    this.scheduleFlush();
  }

  /** Reopens the stream when the peer has read everything, because this node's identity has changed. */
  renew(): void {
    const { call } = this;
    if (this.closing || this.renewing || !call) return; // a later call has the new identity anyway
    this.renewing = true;
    this.withFirstWords = true;
    if (!this.connected) return call.cancel(); // its status opens the next one
    this.isRenewed = true;
    this.flush();
    this.connected = false;
    call.end();
    this.renewal = this.options.clock.setTimer(closeTimeoutMs, () => call.cancel());
  }

  /** Another stream follows: this one is used until that one is connected, and does not connect again. */
  retire(): void {
    this.retired = true;
    this.retry?.cancel();
  }

  /**
   * Waits briefly until the peer has read what is queued (a leader's last message, perhaps), then closes. Cancelling
   * the stream may lose what the peer has received but not read. A peer whose certificate counts no longer gets nothing.
   */
  async close(): Promise<void> {
    this.closing = true;
    this.retry?.cancel();
    this.renewal?.cancel();
    if (this.connected && this.distrust === undefined) {
      await new Promise<void>((resolve) => {
        const timer = this.options.clock.setTimer(closeTimeoutMs, resolve);
        this.whenEnded = () => {
          timer.cancel();
          resolve();
        };
        this.flush();
        this.endIfEmpty();
      });
    }
    const call = this.call;
    this.drop();
    call?.cancel();
    this.client.close();
  }

  private endIfEmpty(): void {
    if (this.closing && this.bufferedBytes === 0) this.call?.end();
  }

  private isSendable(message: Message, sizeBytes: number): boolean {
    const { maximumMessageBytes, peer, logger } = this.options;
    if (sizeBytes > maximumMessageBytes) {
      logger.error(
        `a message of ${sizeBytes} bytes to node ${peer} is larger than the limit of ${maximumMessageBytes}`,
      );
      return false;
    }
    if (message.type !== 'append-entries' || message.entries.length <= MAXIMUM_ENTRIES_PER_MESSAGE) return true;
    logger.error(`a message to node ${peer} has more than ${MAXIMUM_ENTRIES_PER_MESSAGE} entries`);
    return false;
  }

  private hasRoom(sizeBytes: number): boolean {
    if (this.connected) return this.bufferedBytes + sizeBytes <= this.options.maximumBufferedBytes;
    return this.withFirstWords && this.bufferedBytes + sizeBytes <= firstWordsBytes;
  }

  private scheduleFlush(): void {
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    queueMicrotask(() => {
      this.flushScheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    while (this.connected && (this.queue.length > 0 || this.pingDue) && this.sendingBytes < inFlightBytes) {
      let count = 0;
      let sizeBytes = 0;
      for (const message of this.queue) {
        if (sizeBytes >= frameBytes) break;
        sizeBytes += messageSizeBytes(message);
        count++;
      }
      const messages = count === this.queue.length ? this.queue : this.queue.slice(0, count);
      this.queue = count === this.queue.length ? [] : this.queue.slice(count);
      this.write(messages, sizeBytes);
    }
  }

  private write(messages: readonly Message[], sizeBytes: number): void {
    const { encoder, counters, peerCounters } = this.options;
    const call = this.call;
    if (!call) return;
    const frame = encoder.encode(messages, this.pingDue ? this.nextPing() : 0);
    this.queuedBytes -= sizeBytes;
    this.sendingBytes += sizeBytes;
    counters.sentMessages += messages.length;
    for (const message of messages) {
      if (message.type !== 'append-entries') continue;
      if (message.entries.length > 0) counters.sentAppends++;
      else counters.sentEmptyAppends++;
    }
    peerCounters.sentMessages += messages.length;
    peerCounters.sentBytes += frame.length;
    call.write(frame, () => this.written(call, sizeBytes));
  }

  private nextPing(): number {
    this.pingDue = false;
    this.pingSentAt = this.options.clock.monotonic();
    this.lastPing = (this.lastPing % 0xffff_ffff) + 1;
    return this.lastPing;
  }

  private written(call: Call, sizeBytes: number): void {
    if (call !== this.call) return; // of an earlier stream, whose bytes are no longer counted
    this.sendingBytes -= sizeBytes;
    this.flush();
    this.endIfEmpty();
  }

  private connect(): void {
    const { clusterName, nodeId, peer, advertisedAddress } = this.options;
    const { path, requestSerialize, responseDeserialize } = exchangeMethod;
    const identity = { clusterName, from: nodeId, to: peer, ...this.options.identity() };
    const metadata = identityMetadata(
      advertisedAddress === undefined ? identity : { ...identity, address: advertisedAddress },
    );
    const call = this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    const failed = (error: unknown): void => {
      this.options.logger.error(`the stream to node ${peer} failed and is opened again`, error);
      call.cancel(); // its status reports it, and reconnects
    };
    call.on(
      'metadata',
      guarded(() => this.accepted(call), failed),
    );
    call.on(
      'data',
      guarded((bytes: Buffer) => this.echoed(call, bytes), failed),
    );
    call.on('error', () => undefined); // the status reports it, too
    call.on(
      'status',
      guarded(
        (reason) => this.ended(call, reason),
        (error) => {
          failed(error);
          this.drop();
          this.connectLater();
        },
      ),
    );
    this.call = call;
  }

  private accepted(call: Call): void {
    const { peer, address, peerCounters, logger } = this.options;
    if (call !== this.call) return;
    this.connected = true;
    this.options.onJudged('accepted');
    this.withFirstWords = false;
    this.failures = 0;
    this.lastFailure = '';
    if (!this.isRenewed) {
      peerCounters.connections++;
      logger.info(`connected to node ${peer} at ${address}`);
    }
    this.isRenewed = false;
    this.flush();
    this.ping();
  }

  private echoed(call: Call, bytes: Buffer): void {
    const { counters, clock, peer, peerCounters, logger } = this.options;
    if (call !== this.call) return;
    try {
      const echo = decodeEcho(bytes);
      if (echo.ping !== this.lastPing || this.pingSentAt === undefined) return;
      const roundTripMs = clock.monotonic() - this.pingSentAt;
      const errorMs = roundTripMs / 2;
      peerCounters.roundTripMs = roundTripMs;
      if (echo.clock > 0) peerCounters.clock = { unixMs: echo.clock, readAt: this.pingSentAt + errorMs, errorMs };
      this.pingSentAt = undefined;
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
      counters.malformedFrames++;
      logger.warn(`ended the stream to node ${peer}: ${error.message}`);
      call.cancel();
    }
  }

  /** Called by TLS with the peer's certificate, which our authority has signed. */
  private checkServer(certificate: PeerCertificate): Error | undefined {
    this.serverCertificate = ShownCertificate.ofServer(certificate);
    this.strangeServer = this.faultOf(this.serverCertificate);
    if (this.strangeServer === undefined) return undefined;
    this.options.counters.refusedServers++;
    return new Error(this.strangeServer);
  }

  private faultOf(shown: ShownCertificate): string | undefined {
    const { clusterName, peer, distrust } = this.options;
    const expected = { clusterName, nodeId: peer };
    const clause = distrust(shown);
    const fault = clause ? `the certificate ${clause}` : certificateFault(shown.certificate.subjectAltName, expected);
    return fault && `${fault}, but ${describeNode(expected)} was called`;
  }

  private ended(call: Call, { code, details, metadata }: StatusObject): void {
    const { peer, address, logger } = this.options;
    if (call !== this.call) return;
    if (this.closing) {
      this.drop();
      return this.whenEnded();
    }
    if (this.retired) return this.drop();
    const verdict = readVerdict(metadata);
    if (verdict !== undefined) this.options.onJudged(verdict);
    if (refusesGroup(metadata)) this.options.onStranger();
    else if (this.renewing && verdict === undefined) return this.reopen();
    this.endRenewal();
    this.isRenewed = false;
    const reason = this.strangeServer ?? (code === status.OK ? 'the peer ended the stream' : withoutTimes(details));
    if (reason !== this.lastFailure) logger.warn(`no connection to node ${peer} at ${address}: ${reason}`);
    this.lastFailure = reason;
    this.withFirstWords = false;
    this.drop();
    this.connectLater();
  }

  /** With what was queued in between. */
  private reopen(): void {
    this.endRenewal();
    this.forgetCall();
    this.connect();
  }

  private endRenewal(): void {
    this.renewal?.cancel();
    this.renewing = false;
  }

  private connectLater(): void {
    const { clock, random } = this.options;
    this.retry = clock.setTimer(backoffMs(this.failures++, RECONNECT, random), () => this.connect());
  }

  private drop(): void {
    this.forgetCall();
    this.countDropped(this.queue.length);
    this.queue = [];
    this.queuedBytes = 0;
  }

  private forgetCall(): void {
    this.connected = false;
    this.call = undefined;
    this.sendingBytes = 0;
    this.pingDue = false;
    this.pingSentAt = undefined;
  }

  private countDropped(count: number): void {
    this.options.counters.droppedMessages += count;
    this.options.peerCounters.droppedMessages += count;
  }
}

/** gRPC puts the time of the failure into its text, which would make every failure look new. */
function withoutTimes(details: string): string {
  return details.replace(/ \(\d{4}-\d\d-\d\dT[^)]*\)/g, '');
}
