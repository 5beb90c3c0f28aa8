import type { Clock, Logger, Random } from '@concordat/foundation';
import type { MembershipChange } from '../core/membership/membership.js';
import type { ProgressState } from '../core/replication/progress.js';
import type { CoreLimits, RaftRole } from '../core/raft-core.types.js';
import type { Standing } from '../core/membership/standing.js';
import type { Configuration, MemberDescription, NodeId } from '../core/types.js';
import type { PeerMetrics, RaftStorage, RaftTransport, StateMachine } from './ports.js';

/** What a node is made from: its place in the group, its ports, and its measures of time and size. */
export interface RaftNodeOptions<Result> {
  readonly nodeId: NodeId;
  /**
   * The group as it begins, this node among its voters: the same on every one of them. It is founded once all of them
   * have been heard and none has a past; afterwards the log says who belongs to the group, and this only says where a
   * node whose storage is empty finds it.
   */
  readonly members: readonly MemberDescription[];
  /**
   * This node founds no group: it waits until a leader has added it, or has taken it back if its storage was lost, and
   * `members` only say where the group is. Looked at only while its storage is empty. Default false.
   */
  readonly join?: boolean;
  readonly storage: RaftStorage;
  readonly transport: RaftTransport;
  readonly stateMachine: StateMachine<Result>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
  /** milliseconds per tick, default 50 */
  readonly tickMs?: number;
  /** ticks without a leader before an election starts; each wait is drawn from [n, 2n). Default 10 */
  readonly electionTicks?: number;
  /** ticks between heartbeats, default 1 */
  readonly heartbeatTicks?: number;
  /** a snapshot is taken when this many bytes of entries were applied since the last one (and at least as many
   * as that snapshot was long), default 16 MiB */
  readonly snapshotAfterBytes?: number;
  /** … or this many entries, default 1,000,000 */
  readonly snapshotAfterEntries?: number;
  /**
   * Lets a leader answer `readIndex` without a round while a quorum has heard from it lately (thesis, 6.4.1). Sound
   * only while no clock of the group runs faster than another by more than `maximumClockDrift`; every node of a group
   * must have the same setting, because a voter then does not vote within an election timeout of its start.
   * Default: off.
   */
  readonly leaseReads?: { readonly maximumClockDrift: number };
  /** sizes of messages, windows and queues; each has a default */
  readonly limits?: Partial<CoreLimits>;
  /** what happens when the node cannot go on (disk failed, state machine threw); default: logged only */
  readonly onFatal?: (error: Error) => void;
}

export type { RaftRole };

/** What a node knows of another member. */
export interface PeerStatus {
  readonly nodeId: NodeId;
  readonly matchIndex: number;
  /** how the leader replicates to it; undefined on other nodes */
  readonly state: ProgressState | undefined;
  /** answered within the last election timeout (as seen by the leader; by the transport elsewhere) */
  readonly healthy: boolean;
  readonly metrics: PeerMetrics | undefined;
}

/** What a node knows now, of itself and of its group. */
export interface RaftStatus {
  readonly nodeId: NodeId;
  readonly role: RaftRole;
  readonly term: number;
  /** undefined while none is known */
  readonly leaderId: NodeId | undefined;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lastIndex: number;
  /** leader only: its own no-op is committed and applied, so it may act (paper, section 8) */
  readonly leaderReady: boolean;
  /** in force on this node: the last one in its log, committed or not */
  readonly configuration: Configuration;
  /** whether the group knows this node's directory, and what keeps it from that */
  readonly standing: Standing;
  /** all members but this node */
  readonly peers: readonly PeerStatus[];
  /** leader only: to whom leadership is being transferred */
  readonly transferTarget: NodeId | undefined;
  /** why the disk takes no more proposals; undefined while it does */
  readonly diskFullReason: string | undefined;
  /** messages that contradicted the protocol and were ignored, since the start */
  readonly refusedMessages: number;
  /** messages that were meant for another directory of this node, or came from another group, since the start */
  readonly misdirectedMessages: number;
}

/** Where a proposal stands in the log, and what the state machine made of it. */
export interface Committed<Result> {
  readonly index: number;
  readonly term: number;
  readonly result: Result;
}

/** How patient a change of the membership is. */
export interface MembershipOptions {
  /** how long a learner that is to be promoted may take to catch up, in milliseconds; default 60,000 */
  readonly catchUpTimeoutMs?: number;
}

/**
 * A running node. All methods may be called at any time.
 *
 * `propose` has exactly three ends: it resolves (committed and applied here), rejects with `NotLeaderError`
 * or `ProposalDroppedError` (definitely not in the log, and never will be), or rejects with
 * `ProposalUnknownError` (leadership was lost on the way: it may be committed or not, ask the state later).
 */
export interface RaftNodeApi<Result> {
  start(): Promise<void>;
  propose(command: Uint8Array): Promise<Committed<Result>>;
  /**
   * Confirms by a round of heartbeats with a quorum that this node still leads, and waits until everything
   * that was committed when the call began is applied here: a read of the state machine right after is
   * linearizable. Calls made while a round is under way share the next one.
   * Rejects with NotLeaderError when it does not lead or stops leading.
   */
  confirmLeadership(): Promise<void>;
  /**
   * The same on any member (thesis, 6.4): a follower asks the leader for the index and waits until it has applied
   * it; a read of this node's state machine right after is linearizable. Resolves with the index.
   * Rejects with NotLeaderError when no leader is known, or when leadership changes before the answer.
   */
  readIndex(): Promise<number>;
  /**
   * Leader only: brings `target` up to date and makes it stand for election; proposals are refused meanwhile.
   * Resolves when another node leads.
   * Rejects with TransferRefusedError when nothing was begun, TransferFailedError when the target did not take over
   * within an election timeout (this node leads on, then).
   */
  transferLeadership(target: NodeId): Promise<void>;
  /**
   * Leader only: changes the group in one step, by joint consensus where voters change (paper, section 6). Resolves
   * with the configuration when it is in force, committed and not joint any more. A learner that is to be promoted
   * is waited for until it has caught up.
   * Rejects with MembershipRefusedError (nothing happened), NotLeaderError (nothing happened) or
   * ProposalUnknownError (leadership was lost: look at the configuration of the next leader).
   */
  changeMembership(changes: readonly MembershipChange[], options?: MembershipOptions): Promise<Configuration>;
  /** What this node knows now. */
  status(): RaftStatus;
  /** Called after each change of role, term, leader, configuration or `leaderReady`; the function returned removes it. */
  onStatusChange(listener: (status: RaftStatus) => void): () => void;
  /** Stops cleanly: a leader first asks its most advanced follower to take over (thesis, 3.10); pending proposals end as unknown, storage and transport are closed. */
  stop(): Promise<void>;
}
