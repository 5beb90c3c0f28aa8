import type {
  Entry,
  GroupId,
  HardState,
  Incarnation,
  Message,
  NodeId,
  Snapshot,
  SnapshotMetadata,
} from '../core/types.js';

/** The stored state at the start of a node. */
export interface StoredState {
  /** of the directory: random, made when it was empty, and never changed */
  readonly incarnation: Incarnation;
  readonly hardState: HardState;
  readonly snapshot: Snapshot | undefined;
  /** entries after the snapshot, contiguous */
  readonly entries: readonly Entry[];
}

/**
 * The data of a snapshot in pieces, made on demand, all of the same moment. Each iterator gives the same pieces, so a
 * failed write can start again.
 */
export interface SnapshotPieces extends Iterable<Uint8Array> {
  /** Called once, after the last iteration. */
  release(): void;
}

/** A snapshot of this node that is not stored yet. */
export interface TakenSnapshot {
  readonly metadata: SnapshotMetadata;
  readonly data: Uint8Array | Iterable<Uint8Array>;
}

/** A piece of a stored snapshot, with the identity of the whole. */
export interface StoredSnapshotChunk {
  readonly metadata: SnapshotMetadata;
  /** of the whole snapshot's data */
  readonly sizeBytes: number;
  /** CRC-32 of the whole snapshot's data */
  readonly checksum: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** The progress of a snapshot that is received in pieces. */
export interface ReceivedSnapshot {
  /** the next byte needed; the whole size when all is there */
  readonly nextOffset: number;
  /** all is there, valid and durable: `installReceivedSnapshot` may follow */
  readonly complete: boolean;
}

/**
 * Durable storage of one node.
 *
 * There are two sequences of calls, each strictly one after another: `persist`, and everything about snapshots with
 * `compact`. So a large snapshot does not delay the log. `open`, `installReceivedSnapshot` and `close` run alone. The
 * driver collects what arrives during a `persist` for the next.
 *
 * A rejected call is fatal for the node: it must be restarted from disk (a failed fsync is never repeated). A full disk
 * is no such failure: `persist` waits for space, `saveSnapshot` resolves with false, `receiveSnapshotChunk` stores
 * nothing, and `onSpace` reports it.
 */
export interface RaftStorage {
  /**
   * Opens the directory, repairs a torn tail and reads everything. An empty directory gets its incarnation, durably.
   * Called once, first.
   */
  open(): Promise<StoredState>;
  /**
   * Makes hard state and entries durable with one fsync. Entries at or below an index that is already stored replace it
   * and everything after it.
   */
  persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void>;
  /**
   * Makes a snapshot of this node durable. Does not drop entries. It reads data in pieces one at a time, with other
   * work in between, and none after it is settled.
   * @returns false when the disk was full: then nothing has changed
   */
  saveSnapshot(snapshot: TakenSnapshot): Promise<boolean>;
  /**
   * A piece of the latest durable snapshot, for a follower: up to `maximumBytes` from `offset` on. Undefined when its
   * index and term are not those in `wanted`; without `wanted` any snapshot is returned.
   */
  readSnapshotChunk(
    wanted: { readonly index: number; readonly term: number } | undefined,
    offset: number,
    maximumBytes: number,
  ): Promise<StoredSnapshotChunk | undefined>;
  /**
   * Stores a piece of the leader's snapshot. Stored pieces survive a restart. A piece of another snapshot (index, term,
   * size or checksum) starts over, a piece out of order changes nothing, and a complete snapshot with a wrong checksum
   * is dropped.
   */
  receiveSnapshotChunk(chunk: StoredSnapshotChunk): Promise<ReceivedSnapshot>;
  /**
   * Installs the received snapshot: it becomes the latest one, and the log restarts after it, with every stored entry
   * dropped. Atomic with regard to crashes.
   * @returns the snapshot, for the state machine
   */
  installReceivedSnapshot(metadata: SnapshotMetadata): Promise<Snapshot>;
  /** Drops entries up to and including `index`, which a durable snapshot covers. */
  compact(index: number): Promise<void>;
  /** Called with the reason when the disk is full, and with undefined when there is space again. */
  onSpace(listener: (diskFullReason: string | undefined) => void): void;
  /** Waits for running calls; one that waits for disk space is rejected. */
  close(): Promise<void>;
}

/**
 * Carries messages between nodes, without acknowledgement: a message may be lost, delayed, duplicated or reordered, and
 * Raft repeats what matters. A slow or dead peer never blocks `send`, and its queue is bounded.
 */
export interface RaftTransport {
  /** Starts listening; `onMessage` is called for every message to this node. */
  start(onMessage: (message: Message) => void, notices?: TransportNotices): Promise<void>;
  /**
   * Sets the node's identity, before `start` and when its group becomes known, for a transport that refuses streams of
   * other groups, and of second processes of one directory. Every message has it as well.
   */
  setIdentity?(identity: NodeIdentity): void;
  /**
   * Sets the members and their addresses, before `start` and with every change. Connections to removed peers are closed
   * after their last messages. A node that calls this one is answered in any case (paper, section 6). A member without
   * an address keeps its old one.
   */
  setPeers(peers: ReadonlyMap<NodeId, string>): void;
  send(messages: readonly Message[]): void;
  /** Whether a peer answered recently; for status pages only. */
  isConnected(peer: NodeId): boolean;
  /** Metrics of the connection to a peer, if the transport has any. */
  peerMetrics?(peer: NodeId): PeerMetrics | undefined;
  stop(): Promise<void>;
}

/** The identity of a node besides its id. */
export interface NodeIdentity {
  /** of its directory */
  readonly incarnation: Incarnation;
  /** 0 while it belongs to none */
  readonly groupId: GroupId;
}

/** What a transport finds out when connections are opened. */
export interface TransportNotices {
  /** A stream of that node, or to it, was refused because it belongs to another group. */
  onStranger(nodeId: NodeId): void;
  /** That node is connected with another live process of this one's directory: this one must stop. */
  onSecondProcess(nodeId: NodeId): void;
}

/** Of this node's connection to one peer, since the start. */
export interface PeerMetrics {
  readonly connected: boolean;
  /** latest measured round trip in milliseconds; undefined before the first */
  readonly roundTripMs: number | undefined;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentMessages: number;
  readonly receivedMessages: number;
  readonly droppedMessages: number;
  /** bytes waiting to be sent */
  readonly bufferedBytes: number;
  readonly reconnects: number;
}

/**
 * The replicated state machine. The same commands must give the same state on all nodes and after restarts: `apply`
 * uses no clock, no randomness and nothing outside the command. An exception stops the node.
 */
export interface StateMachine<Result = unknown> {
  /** Applies one committed command; its proposer on this node gets the result. */
  apply(command: Uint8Array, index: number, term: number): Result;
  /** Called after a batch was applied, with its last index (no-ops included). */
  applied?(index: number): void;
  /**
   * The whole state after the last applied command: at once, or, where that would block the event loop, in pieces.
   * Further commands are applied while these are made; the pieces must still have the state at the call.
   */
  takeSnapshot(): Uint8Array | SnapshotPieces;
  /**
   * Replaces the state by that of a snapshot: at once, or, where that would block the event loop, in steps, each in a
   * turn of its own. No command is applied between them. The old state must stay visible until the last step, and a
   * stopping node leaves the steps unfinished.
   */
  restoreSnapshot(data: Uint8Array, metadata: SnapshotMetadata): void | Iterable<void>;
}
