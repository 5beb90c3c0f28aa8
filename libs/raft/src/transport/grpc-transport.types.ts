import { CodedError, type Clock, type Logger, type Random } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';

/**
 * Mutual TLS between the nodes of a group. Each node shows a certificate of its own, which must
 *
 * - be signed by `ca` (chains are allowed: `cert` then holds the intermediate ones, too) and not have expired,
 * - be usable by servers and clients (`extendedKeyUsage` with both, or without that extension),
 * - carry exactly one subject alternative name `URI:concordat://<cluster, percent-encoded>/node/<id>`
 *   (see `nodeCertificateUri`).
 *
 * Both ends check that name: the called node against the cluster and the id that the caller claims, the calling
 * node against the one it wants to reach. Host names and IP addresses of a certificate are not looked at, because
 * the name says more and stays when a node moves. A stream that lives when its certificate expires goes on; the
 * next one is refused.
 */
export interface TransportTls {
  /** PEM; every certificate in it is trusted, which lets an authority be replaced in two steps */
  readonly ca: Buffer;
  /** PEM */
  readonly cert: Buffer;
  /** PEM, not encrypted */
  readonly key: Buffer;
}

/**
 * What a `GrpcTransport` is made with. Options that make no sense (a node id that is no positive integer, an
 * advertised address that is none) are refused by its constructor, those that need the machine (an address that is
 * taken, certificates of another node) by `start`.
 */
export interface GrpcTransportOptions {
  readonly nodeId: NodeId;
  /** both ends of a stream must have the same */
  readonly clusterName: string;
  /** `host:port` to listen on; port 0 takes a free one (see `port`) */
  readonly listenAddress: string;
  /**
   * `host:port` where the other nodes reach this one. Every call tells it, so that a node which does not know this
   * one, or knows it elsewhere, can answer. Default: not told.
   */
  readonly advertisedAddress?: string;
  /**
   * Addresses to begin with, by node; an entry for this node itself is ignored. Until the first `setPeers` the
   * seeds are the peers. From then on they are addresses of last resort: a seed that is no peer is called only when
   * there is a message for it, as when a node that is to join answers the group that calls it. An address that
   * `setPeers` names replaces a node's seed for good.
   */
  readonly seeds?: ReadonlyMap<NodeId, string>;
  /** mutual TLS; default: none, in plain text, and nodes are believed to be who they say they are */
  readonly tls?: TransportTls;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** bytes that wait for one peer at most, default 80 MiB; what comes beyond is dropped */
  readonly maximumBufferedBytes?: number;
  /**
   * Size of a message in bytes, default 66 MiB and at most `maximumBufferedBytes`; larger ones are dropped, as are those
   * with more than 65,536 entries. All nodes of a group should have the same.
   */
  readonly maximumMessageBytes?: number;
  /** a stream to a node that is no peer is closed when nothing was sent for so long; default 10 s */
  readonly idleTimeoutMs?: number;
  /** the round trip to each peer is measured this often; default 1 s */
  readonly pingIntervalMs?: number;
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
  /** streams of callers turned away because of what they said or who they are, those of another group among them */
  readonly refusedStreams: number;
  /** connections turned away before a word was said: no or a bad certificate, no TLS, too many connections */
  readonly refusedConnections: number;
  /** called nodes whose certificate names another node; nothing was sent to them */
  readonly refusedServers: number;
}

/** The counters as the parts of the transport count them. */
export type MutableCounters = { -readonly [Name in keyof TransportCounters]: number };

/** The address to listen on is taken, not this machine's, or no address. */
export class TransportBindError extends CodedError {
  readonly code = 'RAFT_TRANSPORT_BIND_FAILED';
  readonly retryable = true;
}

/** Certificates or key are unreadable, do not belong together, or are those of another node. */
export class TransportTlsError extends CodedError {
  readonly code = 'RAFT_TRANSPORT_TLS_INVALID';
  readonly retryable = false;
}
