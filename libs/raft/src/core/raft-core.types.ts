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

/** `pre-candidate` asks whether an election would make sense before it raises the term (thesis, 9.6). */
export type RaftRole = 'leader' | 'follower' | 'candidate' | 'pre-candidate';

/** Bounds of batches, windows and queues; each has a default. */
export interface CoreLimits {
  /** bytes of entries per AppendEntries, 1 MiB */
  readonly maximumMessageBytes: number;
  /** AppendEntries with entries on their way to one follower, 128 */
  readonly maximumInflightMessages: number;
  /**
   * While this many AppendEntries are on their way to a follower, a further one is sent only with at least
   * `batchEntries` entries; fewer gather until an answer comes. 1, so that under load many proposals share one
   * message, one write of the follower and one answer.
   */
  readonly eagerMessages: number;
  /** entries that are worth a message of their own at any time, 256 */
  readonly batchEntries: number;
  /** bytes of entries on their way to one follower, 16 MiB */
  readonly maximumInflightBytes: number;
  /** bytes of committed entries per `Ready`, 4 MiB */
  readonly maximumApplyBytes: number;
  /** bytes of entries a leader takes on that are not committed yet, 64 MiB; one alone may be larger */
  readonly maximumUncommittedBytes: number;
  /** bytes of a snapshot per message, 512 KiB */
  readonly snapshotChunkBytes: number;
  /** pieces of a snapshot on their way to one follower, 8 */
  readonly maximumInflightChunks: number;
  /** reads of one follower that a leader keeps waiting, 256; the oldest give way and are asked again */
  readonly maximumPendingReads: number;
}

/** What holds for a limit that is not given. */
export const DEFAULT_LIMITS: CoreLimits = {
  maximumMessageBytes: 1024 * 1024,
  maximumInflightMessages: 128,
  eagerMessages: 1,
  batchEntries: 256,
  maximumInflightBytes: 16 * 1024 * 1024,
  maximumApplyBytes: 4 * 1024 * 1024,
  maximumUncommittedBytes: 64 * 1024 * 1024,
  snapshotChunkBytes: 512 * 1024,
  maximumInflightChunks: 8,
  maximumPendingReads: 256,
};

/** What a core is made from: who it is, what its disk had, and how time is measured. */
export interface RaftCoreOptions {
  readonly nodeId: NodeId;
  /** of the node's directory */
  readonly incarnation: Incarnation;
  /** where a node with an empty log finds the group: this node and the others. Default: nowhere, it waits for a leader */
  readonly members?: readonly MemberDescription[];
  /** whether a node with an empty log founds a group with `members`, once all of them agree. Default false */
  readonly founds?: boolean;
  /** the id that a group gets if this node founds one: random, a new one each time. Default: it founds none */
  readonly newGroupId?: GroupId;
  readonly random: Random;
  /** a follower waits between n and 2n-1 ticks for a leader */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** what the disk had; for a new node term 0, vote 0, commitIndex 0 */
  readonly hardState: HardState;
  readonly snapshot?: SnapshotMetadata | undefined;
  readonly entries?: readonly Entry[];
  /** whether it votes within an election timeout of its start; not where leaders rely on leases. Default true */
  readonly votesAtOnce?: boolean;
  readonly limits?: Partial<CoreLimits>;
}

/** A core's whole state in plain values, for golden scripts, checkers and whoever debugs. */
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
  /** index of the entry the configuration stands in; 0 or a snapshot's for the one it began with */
  readonly configurationIndex: number;
  readonly transferTarget: NodeId | undefined;
  readonly followers: readonly FollowerInspection[];
}

/** A leader's view of one follower; `caughtUp` as a promotion demands it (thesis, section 4.2.1). */
export interface FollowerInspection {
  readonly nodeId: NodeId;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly matchIndex: number;
  readonly nextIndex: number;
  readonly inflightMessages: number;
  readonly active: boolean;
  readonly caughtUp: boolean;
}
