import type { Address } from '@concordat/foundation';

/** `leaving`: its vote counts until the change of the group that is under way is through. */
export type MemberRole = 'voter' | 'learner' | 'leaving';

/** What is known of the connection from this node to another one, since this node started. */
export interface ConnectionView {
  readonly connected: boolean;
  /** latest measured, in milliseconds; null before the first */
  readonly roundTripMs: number | null;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentMessages: number;
  readonly receivedMessages: number;
  readonly droppedMessages: number;
  /** waiting to be sent now */
  readonly bufferedBytes: number;
  readonly reconnects: number;
}

export interface ClusterMember {
  readonly nodeId: number;
  readonly role: MemberRole;
  readonly state: 'leader' | 'follower' | 'candidate' | 'unknown';
  /** `host:port` where its peers reach it */
  readonly raftUrl: string;
  /** `http://host:port` where its clients reach it */
  readonly httpUrl: string;
  /** up to where its log is known to agree with the leader's; null where only the leader knows */
  readonly matchIndex: number | null;
  /** log entries it lacks; null where only the leader knows */
  readonly lag: number | null;
  /** how the leader sends it the log; null on the leader itself and on other nodes */
  readonly replication: 'probe' | 'replicate' | 'snapshot' | null;
  readonly healthy: boolean;
  /** of the data directory whose vote counts, twelve hexadecimal digits; null for a learner that was not heard of yet */
  readonly incarnation: string | null;
  /** it has lost its directory and is a learner until it has caught up; then it votes again by itself */
  readonly returning: boolean;
  /** null for this node itself, and where nothing is measured */
  readonly connection: ConnectionView | null;
}

/** The group as one node sees it. */
export interface ClusterView {
  readonly clusterName: string;
  /** made once, when the group was founded; null on a node that belongs to none yet */
  readonly clusterId: string | null;
  readonly nodeId: number;
  /** of this node's data directory */
  readonly incarnation: string;
  /** where this node stands with the group; only a `member` whose incarnation is that of its membership has its rights */
  readonly standing: 'member' | 'founding' | 'joining' | 'returning' | 'removed';
  /** what keeps this node from being a member, or the group from a leader, and what to do; null when nothing does */
  readonly obstacle: string | null;
  /** members that have come back without their data directory, or have a second process beside them; without a vote */
  readonly forgetful: readonly number[];
  readonly leaderId: number | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lastIndex: number;
  /** a change of the voters is under way */
  readonly changing: boolean;
  /** to whom this node hands the leadership over just now */
  readonly transferTarget: number | null;
  /** why the disk of this node counts as full; null while there is room */
  readonly diskFullReason: string | null;
  /** Raft messages that contradicted the protocol and were ignored since this node started */
  readonly refusedMessages: number;
  /** Raft messages for another data directory of this node, or from another group, since this node started */
  readonly misdirectedMessages: number;
  /** as the newest configuration in the log of this node says; empty on a node that was not added yet */
  readonly members: readonly ClusterMember[];
}

/** Something that a node needs and does not have. */
export interface Lack {
  readonly what: 'membership' | 'leader' | 'disk' | 'broker';
  /** as a sentence, for people */
  readonly reason: string;
}

/** A node as it should belong to the group. */
export interface MemberRequest {
  readonly nodeId: number;
  readonly raft: Address;
  readonly http: Address;
  readonly role: 'voter' | 'learner';
  /** leaves the group in the same step in which the new voter joins */
  readonly replaces?: number;
}

/**
 * What the node tells about itself and its group, and how the group is changed. Changes must be asked of the leader;
 * elsewhere they reject with `LogUnavailableError`. Rejections are `CodedError`s that a client may see.
 */
export interface ClusterApi {
  view(): ClusterView;
  /** whether this node leads and may act (its own no-op is applied) */
  isLeader(): boolean;
  /** why this node cannot serve because it does not belong to the group; undefined when it does */
  exclusion(): string | undefined;
  /** `http://host:port` of the leader's REST interface; undefined when none is known or this node leads */
  leaderHttpUrl(): string | undefined;
  /** Resolves as soon as a leader is known (this node or another), or after the time with false. */
  waitForLeader(timeoutMs: number): Promise<boolean>;
  /** What the node lacks; nothing when it belongs to the group, knows a leader, has room and consumes replies. */
  lacks(): readonly Lack[];
  /**
   * Brings a node into the group as requested, or gives a member another role. A new voter is a learner first; it is
   * waited for until it has caught up.
   *
   * @returns whether the node was added; false: it belonged to the group before
   * @throws MemberConflictError, MemberNotFoundError, MemberNotCaughtUpError (it stays a learner, and the same request
   * goes on with it), MembershipChangingError, LastVoterError, LogUnavailableError, OutcomeUnknownError
   */
  setMember(request: MemberRequest, waitMs: number): Promise<{ readonly added: boolean; readonly view: ClusterView }>;
  /** @throws MemberNotFoundError, LastVoterError, MembershipChangingError, LogUnavailableError, … as above */
  removeMember(nodeId: number): Promise<ClusterView>;
  /**
   * Resolves when that node leads.
   *
   * @throws NotAVoterError, TransferInProgressError, TransferFailedError, LogUnavailableError
   */
  transferLeadership(nodeId: number): Promise<ClusterView>;
}

export const CLUSTER = Symbol('CLUSTER');
