import { Metadata, Server, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerCredentials, ServerReadableStream } from '@grpc/grpc-js';
import { errorMessage, type Logger } from '@concordat/foundation';
import type { Message, NodeId } from '../core/types.js';
import { channelOptions } from './channel-options.js';
import { exchangeMethod, readIdentity, type StreamIdentity } from './exchange-service.js';
import { TransportBindError, type MutableCounters } from './grpc-transport.types.js';
import { decodeFrame } from './message-codec.js';

export interface IncomingStreamsOptions {
  readonly nodeId: NodeId;
  readonly clusterName: string;
  readonly peers: ReadonlySet<NodeId>;
  readonly listenAddress: string;
  readonly credentials: ServerCredentials;
  readonly maxMessageBytes: number;
  readonly counters: MutableCounters;
  readonly logger: Logger;
}

interface Refusal {
  readonly code: status;
  readonly details: string;
}

/** Different refusals are logged once each, up to this many: a stranger tries again every second. */
const maxLoggedRefusals = 100;

/** The server half: accepts one stream from each peer and hands on what it says. */
export class IncomingStreams {
  private readonly server: Server;
  private readonly endStream = new Map<NodeId, (refusal: Refusal) => void>();
  private readonly logged = new Set<string>();
  private stopped = false;
  private boundPort = 0;

  constructor(
    private readonly options: IncomingStreamsOptions,
    private readonly onMessage: (message: Message) => void,
  ) {
    this.server = new Server(channelOptions(options.maxMessageBytes));
    this.server.addService(
      { exchange: exchangeMethod },
      {
        exchange: (call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>) =>
          this.accept(call, callback),
      },
    );
  }

  /** The port that is listened on. */
  get port(): number {
    return this.boundPort;
  }

  /** @throws TransportBindError */
  start(): Promise<void> {
    const { listenAddress, credentials } = this.options;
    return new Promise((resolve, reject) => {
      this.server.bindAsync(listenAddress, credentials, (error, port) => {
        if (error) {
          const message = `cannot listen for other nodes on ${listenAddress}: ${error.message}`;
          reject(new TransportBindError(message, { cause: error }));
        } else {
          this.boundPort = port;
          resolve();
        }
      });
    });
  }

  /** Resolves when the port is free again and every stream is cut. */
  stop(): Promise<void> {
    this.stopped = true;
    return new Promise((resolve) => {
      this.server.tryShutdown(() => resolve()); // tells when all is closed …
      this.server.forceShutdown(); // … which would take long with a dead peer
    });
  }

  private accept(call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void {
    const { counters } = this.options;
    const identity = readIdentity(call.metadata);
    const refusal = this.refusal(identity);
    call.on('error', () => undefined); // a peer that goes away is met at 'end' or 'close' of its stream
    if (refusal || !identity) {
      counters.refusedStreams++;
      const details = refusal?.details ?? 'no identity';
      this.logOnce(`refused a stream from ${call.getPeer()}: ${details}`, call.getPeer(), details);
      callback({ code: refusal?.code ?? status.UNAUTHENTICATED, details });
      return;
    }
    const { from } = identity;
    const end = (reason: Refusal): void => {
      if (this.endStream.get(from) !== end) return; // ended already
      this.endStream.delete(from);
      call.removeAllListeners('data');
      call.resume(); // what still comes is thrown away
      callback(reason);
    };
    this.endStream.get(from)?.({ code: status.ABORTED, details: 'replaced by a newer stream of the same node' });
    this.endStream.set(from, end);
    call.on('data', (bytes: Buffer) => {
      const messages = this.decode(identity, bytes);
      if (messages) this.receive(identity, messages);
      else end({ code: status.INVALID_ARGUMENT, details: 'a frame could not be read' });
    });
    call.on('end', () => end({ code: status.OK, details: '' }));
    call.on('cancelled', () => {
      if (this.endStream.get(from) === end) this.endStream.delete(from);
    });
    call.sendMetadata(new Metadata()); // tells the caller that it is accepted
  }

  /** Undefined, counted and logged, when the bytes are no frame. */
  private decode(identity: StreamIdentity, bytes: Buffer): Message[] | undefined {
    try {
      return decodeFrame(bytes);
    } catch (error) {
      this.options.counters.malformedFrames++;
      this.options.logger.warn(`ended the stream of node ${identity.from}: ${errorMessage(error)}`);
      return undefined;
    }
  }

  private receive(identity: StreamIdentity, messages: readonly Message[]): void {
    const { counters } = this.options;
    for (const message of messages) {
      if (message.from !== identity.from || message.to !== identity.to) {
        counters.misaddressedMessages++;
      } else if (!this.stopped) {
        counters.receivedMessages++;
        this.onMessage(message);
      }
    }
  }

  private refusal(identity: StreamIdentity | undefined): Refusal | undefined {
    const { nodeId, clusterName, peers } = this.options;
    if (!identity) return { code: status.UNAUTHENTICATED, details: 'the caller does not say which node it is' };
    if (identity.clusterName !== clusterName)
      return {
        code: status.PERMISSION_DENIED,
        details: `the caller is of cluster ${quote(identity.clusterName)}, this node of ${quote(clusterName)}`,
      };
    if (identity.to !== nodeId)
      return {
        code: status.FAILED_PRECONDITION,
        details: `the caller looks for node ${identity.to}, but this is node ${nodeId}`,
      };
    if (!peers.has(identity.from))
      return { code: status.PERMISSION_DENIED, details: `node ${identity.from} is no peer of node ${nodeId}` };
    return undefined;
  }

  private logOnce(text: string, peer: string, details: string): void {
    const key = `${peer.replace(/:\d+$/, '')} ${details}`; // the caller's port changes with each attempt
    if (this.logged.has(key) || this.logged.size >= maxLoggedRefusals) return;
    this.logged.add(key);
    this.options.logger.warn(text);
  }
}

/** What a stranger sent, fit for a log line. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
