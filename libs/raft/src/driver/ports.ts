import type { Entry, HardState, Message, NodeId, Snapshot, SnapshotMetadata } from '../core/types.js';

/** What a node finds on its disk when it starts. */
export interface StoredState {
  readonly hardState: HardState;
  readonly snapshot: Snapshot | undefined;
  /** entries after the snapshot, contiguous */
  readonly entries: readonly Entry[];
}

/**
 * Durable storage of one node.
 *
 * There are two rows of calls, each strictly one after another: `persist` on the one hand, `saveSnapshot`,
 * `readSnapshot` and `compact` on the other, so that a large snapshot does not hold up the log. `open`, `resetTo`
 * and `close` run alone. The driver gathers what arrives during a `persist` for the next. A rejected call is fatal for the node: it stops and must be restarted from
 * disk (a failed fsync is never repeated).
 */
export interface RaftStorage {
  /** Opens the directory, repairs a torn tail and reads everything back. Called once, first. */
  open(): Promise<StoredState>;
  /**
   * Makes hard state and entries durable with one fsync; resolved means durable. Entries at or below an index
   * that is already stored replace it and everything after it.
   */
  persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void>;
  /** Makes a snapshot durable (of this node, or installed by the leader). Does not drop entries by itself. */
  saveSnapshot(snapshot: Snapshot): Promise<void>;
  /** The latest durable snapshot, for a follower that needs it. */
  readSnapshot(): Promise<Snapshot | undefined>;
  /** Forgets entries up to and including `index`, which a durable snapshot covers. */
  compact(index: number): Promise<void>;
  /**
   * After an installed snapshot the log starts anew behind it: every stored entry is dropped.
   * Atomic with regard to crashes: before, the old log; after, the snapshot and an empty log.
   */
  resetTo(snapshot: Snapshot): Promise<void>;
  close(): Promise<void>;
}

/**
 * Carries messages between nodes. Fire and forget: a message may be lost, delayed, duplicated or reordered,
 * and Raft repeats what matters. A slow or dead peer never blocks `send` and never holds memory without bound.
 */
export interface RaftTransport {
  /** Starts listening; `onMessage` is called for every message addressed to this node. */
  start(onMessage: (message: Message) => void): Promise<void>;
  send(messages: readonly Message[]): void;
  /** Whether a peer answered recently, for status pages only. */
  isConnected(peer: NodeId): boolean;
  stop(): Promise<void>;
}

/**
 * The replicated state machine. Both nodes and restarts must come to the same state from the same commands:
 * `apply` uses no clock, no randomness and nothing outside the command. A throw from it stops the node.
 */
export interface StateMachine<Result = unknown> {
  /** Applies one committed command; the result goes to whoever proposed it on this node. */
  apply(command: Uint8Array, index: number, term: number): Result;
  /** Called after a batch was applied, with the last index of it (no-ops included). */
  applied?(index: number): void;
  /** The whole state after the last applied command. */
  takeSnapshot(): Uint8Array;
  /** Replaces the state by that of a snapshot. */
  restoreSnapshot(data: Uint8Array, metadata: SnapshotMetadata): void;
}
