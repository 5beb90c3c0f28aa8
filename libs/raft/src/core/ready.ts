import type { Configuration, Entry, HardState, Message, NodeId, SnapshotChunk, SnapshotMetadata } from './types.js';

/**
 * What must be written together, and which messages must wait for it.
 *
 * At most one batch is in flight: the core makes the next one only after `RaftCore.advance(batch)`, with all changes in
 * between. Order for the host: `snapshot` (it replaces the log and the state machine), then `hardState` and `entries`
 * in one write, then `messages`, then `advance`.
 */
export interface PersistBatch {
  /** term and vote when they changed, or the newest commit index together with entries */
  readonly hardState: HardState | undefined;
  /** a snapshot whose last chunk was reported with `snapshotChunkStored`: install it now */
  readonly snapshot: SnapshotMetadata | undefined;
  /** contiguous; they replace what is stored at their indexes and everything after */
  readonly entries: readonly Entry[];
  /** promises (votes, acknowledgements): send them once all of the above is durable */
  readonly messages: readonly Message[];
}

/** A piece of the newest snapshot that a follower needs; answer with `RaftCore.sendSnapshotChunk`. */
export interface SnapshotRead {
  readonly to: NodeId;
  /** the snapshot being transferred; undefined at the beginning, when any is suitable */
  readonly snapshot: { readonly index: number; readonly term: number } | undefined;
  readonly offset: number;
  /** 0 at the beginning, which only asks the follower what it has */
  readonly maximumBytes: number;
}

/** A confirmed read: it may be answered from the state after `index` was applied. */
export interface ConfirmedRead {
  readonly requestId: number;
  readonly index: number;
}

/** A message that contradicts the protocol or what is committed here; it was ignored. */
export interface RefusedMessage {
  readonly from: NodeId;
  readonly type: Message['type'];
  readonly reason: string;
}

/**
 * Everything to do since the last `Ready`, but to apply entries: `RaftCore.takeCommitted` has those. Each item is
 * returned once.
 */
export interface Ready {
  /**
   * Send these at once, in parallel to any write: they promise only what is durable. A leader's AppendEntries are here,
   * so that its own fsync runs in parallel with its followers' (thesis, 10.2.1).
   */
  readonly messages: readonly Message[];
  readonly persist: PersistBatch | undefined;
  readonly snapshotReads: readonly SnapshotRead[];
  /** pieces of the leader's snapshot: store one after another, and answer each with `snapshotChunkStored` */
  readonly snapshotChunks: readonly SnapshotChunk[];
  readonly reads: readonly ConfirmedRead[];
  /** set when the configuration in force has changed: by an appended entry, a truncation or a snapshot */
  readonly configuration: Configuration | undefined;
  /** at most a few per `Ready`; `RaftCore.refusedMessages` counts all */
  readonly refused: readonly RefusedMessage[];
}
