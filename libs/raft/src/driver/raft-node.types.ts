import type { Clock, Logger, Random } from '@concordat/foundation';
import type { MembershipChange } from '../core/membership/membership-change.js';
import type { ProgressState } from '../core/replication/progress.js';
import type { CoreLimits, RaftRole } from '../core/raft-core.types.js';
import type { Standing } from '../core/membership/standing.js';
import type { Configuration, MemberDescription, NodeId } from '../core/types.js';
import type { PeerMetrics, RaftStorage, RaftTransport, StateMachine } from './ports.js';

/** The identity of a node, its ports, and its limits of time and size. */
export interface RaftNodeOptions<Result> {
  readonly nodeId: NodeId;
  /**
   * The first members of the group, this node among its voters: the same list on all of them. The group is founded once
   * all of them are connected and none has a log; afterwards the log has the membership, and a node with an empty
   * storage finds the group by this list.
   */
  readonly members: readonly MemberDescription[];
  /**
   * This node founds no group: it waits until a leader adds it, or takes it back after a loss of its storage; `members`
   * only say where the group is. Used only while its storage is empty. Default false.
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
  /** ticks without a leader before an election; each timeout is drawn from [n, 2n). Default 10 */
  readonly electionTicks?: number;
  /** ticks between heartbeats, default 1 */
  readonly heartbeatTicks?: number;
  /**
   * a snapshot is taken when this many bytes of entries were applied since the last one (and at least the size of
   * that), default 16 MiB
   */
  readonly snapshotAfterBytes?: number;
  /** … or this many entries, default 1,000,000 */
  readonly snapshotAfterEntries?: number;
  /**
   * Lets a leader answer `readIndex` without a round if a quorum has answered recently (thesis, 6.4.1). Safe only while
   * no clock of the group is faster than another by more than `maximumClockDrift`. Every node of a group must have the
   * same setting, because it stops voters from voting within an election timeout of their start. Default: off.
   */
  readonly leaseReads?: { readonly maximumClockDrift: number };
  /**
   * Lets a follower leave committed entries in the log for up to a tick, and apply them together, while nobody waits for
   * its state. Default false: every node applies at once.
   */
  readonly lazyFollowers?: boolean;
  /** sizes of messages, windows and queues; each has a default */
  readonly limits?: Partial<CoreLimits>;
  /** called when the node cannot continue (disk failed, state machine threw); default: logged only */
  readonly onFatal?: (error: Error) => void;
}

export type { RaftRole };

/** A node's knowledge of another member. */
export interface PeerStatus {
  readonly nodeId: NodeId;
  readonly matchIndex: number;
  /** how the leader replicates to it; undefined on other nodes */
  readonly state: ProgressState | undefined;
  /** answered within the last election timeout (the leader; on other nodes the transport's view) */
  readonly healthy: boolean;
  readonly metrics: PeerMetrics | undefined;
}

/** A node's status, with its view of the group. */
export interface RaftStatus {
  readonly nodeId: NodeId;
  readonly role: RaftRole;
  readonly term: number;
  /** undefined while unknown */
  readonly leaderId: NodeId | undefined;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lastIndex: number;
  /** leader only: its own no-op is committed and applied, so it may act (paper, section 8) */
  readonly leaderReady: boolean;
  /** the configuration in force: the last one in the log, committed or not */
  readonly configuration: Configuration;
  /** whether the group knows this node's directory, and if not, why */
  readonly standing: Standing;
  /** all members but this node */
  readonly peers: readonly PeerStatus[];
  /** leader only: the target of the transfer in progress */
  readonly transferTarget: NodeId | undefined;
  /** why the disk counts as full; undefined when it does not */
  readonly diskFullReason: string | undefined;
  /** messages that contradicted the protocol and were ignored, since the start */
  readonly refusedMessages: number;
  /** ignored messages for another directory of this node, or from another group, since the start */
  readonly misdirectedMessages: number;
}

/** The position of a proposal in the log, and the state machine's result. */
export interface Committed<Result> {
  readonly index: number;
  readonly term: number;
  readonly result: Result;
}

/** Options of a membership change. */
export interface MembershipOptions {
  /** how long a learner to be promoted may take to catch up, in milliseconds; default 60,000 */
  readonly catchUpTimeoutMs?: number;
}

/**
 * A running node. All methods may be called at any time.
 *
 * `propose` ends in exactly one of three ways: it resolves (committed and applied here), rejects with `NotLeaderError`
 * or `ProposalDroppedError` (definitely not in the log, now or later), or rejects with `ProposalUnknownError`
 * (leadership was lost: it may be committed or not; read the state later).
 */
export interface RaftNodeApi<Result> {
  start(): Promise<void>;
  propose(command: Uint8Array): Promise<Committed<Result>>;
  /**
   * Confirms by a round of heartbeats with a quorum that this node still leads, and waits until everything that was
   * committed when the call began is applied here: a read of the state machine right after is linearizable. Calls
   * during a round share the next one. Rejects with NotLeaderError when it does not lead or stops leading.
   */
  confirmLeadership(): Promise<void>;
  /**
   * The same on any member (thesis, 6.4): a follower asks the leader for the index and waits until it has applied it; a
   * read of this node's state machine right after is linearizable. Resolves with the index. Rejects with NotLeaderError
   * when no leader is known, or when leadership changes before the answer.
   */
  readIndex(): Promise<number>;
  /**
   * Resolves when this node has applied what it knew to be committed, and durable here, when the call began; also when
   * it stops first. Only with `lazyFollowers` is there something to wait for, as a rule.
   */
  caughtUp(): Promise<void>;
  /** From now on this node applies at once, also as a follower. Returns the function that ends this. */
  applyPromptly(): () => void;
  /**
   * Leader only: brings `target` up to date and makes it stand for election; proposals are refused meanwhile. Resolves
   * when another node leads. Rejects with TransferRefusedError when nothing was begun, with TransferFailedError when
   * the target did not take over within an election timeout (then this node still leads).
   */
  transferLeadership(target: NodeId): Promise<void>;
  /**
   * Leader only: changes the group in one step, by joint consensus where voters change (paper, section 6). Resolves
   * with the configuration when it is in force, committed and no longer joint. Waits for a learner to be promoted until
   * it has caught up. Rejects with MembershipRefusedError (nothing happened), NotLeaderError (nothing happened) or
   * ProposalUnknownError (leadership was lost: see the configuration of the next leader).
   */
  changeMembership(changes: readonly MembershipChange[], options?: MembershipOptions): Promise<Configuration>;
  status(): RaftStatus;
  /**
   * Called after each change of role, term, leader, configuration or `leaderReady`. Returns the function that
   * unsubscribes.
   */
  onStatusChange(listener: (status: RaftStatus) => void): () => void;
  /**
   * Stops cleanly: a leader first asks its most advanced follower to take over (thesis, 3.10); pending proposals end as
   * unknown, storage and transport are closed.
   */
  stop(): Promise<void>;
}
