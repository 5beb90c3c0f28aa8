import type { Clock, Logger, Random } from '@concordat/foundation';
import type { RaftRole } from '../core/raft-core.js';
import type { NodeId } from '../core/types.js';
import type { RaftStorage, RaftTransport, StateMachine } from './ports.js';

export interface RaftNodeOptions<Result> {
  readonly nodeId: NodeId;
  /** every voter of the group, this node among them */
  readonly voters: readonly NodeId[];
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
  /** what happens when the node cannot go on (disk failed, state machine threw); default: logged only */
  readonly onFatal?: (error: Error) => void;
}

export type { RaftRole };

export interface PeerStatus {
  readonly nodeId: NodeId;
  readonly matchIndex: number;
  /** answered within the last election timeout (as seen by the leader; by the transport elsewhere) */
  readonly healthy: boolean;
}

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
  readonly voters: readonly NodeId[];
  readonly peers: readonly PeerStatus[];
}

export interface Committed<Result> {
  readonly index: number;
  readonly term: number;
  readonly result: Result;
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
  /** What this node knows now. */
  status(): RaftStatus;
  /** Called after each change of role, term, leader or `leaderReady`; the function returned removes it. */
  onStatusChange(listener: (status: RaftStatus) => void): () => void;
  /** Stops cleanly: a leader first asks its most advanced follower to take over (thesis, 3.10); pending proposals end as unknown, storage and transport are closed. */
  stop(): Promise<void>;
}
