/** A node of the group: a positive integer. */
export type NodeId = number;

/**
 * One data directory of a node: a random positive integer, made once when the directory is empty, and durable from then
 * on. A node that lost its directory has lost its promises (votes, acknowledgements), too, so the right to vote belongs
 * to (node id, incarnation) and not to the id. 0: unknown.
 */
export type Incarnation = number;

/** One group from its founding on: a random positive integer, made once. 0: none or unknown. */
export type GroupId = number;

/** Terms, indices and ids are integers from 0 to this (2^48); a message beyond it is refused. */
export const MAXIMUM_INTEGER = 2 ** 48;

/**
 * The persistent state (Raft paper, figure 2), with the commit index, which is only a hint that saves a restarted node
 * some waiting.
 */
export interface HardState {
  readonly term: number;
  /** the candidate this node voted for in `term`, or 0 for none */
  readonly vote: NodeId;
  readonly commitIndex: number;
}

/** A member for users. */
export interface MemberDescription {
  readonly nodeId: NodeId;
  /** for its peers, in the transport's own notation; at most 512 characters, opaque to Raft */
  readonly address: string;
  /** the application's own, such as the URL of its API; at most 4,096 characters, opaque to Raft */
  readonly data: string;
  /** a leader transfers to a voter of higher priority that has caught up (integer from 0 to 1,000, default 0) */
  readonly priority: number;
}

/** One node in the configuration. */
export interface Member extends MemberDescription {
  /** whose votes and acknowledgements count; 0 only for a learner that has never answered */
  readonly incarnation: Incarnation;
  /** replaces `incarnation` when the joint configuration is left; otherwise 0 */
  readonly nextIncarnation: Incarnation;
  /** a learner that was a voter before it lost its directory: the leader promotes it when it has caught up */
  readonly returning: boolean;
}

/**
 * The members of the group (paper, section 6; thesis, chapter 4). While `outgoing` is not empty the configuration is
 * joint: elections and commits need a majority of `voters` and one of `outgoing`.
 */
export interface Configuration {
  /** the same in every configuration of a group */
  readonly groupId: GroupId;
  /** exactly the nodes in the lists below, ascending by id */
  readonly members: readonly Member[];
  readonly voters: readonly NodeId[];
  /** the voters of the configuration that is being left; otherwise empty */
  readonly outgoing: readonly NodeId[];
  /** get every entry and have no vote (thesis, 4.2.1); one that is in `outgoing` counts there until it is left */
  readonly learners: readonly NodeId[];
}

/**
 * `normal` carries a command of the user; `no-op` opens the term of a new leader (paper, section 8); `configuration`
 * has an encoded `Configuration`, in force as soon as it is in a log.
 */
export type EntryKind = 'normal' | 'no-op' | 'configuration';

/** One element of the log. */
export interface Entry {
  /** position in the log, from 1 on, without gaps */
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  /** opaque to Raft; empty for a no-op. Never changed after the proposal. */
  readonly data: Uint8Array;
}

/** A snapshot has everything up to and including `index`. */
export interface SnapshotMetadata {
  readonly index: number;
  readonly term: number;
  /** the one in force at `index` */
  readonly configuration: Configuration;
}

/** A state machine at an index, in place of the log up to there. */
export interface Snapshot {
  readonly metadata: SnapshotMetadata;
  /** the user's state machine, in its own format */
  readonly data: Uint8Array;
}

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** of the sender */
  readonly fromIncarnation: Incarnation;
  /** of the receiver; 0: the present one */
  readonly toIncarnation: Incarnation;
  /** of the sender, or of the message it answers; 0 where it belongs to none yet */
  readonly groupId: GroupId;
  /** the sender's current term */
  readonly term: number;
}

/** "Would you vote for me in the term after mine?" Changes nothing on either side (thesis, 9.6). */
export interface RequestPreVote extends Envelope {
  readonly type: 'request-pre-vote';
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
}

/** Whether it would; not a promise. */
export interface PreVoteReply extends Envelope {
  readonly type: 'pre-vote-reply';
  readonly granted: boolean;
}

