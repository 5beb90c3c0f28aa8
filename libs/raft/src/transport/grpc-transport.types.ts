import { codedError, type Clock, type Logger, type Random } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';

/**
 * Mutual TLS between the nodes of a group. Each node has a certificate of its own, which must
 *
 * - be signed by `ca` (chains are allowed: `cert` then has the intermediate ones, too) and not have expired,
 * - be usable by servers and clients (`extendedKeyUsage` with both, or without that extension),
 * - have exactly one subject alternative name `URI:concordat://<cluster, percent-encoded>/node/<id>` (see
 *   `nodeCertificateUri`).
 *
 * Both ends check that name: the called node compares it with the caller's claimed cluster and id, the caller with the
 * node it calls. Host names and IP addresses in a certificate are ignored, because the name is more exact and stays
 * when a node moves. A stream ends when the certificate of the other end does, is revoked, or is of no authority in `ca` any
 * more; it is looked at with each change, and each second.
 */
export interface TransportTls {
  /** PEM; every certificate in it is trusted, so an authority can be replaced in two steps */
  readonly ca: Buffer;
  /** PEM */
  readonly cert: Buffer;
  /** PEM, not encrypted */
  readonly key: Buffer;
  /**
   * serial numbers of certificates that count no longer: capital hexadecimal digits without leading zeros; default: none.
   * Streams of such a node end, and it is called no more.
   */
  readonly revoked?: ReadonlySet<string>;
}

/**
 * How strict a node with certificates is, for the change of a running group from plain text to TLS, node by node.
 *
 * - `accept`: it takes plain text and TLS, and calls in plain text, because nodes may have no certificates yet
 * - `prefer`: it takes both, and calls over TLS
 * - `require`: it takes and speaks TLS only
 *
 * A caller in plain text is believed to be the node that it says it is, so the group is protected only when all
 * nodes require TLS.
 */
export type TransportTlsMode = 'accept' | 'prefer' | 'require';

/**
 * Options of a `GrpcTransport`. Its constructor refuses invalid options (a node id that is no positive integer, an
 * invalid advertised address), `start` those that fail on the machine (a taken address, certificates of another node).
 */
export interface GrpcTransportOptions {
  readonly nodeId: NodeId;
  /** the same at both ends of a stream */
  readonly clusterName: string;
  /** `host:port` to listen on; port 0 takes a free one (see `port`) */
  readonly listenAddress: string;
  /**
   * this node's `host:port` for other nodes. Every call has it, so that a node without this address, or with an old
   * one, can answer. Default: none.
   */
  readonly advertisedAddress?: string;
  /**
   * The first addresses, by node; an entry for this node itself is ignored. Until the first `setPeers` the seeds are
   * the peers. Afterwards they are a last resort: a seed that is no peer is called only when there is a message for it,
   * as when a joining node answers the group that calls it. An address from `setPeers` replaces a node's seed for good.
   */
  readonly seeds?: ReadonlyMap<NodeId, string>;
  /** mutual TLS; default: none, in plain text, and the nodes' claimed identities are trusted */
  readonly tls?: TransportTls;
  /** default: `require`; without `tls` it means nothing */
  readonly tlsMode?: TransportTlsMode;
  readonly logger?: Logger;
  /** told of every refused connection and stream, in the caller's time: whoever writes them down bounds them */
  readonly onRefused?: (refusal: TransportRefusal) => void;
  readonly clock?: Clock;
  readonly random?: Random;
  /** maximum bytes waiting for one peer, default 80 MiB; further messages are dropped */
  readonly maximumBufferedBytes?: number;
  /**
   * Maximum size of a message in bytes, default 66 MiB and at most `maximumBufferedBytes`; larger ones are dropped, as
   * are those with more than 65,536 entries. Should be equal on all nodes of a group.
   */
  readonly maximumMessageBytes?: number;
  /** a stream to a node that is no peer is closed when nothing was sent for this long; default 10 s */
  readonly idleTimeoutMs?: number;
  /** interval of round-trip measurements to each peer; default 1 s */
  readonly pingIntervalMs?: number;
}

/** A caller that was turned away. */
export interface TransportRefusal {
  /** `a connection` or `a stream` */
  readonly what: string;
  /** `host:port` */
  readonly peer: string;
  /** a clause */
  readonly reason: string;
}

/** Counters since the start, for metrics. */
export interface TransportCounters {
  /** messages handed to gRPC */
  readonly sentMessages: number;
  /** AppendEntries among them that carry entries */
  readonly sentAppends: number;
  /** AppendEntries among them without entries: heartbeats, news of the commit index, probes */
  readonly sentEmptyAppends: number;
  readonly receivedMessages: number;
  /** not sent: no stream, a full buffer, too large, or unknown receiver */
  readonly droppedMessages: number;
  /** received and dropped because `from` or `to` does not match the stream */
  readonly misaddressedMessages: number;
  /** each also closed its stream */
  readonly malformedFrames: number;
  /** streams refused because of the caller's identity, including another group */
  readonly refusedStreams: number;
  /** connections refused before a stream: no or a bad certificate, no TLS, too many connections */
  readonly refusedConnections: number;
  /** called nodes whose certificate names another node; nothing was sent to them */
  readonly refusedServers: number;
}

export type MutableCounters = { -readonly [Name in keyof TransportCounters]: number };

/** The listening address is taken, not this machine's, or invalid. */
export class TransportBindError extends codedError('RAFT_TRANSPORT_BIND_FAILED', { retryable: true }) {}

/** Certificates or key are unreadable, do not match, or are another node's. */
export class TransportTlsError extends codedError('RAFT_TRANSPORT_TLS_INVALID') {}
