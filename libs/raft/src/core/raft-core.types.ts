import type { Random } from '@concordat/foundation';
import type {
  Configuration,
  Entry,
  GroupId,
  HardState,
  Incarnation,
  MemberDescription,
  NodeId,
  SnapshotMetadata,
} from './types.js';

/** `pre-candidate` asks whether an election could be won before it raises the term (thesis, 9.6). */
export type RaftRole = 'leader' | 'follower' | 'candidate' | 'pre-candidate';

/** Bounds of batches, windows and queues; each has a default. */
export interface CoreLimits {
  /** bytes of entries per AppendEntries, 1 MiB */
  readonly maximumMessageBytes: number;
  /** AppendEntries with entries in flight to one follower, 128 */
  readonly maximumInflightMessages: number;
  /**
   * While this many AppendEntries are in flight to a follower, a further one is sent only with at least `batchEntries`
   * entries; fewer wait for an answer. 1, so that under load many proposals share one message, one write of the
   * follower and one answer.
   */
  readonly eagerMessages: number;
  /** entries that are worth a message of their own at any time, 256 */
  readonly batchEntries: number;
  /** bytes of entries in flight to one follower, 16 MiB */
  readonly maximumInflightBytes: number;
  /** committed entries that are taken to be applied at a time, 256 */
  readonly maximumApplyEntries: number;
  /** and bytes of them, 1 MiB; a single one may be larger */
  readonly maximumApplyBytes: number;
  /** bytes of uncommitted entries that a leader accepts, 64 MiB; a single one may be larger */
  readonly maximumUncommittedBytes: number;
  /** bytes of a snapshot per message, 512 KiB */
  readonly snapshotChunkBytes: number;
  /** pieces of a snapshot in flight to one follower, 8 */
  readonly maximumInflightChunks: number;
  /** waiting reads of one follower at the leader, 256; beyond, the oldest are dropped and asked again */
  readonly maximumPendingReads: number;
}

/** The default of each limit. */
export const DEFAULT_LIMITS: CoreLimits = {
  maximumMessageBytes: 1024 * 1024,
  maximumInflightMessages: 128,
  eagerMessages: 1,
  batchEntries: 256,
  maximumInflightBytes: 16 * 1024 * 1024,
  maximumApplyEntries: 256,
  maximumApplyBytes: 1024 * 1024,
  maximumUncommittedBytes: 64 * 1024 * 1024,
  snapshotChunkBytes: 512 * 1024,
  maximumInflightChunks: 8,
  maximumPendingReads: 256,
};

/** The identity, the stored state and the timing of a core. */
export interface RaftCoreOptions {
  readonly nodeId: NodeId;
  /** of the node's directory */
  readonly incarnation: Incarnation;
  /** where a node with an empty log finds the group: this node and the others. Default: it waits for a leader */
  readonly members?: readonly MemberDescription[];
  /** whether a node with an empty log founds a group with `members`, once all of them agree. Default false */
  readonly founds?: boolean;
  /** the id of a group that this node founds: a new random one each time. Default: it founds none */
  readonly newGroupId?: GroupId;
  readonly random: Random;
  /** a follower waits between n and 2n-1 ticks for a leader */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** the stored one; for a new node term 0, vote 0, commitIndex 0 */
  readonly hardState: HardState;
  readonly snapshot?: SnapshotMetadata | undefined;
  readonly entries?: readonly Entry[];
  /** whether it votes within an election timeout of its start; not where leaders rely on leases. Default true */
  readonly votesAtOnce?: boolean;
  /**
   * whether a leader leaves out a heartbeat to a follower that got another message within the last `heartbeatTicks`.
   * The longest time without a message is then almost one tick longer. Default false
   */
  readonly sparesHeartbeats?: boolean;
  readonly limits?: Partial<CoreLimits>;
}

/** A core's whole state in plain values, for golden scripts, checkers and debugging. */
export interface CoreInspection {
  readonly role: RaftRole;
  readonly term: number;
  readonly vote: NodeId;
  readonly leaderId: NodeId | undefined;
  readonly startIndex: number;
  readonly lastIndex: number;
  readonly persistedIndex: number;
  readonly commitIndex: number;
  readonly configuration: Configuration;
  /** index of the configuration's entry; 0 or a snapshot's for the first one */
  readonly configurationIndex: number;
  readonly transferTarget: NodeId | undefined;
  readonly followers: readonly FollowerInspection[];
}

/** A leader's view of one follower; `caughtUp` as a promotion requires it (thesis, section 4.2.1). */
export interface FollowerInspection {
  readonly nodeId: NodeId;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly matchIndex: number;
  readonly nextIndex: number;
  readonly inflightMessages: number;
  readonly active: boolean;
  readonly caughtUp: boolean;
}