/** A candidate asks for the vote of its term (paper, section 5.2). */
export interface RequestVote extends Envelope {
  readonly type: 'request-vote';
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
  /** the leader asked for this election, so no voter protects it (thesis, 4.2.3 and 3.10) */
  readonly transfer: boolean;
}

/** The vote, or a refusal. Sent when it is durable. */
export interface RequestVoteReply extends Envelope {
  readonly type: 'request-vote-reply';
  readonly granted: boolean;
}

/** A leader's entries after (`previousIndex`, `previousTerm`); without entries a heartbeat (paper, section 5.3). */
export interface AppendEntries extends Envelope {
  readonly type: 'append-entries';
  readonly previousIndex: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  readonly commitIndex: number;
  /** number of the leader's latest confirmation round; the answer repeats it (paper, section 8; 0: none) */
  readonly round: number;
}

/** Everything up to `matchIndex` is durable in the sender's log and equal to the leader's. */
export interface AppendEntriesAccepted extends Envelope {
  readonly type: 'append-entries-accepted';
  readonly matchIndex: number;
  readonly round: number;
}

/** The sender's log does not have (`previousIndex`, its term) of the request. */
export interface AppendEntriesRefused extends Envelope {
  readonly type: 'append-entries-refused';
  /** of the refused request */
  readonly previousIndex: number;
  /** where the logs may last have agreed, and the term there (paper, end of section 5.3; etcd/raft) */
  readonly hintIndex: number;
  readonly hintTerm: number;
  readonly round: number;
}

/**
 * A piece of the leader's snapshot (InstallSnapshot of the paper's figure 13). A transfer begins with an empty piece;
 * the receiver always names the next byte it needs, so either end may lose its state.
 */
export interface SnapshotChunk extends Envelope {
  readonly type: 'snapshot-chunk';
  readonly metadata: SnapshotMetadata;
  /** size of the whole snapshot's data in bytes, and its CRC-32 */
  readonly sizeBytes: number;
  readonly checksum: number;
  /** position of `data` within the whole */
  readonly offset: number;
  readonly data: Uint8Array;
}

/** The receiver has everything before `nextOffset` of that snapshot; `append-entries-accepted` ends a transfer. */
export interface SnapshotChunkReply extends Envelope {
  readonly type: 'snapshot-chunk-reply';
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly nextOffset: number;
}

/** The leader asks a caught-up follower to stand for election at once (thesis, section 3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeout-now';
}

/** A follower asks for the index it must have applied before it answers a read (thesis, section 6.4). */
export interface ReadIndexRequest extends Envelope {
  readonly type: 'read-index-request';
  /** the requester's number, repeated in the answer */
  readonly requestId: number;
}

/** The leader led when the request arrived, and had committed up to `index`. */
export interface ReadIndexReply extends Envelope {
  readonly type: 'read-index-reply';
  readonly requestId: number;
  readonly index: number;
}

/**
 * A node that its group does not know under its incarnation introduces itself and asks for an answer: its directory is
 * empty, or its group has another incarnation of it.
 */
export interface Introduction extends Envelope {
  readonly type: 'introduction';
  /** 0: its directory is empty */
  readonly lastLogIndex: number;
  /** fingerprint of the members with which it would found a group; 0: it founds none */
  readonly founders: number;
}

/** The answer to an introduction. */
export interface IntroductionReply extends Envelope {
  readonly type: 'introduction-reply';
  readonly lastLogIndex: number;
  readonly founders: number;
  /** 0 while unknown */
  readonly leaderId: NodeId;
  /** the sender's incarnation in its configuration; 0: not in it */
  readonly knownIncarnation: Incarnation;
}

/** All messages between nodes; no field's meaning depends on another's value. */
export type Message =
  | RequestPreVote
  | PreVoteReply
  | RequestVote
  | RequestVoteReply
  | AppendEntries
  | AppendEntriesAccepted
  | AppendEntriesRefused
  | SnapshotChunk
  | SnapshotChunkReply
  | TimeoutNow
  | ReadIndexRequest
  | ReadIndexReply
  | Introduction
  | IntroductionReply;
