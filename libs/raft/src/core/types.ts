/** A node of the group: a positive integer, never reused for another machine. */
export type NodeId = number;

/**
 * What a node must never forget (Raft paper, figure 2, "persistent state"), together with the commit index,
 * which is only a hint that spares a restarted node some waiting.
 */
export interface HardState {
  readonly term: number;
  /** the candidate this node voted for in `term`, or 0 for none */
  readonly vote: NodeId;
  readonly commitIndex: number;
}

/** `normal` carries a command of the user; `no-op` is what a new leader opens its term with (paper, section 8). */
export type EntryKind = 'normal' | 'no-op';

export interface Entry {
  /** position in the log, from 1 on, without gaps */
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  /** opaque to Raft; empty for a no-op. Never changed after it was proposed. */
  readonly data: Uint8Array;
}

/** What a snapshot stands for: everything up to and including `index`. */
export interface SnapshotMetadata {
  readonly index: number;
  readonly term: number;
  readonly voters: readonly NodeId[];
}

export interface Snapshot {
  readonly metadata: SnapshotMetadata;
  /** the user's state machine, in its own format */
  readonly data: Uint8Array;
}

export interface RequestVote {
  readonly type: 'request-vote';
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
}

export interface RequestVoteReply {
  readonly type: 'request-vote-reply';
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly granted: boolean;
}

export interface AppendEntries {
  readonly type: 'append-entries';
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly previousIndex: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  readonly commitIndex: number;
  /** number of the leader's latest confirmation round; the reply brings it back (paper, section 8; 0: none) */
  readonly round: number;
}

export interface AppendEntriesReply {
  readonly type: 'append-entries-reply';
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly success: boolean;
  /** on success the last index known to match; on failure `previousIndex` of the refused request */
  readonly matchIndex: number;
  /** on failure: where the leader should try next, by term (paper, section 5.3, last paragraphs; etcd/raft) */
  readonly hintIndex: number;
  readonly hintTerm: number;
  readonly round: number;
}

export interface InstallSnapshot {
  readonly type: 'install-snapshot';
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly snapshot: Snapshot;
}

/** A leader that stops asks its most advanced follower to stand for election at once (thesis, section 3.10). */
export interface TimeoutNow {
  readonly type: 'timeout-now';
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
}

/** One union for all that nodes say to each other; no field's meaning depends on another's value. */
export type Message =
  RequestVote | RequestVoteReply | AppendEntries | AppendEntriesReply | InstallSnapshot | TimeoutNow;
