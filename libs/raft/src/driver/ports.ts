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

/** What a node finds on its disk when it starts. */
export interface StoredState {
  /** of the directory: made at random when it was empty, and the same ever after */
  readonly incarnation: Incarnation;
  readonly hardState: HardState;
  readonly snapshot: Snapshot | undefined;
  /** entries after the snapshot, contiguous */
  readonly entries: readonly Entry[];
}

/**
 * The data of a snapshot in pieces that are made one by one, as they are asked for, all of the same moment. Whoever
 * has no room for them may begin anew: each iterator gives the same pieces.
 */
export interface SnapshotPieces extends Iterable<Uint8Array> {
  /** Called once, when nobody will iterate any more. */
  release(): void;
}

/** A snapshot of this node that is not stored yet. */
export interface TakenSnapshot {
  readonly metadata: SnapshotMetadata;
  readonly data: Uint8Array | Iterable<Uint8Array>;
}

/** A piece of a stored snapshot, with what identifies the whole. */
export interface StoredSnapshotChunk {
  readonly metadata: SnapshotMetadata;
  /** of the whole snapshot's data */
  readonly sizeBytes: number;
  /** CRC-32 of the whole snapshot's data */
  readonly checksum: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** How much of a snapshot that comes in pieces is there. */
export interface ReceivedSnapshot {
  /** the byte that is wanted next; the whole size when all is there */
  readonly nextOffset: number;
  /** all is there, its checksum is right and it is durable: `installReceivedSnapshot` may follow */
  readonly complete: boolean;
}

/**
 * Durable storage of one node.
 *
 * There are two rows of calls, each strictly one after another: `persist` on the one hand, all that deals with
 * snapshots and `compact` on the other, so that a large snapshot does not hold up the log. `open`,
 * `installReceivedSnapshot` and `close` run alone. The driver gathers what arrives during a `persist` for the next.
 *
 * A rejected call is fatal for the node: it stops and must be restarted from disk (a failed fsync is never
 * repeated). A lack of space is no such failure: `persist` then waits until there is room, `saveSnapshot` resolves
 * with false, `receiveSnapshotChunk` takes nothing, and `onSpace` tells of it.
 */
export interface RaftStorage {
  /**
   * Opens the directory, repairs a torn tail and reads everything back. An empty one gets its incarnation, durably.
   * Called once, first.
   */
  open(): Promise<StoredState>;
  /**
   * Makes hard state and entries durable with one fsync; resolved means durable. Entries at or below an index
   * that is already stored replace it and everything after it.
   */
  persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void>;
  /**
   * Makes a snapshot of this node durable. Does not drop entries by itself. Of data in pieces it takes one at a time,
   * so that others have a turn between them, and none after it is settled.
   * @returns false when there was no room: then nothing has changed
   */
  saveSnapshot(snapshot: TakenSnapshot): Promise<boolean>;
  /**
   * A piece of the latest durable snapshot, for a follower: up to `maximumBytes` from `offset` on. Undefined when it is
   * not (or no longer) the one of that index and term; without `wanted` any is.
   */
  readSnapshotChunk(
    wanted: { readonly index: number; readonly term: number } | undefined,
    offset: number,
    maximumBytes: number,
  ): Promise<StoredSnapshotChunk | undefined>;
  /**
   * Takes a piece of the leader's snapshot. What is there already stays over a restart; a piece of another
   * snapshot (other index, term, size or checksum) begins anew, a piece that does not follow on what is there
   * changes nothing, and a whole whose checksum is wrong is forgotten.
   */
  receiveSnapshotChunk(chunk: StoredSnapshotChunk): Promise<ReceivedSnapshot>;
  /**
   * Puts the received snapshot into force: it becomes the latest one, and the log starts anew behind it, every
   * stored entry dropped. Atomic with regard to crashes: before, the old log; after, the snapshot and an empty log.
   * @returns the snapshot, for the state machine
   */
  installReceivedSnapshot(metadata: SnapshotMetadata): Promise<Snapshot>;
  /** Forgets entries up to and including `index`, which a durable snapshot covers. */
  compact(index: number): Promise<void>;
  /** Called with a sentence that says why when the disk is full, and with undefined when there is room again. */
  onSpace(listener: (diskFullReason: string | undefined) => void): void;
  /** Waits for calls under way; one that waits for room on the disk is rejected. */
  close(): Promise<void>;
}

/**
 * Carries messages between nodes. Fire and forget: a message may be lost, delayed, duplicated or reordered,
 * and Raft repeats what matters. A slow or dead peer never blocks `send` and never holds memory without bound.
 */
export interface RaftTransport {
  /** Starts listening; `onMessage` is called for every message addressed to this node. */
  start(onMessage: (message: Message) => void, notices?: TransportNotices): Promise<void>;
  /**
   * Who this node is. Called before `start` and when its group has become known, for a transport that refuses streams of
   * other groups, and of second processes of one directory. Without it each message still says whose it is.
   */
  setIdentity?(identity: NodeIdentity): void;
  /**
   * The members of the group have changed: these are to be reached, at these addresses. Called before `start` and
   * with every change; peers that are no longer named are left, but what is sent to them right before still goes out,
   * and a node that speaks to this one is answered whether it is named or not (paper, section 6). A member without an
   * address keeps the one it had.
   */
  setPeers(peers: ReadonlyMap<NodeId, string>): void;
  send(messages: readonly Message[]): void;
  /** Whether a peer answered recently, for status pages only. */
  isConnected(peer: NodeId): boolean;
  /** What is known of the way to a peer, where the transport knows it. */
  peerMetrics?(peer: NodeId): PeerMetrics | undefined;
  stop(): Promise<void>;
}

/** What a node is known by besides its id. */
export interface NodeIdentity {
  /** of its directory */
  readonly incarnation: Incarnation;
  /** 0 while it belongs to none */
  readonly groupId: GroupId;
}

/** What a transport with connections finds out when they are opened. */
export interface TransportNotices {
  /** A stream of that node, or to it, was refused because it belongs to another group. */
  onStranger(nodeId: NodeId): void;
  /** That node hears another living process of this one's directory: this one must not go on. */
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
  /** bytes that wait for the peer now */
  readonly bufferedBytes: number;
  readonly reconnects: number;
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
  /**
   * The whole state after the last applied command: at once, or, where that would hold up the event loop, in pieces.
   * Commands go on being applied while those are made; they must show the state of the moment of the call
   * nevertheless.
   */
  takeSnapshot(): Uint8Array | SnapshotPieces;
  /**
   * Replaces the state by that of a snapshot: at once, or, where that would hold up the event loop, in steps, each in a
   * turn of its own. Nothing is applied between them. Until the last one is done everybody must find the old state, and
   * a node that stops goes on with none.
   */
  restoreSnapshot(data: Uint8Array, metadata: SnapshotMetadata): void | Iterable<void>;
}
