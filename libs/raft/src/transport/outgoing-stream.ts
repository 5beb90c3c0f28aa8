import { Client, type ChannelCredentials, type ClientWritableStream, type ServiceError } from '@grpc/grpc-js';
import { backoffMs, type Clock, type Logger, type Random, type Timer } from '@concordat/foundation';
import type { Message, NodeId } from '../core/types.js';
import { channelOptions } from './channel-options.js';
import { exchangeMethod, identityMetadata } from './exchange-service.js';
import type { MutableCounters } from './grpc-transport.types.js';
import { encodeFrame, messageSizeBytes } from './message-codec.js';

export interface OutgoingStreamOptions {
  readonly nodeId: NodeId;
  readonly peer: NodeId;
  readonly address: string;
  readonly clusterName: string;
  readonly credentials: ChannelCredentials;
  readonly maxBufferedBytes: number;
  readonly maxMessageBytes: number;
  readonly counters: MutableCounters;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** Longest wait at the end for bytes on their way. */
const closeTimeoutMs = 200;
const reconnect = { baseMs: 100, capMs: 1000 };
/** A frame takes no further message once it has this size. */
const frameBytes = 1024 * 1024;
/** While this much is handed to gRPC and not yet on the socket, the rest waits here, where it can be batched. */
const inFlightBytes = 4 * 1024 * 1024;

/**
 * This node's stream to one peer.
 *
 * States: connecting (a call was made, the peer has not accepted) → connected (its headers came) → waiting
 * (the stream ended; a timer with capped back-off runs) → connecting, … and from each to closed. Messages are
 * taken only while connected: what a dead peer missed, Raft repeats. Queued bytes and bytes in flight together
 * stay below `maxBufferedBytes`, save for one large message.
 */
export class OutgoingStream {
  private readonly client: Client;
  private call: ClientWritableStream<Buffer> | undefined;
  private connected = false;
  private closing = false;
  private whenEnded: () => void = () => undefined;
  private retry: Timer | undefined;
  private failures = 0;
  private lastFailure = '';
  private queue: Message[] = [];
  private queuedBytes = 0;
  private sendingBytes = 0;
  private flushScheduled = false;
  /** size of the one message above `maxBufferedBytes` that is under way; 0 for none */
  private largeBytes = 0;

  constructor(private readonly options: OutgoingStreamOptions) {
    this.client = new Client(options.address, options.credentials, channelOptions(options.maxMessageBytes));
    this.connect();
  }

  get isConnected(): boolean {
    return this.connected;
  }

  /** Bytes queued or on their way to the socket. */
  get bufferedBytes(): number {
    return this.queuedBytes + this.sendingBytes;
  }

  /** Queues a message; all that are queued in one turn leave in one write. */
  send(message: Message): void {
    const size = messageSizeBytes(message);
    if (!this.connected || this.closing || !this.hasRoom(size)) {
      this.options.counters.droppedMessages++;
      return;
    }
    this.queue.push(message);
    this.queuedBytes += size;
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    queueMicrotask(() => {
      this.flushScheduled = false;
      this.flush();
    });
  }

  /**
   * Waits a moment until the peer has read what is queued (a leader's last word, perhaps), then ends all. A stream
   * that is cancelled instead may lose what the peer has received but not read.
   */
  async close(): Promise<void> {
    this.closing = true;
    this.retry?.cancel();
    if (this.connected) {
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

  private hasRoom(size: number): boolean {
    const { maxBufferedBytes, maxMessageBytes, peer, logger } = this.options;
    if (size > maxMessageBytes) {
      logger.error(`a message of ${size} bytes to node ${peer} is larger than the limit of ${maxMessageBytes}`);
      return false;
    }
    // A large message under way does not keep the small ones out.
    if (size <= maxBufferedBytes) return this.bufferedBytes - this.largeBytes + size <= maxBufferedBytes;
    if (this.largeBytes > 0) return false;
    this.largeBytes = size;
    return true;
  }

  private flush(): void {
    const call = this.call;
    if (!call) return;
    while (this.connected && this.queue.length > 0 && this.sendingBytes < inFlightBytes) {
      let count = 0;
      let size = 0;
      for (const message of this.queue) {
        if (size >= frameBytes) break;
        size += messageSizeBytes(message);
        count++;
      }
      const messages = count === this.queue.length ? this.queue : this.queue.slice(0, count);
      this.queue = count === this.queue.length ? [] : this.queue.slice(count);
      this.queuedBytes -= size;
      this.sendingBytes += size;
      this.options.counters.sentMessages += count;
      call.write(encodeFrame(messages), () => this.written(call, size));
    }
  }

  private written(call: ClientWritableStream<Buffer>, size: number): void {
    if (call !== this.call) return; // of an earlier stream, whose bytes are no longer counted
    this.sendingBytes -= size;
    // The small messages under way are together no larger than the limit, so this frame held the large one.
    if (size > this.options.maxBufferedBytes) this.largeBytes = 0;
    this.flush();
    this.endIfEmpty();
  }

  private connect(): void {
    const { clusterName, nodeId, peer, address, logger } = this.options;
    const { path, requestSerialize, responseDeserialize } = exchangeMethod;
    const metadata = identityMetadata({ clusterName, from: nodeId, to: peer });
    const call = this.client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, metadata, (error) =>
      this.ended(call, error),
    );
    call.on('metadata', () => {
      if (call !== this.call) return;
      this.connected = true;
      this.failures = 0;
      this.lastFailure = '';
      logger.info(`connected to node ${peer} at ${address}`);
    });
    this.call = call;
  }

  private ended(call: ClientWritableStream<Buffer>, error: ServiceError | null): void {
    if (call !== this.call) return;
    if (this.closing) {
      this.drop();
      return this.whenEnded();
    }
    const reason = error?.details ?? 'the peer ended the stream';
    if (reason !== this.lastFailure)
      this.options.logger.warn(`no connection to node ${this.options.peer} at ${this.options.address}: ${reason}`);
    this.lastFailure = reason;
    this.drop();
    const delayMs = backoffMs(this.failures++, reconnect, this.options.random);
    this.retry = this.options.clock.setTimer(delayMs, () => this.connect());
  }

  private drop(): void {
    this.connected = false;
    this.call = undefined;
    this.options.counters.droppedMessages += this.queue.length;
    this.queue = [];
    this.queuedBytes = 0;
    this.sendingBytes = 0;
    this.largeBytes = 0;
  }
}
