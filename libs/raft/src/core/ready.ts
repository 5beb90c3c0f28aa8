import type { Configuration, Entry, HardState, Message, NodeId, SnapshotChunk, SnapshotMetadata } from './types.js';

/**
 * What has to reach the disk together, and what may be said only afterwards.
 *
 * At most one batch is out at a time: the core makes the next one only after `RaftCore.advance(batch)`, and
 * everything that happens meanwhile rides in it. Order for the host: `snapshot` (it takes the place of the log and
 * the state machine), then `hardState` and `entries` in one write, then `messages`, then `advance`.
 */
export interface PersistBatch {
  /** term and vote when they changed, or the newest commit index as a free rider of entries */
  readonly hardState: HardState | undefined;
  /** a snapshot whose last chunk was reported with `snapshotChunkStored`: it is to be put into force now */
  readonly snapshot: SnapshotMetadata | undefined;
  /** contiguous; they replace what is stored at their indexes and everything behind */
  readonly entries: readonly Entry[];
  /** promises (votes, acknowledgements): to be sent once all of the above is durable */
  readonly messages: readonly Message[];
}

/** A piece of the newest snapshot that a follower needs; answer with `RaftCore.sendSnapshotChunk`. */
export interface SnapshotRead {
  readonly to: NodeId;
  /** of the snapshot under transfer; undefined at the beginning, when any will do */
  readonly snapshot: { readonly index: number; readonly term: number } | undefined;
  readonly offset: number;
  /** 0 at the beginning: the follower is only asked what it has */
  readonly maximumBytes: number;
}

/** A read that was confirmed: it may be answered from the state after `index` was applied. */
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

/** Everything the core wants done since the last `Ready`. Taking one hands it over; it is not shown twice. */
export interface Ready {
  /**
   * To be sent at once, beside any write: they promise nothing that is not durable yet. A leader's
   * AppendEntries are here, so that its own fsync runs in parallel with its followers' (thesis, 10.2.1).
   */
  readonly messages: readonly Message[];
  readonly persist: PersistBatch | undefined;
  /** committed and durable on this node, in order, each exactly once per life of the core */
  readonly committed: readonly Entry[];
  readonly snapshotReads: readonly SnapshotRead[];
  /** pieces of the leader's snapshot, to be stored one after another; answer each with `snapshotChunkStored` */
  readonly snapshotChunks: readonly SnapshotChunk[];
  readonly reads: readonly ConfirmedRead[];
  /** set when the configuration in force has changed: by an entry appended, truncated or a snapshot */
  readonly configuration: Configuration | undefined;
  /** at most a few per `Ready`; `RaftCore.refusedMessages` counts all */
  readonly refused: readonly RefusedMessage[];
}
