import type { Entry, HardState, Message, NodeId, Snapshot } from './types.js';

/**
 * What has to reach the disk together, and what may be said only afterwards.
 *
 * At most one batch is out at a time: the core makes the next one only after `RaftCore.advance(batch)`, and
 * everything that happens meanwhile rides in it. Order for the host: `snapshot` (the old log is dropped), then
 * `hardState` and `entries` in one write, then `messages`, then `advance`.
 */
export interface PersistBatch {
  /** term and vote when they changed, or the newest commit index as a free rider of entries */
  readonly hardState: HardState | undefined;
  /** sent by the leader; replaces the whole log and the state machine */
  readonly snapshot: Snapshot | undefined;
  /** contiguous; they replace what is stored at their indexes and everything behind */
  readonly entries: readonly Entry[];
  /** promises (votes, acknowledgements): to be sent once all of the above is durable */
  readonly messages: readonly Message[];
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
  /** followers that need a snapshot; answer each with `RaftCore.sendSnapshot` */
  readonly snapshotRequests: readonly NodeId[];
  /** every confirmation round up to this number is confirmed; undefined when nothing new is */
  readonly confirmedRound: number | undefined;
}
