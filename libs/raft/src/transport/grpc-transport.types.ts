import { CodedError, type Clock, type Logger, type Random } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';

/** Certificates and key in PEM. Both sides show theirs, and both must be signed by `ca`. */
export interface TransportTls {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface GrpcTransportOptions {
  readonly nodeId: NodeId;
  /** both ends of a stream must have the same */
  readonly clusterName: string;
  /** `host:port` to listen on; port 0 takes a free one (see `port`) */
  readonly listenAddress: string;
  /** `host:port` of the other nodes; an entry for this node itself is ignored */
  readonly peers: ReadonlyMap<NodeId, string>;
  /** mutual TLS; default: none, in plain text */
  readonly tls?: TransportTls;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /**
   * Bytes that wait for one peer at most, default 64 MiB; what comes beyond is dropped. A single message above
   * this (a snapshot) is let in when no other such one waits.
   */
  readonly maxBufferedBytes?: number;
  /** size of a message in bytes, default 256 MiB; larger ones are dropped */
  readonly maxMessageBytes?: number;
}

/** What went wrong since the start, for metrics. */
export interface TransportCounters {
  /** messages handed to gRPC */
  readonly sentMessages: number;
  readonly receivedMessages: number;
  /** not sent: no stream, no room, too large, or for nobody */
  readonly droppedMessages: number;
  /** received and thrown away because `from` or `to` does not fit the stream */
  readonly misaddressedMessages: number;
  /** each also ended its stream */
  readonly malformedFrames: number;
  /** callers turned away */
  readonly refusedStreams: number;
}

/** The counters as the parts of the transport count them. */
export type MutableCounters = { -readonly [Name in keyof TransportCounters]: number };

/** The address to listen on is taken, not this machine's, or no address. */
export class TransportBindError extends CodedError {
  readonly code = 'RAFT_TRANSPORT_BIND_FAILED';
  readonly retryable = true;
}
