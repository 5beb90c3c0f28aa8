import type { Address } from '@concordat/foundation';

/** `leaving`: a voter until the current membership change completes. */
export type MemberRole = 'voter' | 'learner' | 'leaving';

/** Figures of the connection from this node to another one, since this node started. */
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
  /** `http://host:port` where its clients reach it, or https */
  readonly httpUrl: string;
  /** its log is known to agree with the leader's up to this index; null where only the leader knows */
  readonly matchIndex: number | null;
  /** log entries it lacks; null where only the leader knows */
  readonly lag: number | null;
  /** how the leader sends it the log; null on the leader itself and on other nodes */
  readonly replication: 'probe' | 'replicate' | 'snapshot' | null;
  readonly healthy: boolean;
  /** of the data directory whose vote counts, twelve hexadecimal digits; null for a learner that has never answered */
  readonly incarnation: string | null;
  /** it lost its directory: a learner until it has caught up, then a voter again without a request */
  readonly returning: boolean;
  /** null for this node itself, and where nothing is measured */
  readonly connection: ConnectionView | null;
}

/** The group from the view of one node. */
export interface ClusterView {
  readonly clusterName: string;
  /** `host:port` where participants connect directly; null when this node accepts no streams */
  readonly directAddress: string | null;
  /** a random number from the founding of the group; null on a node that belongs to no group yet */
  readonly clusterId: string | null;
  readonly nodeId: number;
  /** of this node's data directory */
  readonly incarnation: string;
  /** membership of this node; it may vote only as a `member` with the incarnation that the group knows */
  readonly standing: 'member' | 'founding' | 'joining' | 'returning' | 'removed';
  /** why this node is no member or the group has no leader, and what to do; null when neither is so */
  readonly obstacle: string | null;
  /** members that returned without their data directory, or run as two processes; they have no vote */
  readonly forgetful: readonly number[];
  readonly leaderId: number | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lastIndex: number;
  readonly changing: boolean;
  /** the node to which this node is transferring the leadership */
  readonly transferTarget: number | null;
  /** why the disk of this node counts as full; null when it does not */
  readonly diskFullReason: string | null;
  /** Raft messages that contradicted the protocol and were ignored since this node started */
  readonly refusedMessages: number;
  /** Raft messages for another data directory of this node, or from another group, since this node started */
  readonly misdirectedMessages: number;
  /** from the newest configuration in this node's log; empty on a node that was not added yet */
  readonly members: readonly ClusterMember[];
}

/** Something that a node needs and does not have. */
export interface Lack {
  readonly what: 'membership' | 'leader' | 'disk' | 'broker';
  /** a sentence for people */
  readonly reason: string;
}

/** The membership that a node should have. */
export interface MemberRequest {
  readonly nodeId: number;
  readonly raft: Address;
  readonly http: Address;
  readonly role: 'voter' | 'learner';
  /** this member leaves the group in the same step in which the new voter joins */
  readonly replaces?: number;
}

/**
 * The group: its state, and changes of it. Only the leader makes changes; other nodes reject with
 * `LogUnavailableError`. Rejections are `CodedError`s that a client may see.
 */
export interface ClusterApi {
  view(): ClusterView;
  /** the same after this node has applied what it knows to be committed */
  currentView(): Promise<ClusterView>;
  /** whether this node leads and its own no-op is applied */
  isLeader(): boolean;
  /** why this node cannot serve: it does not belong to the group; undefined when it does */
  exclusion(): string | undefined;
  /** `http://host:port` of the leader's REST interface; undefined when none is known or this node leads */
  leaderHttpUrl(): string | undefined;
  /** Resolves with true as soon as a leader is known (this node or another), with false after the timeout. */
  waitForLeader(timeoutMs: number): Promise<boolean>;
  /** What the node lacks. Empty when it belongs to the group, knows a leader, has disk space and consumes replies. */
  lacks(): readonly Lack[];
  /**
   * Adds a node to the group, or changes a member's role. A new voter is a learner first; the call waits until it has
   * caught up.
   *
   * @returns whether the node was added; false: it was a member before
   * @throws MemberConflictError, MemberNotFoundError, MemberNotCaughtUpError (it stays a learner; the same request
   *   continues), MembershipChangingError, LastVoterError, LogUnavailableError, OutcomeUnknownError
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
