import type { Open } from './shape.js';

/** A node of the group, as the answering node sees it. */
export interface Member {
  readonly nodeId: number;
  readonly role: Open<'voter' | 'learner' | 'leaving'>;
  readonly state: Open<'leader' | 'follower' | 'candidate' | 'unknown'>;
  readonly raftUrl: string;
  readonly httpUrl: string;
  /** the last log entry that it is known to have; only the leader knows */
  readonly matchIndex: number | null;
  readonly lag: number | null;
  readonly replication: Open<'probe' | 'replicate' | 'snapshot'> | null;
  readonly healthy: boolean;
  readonly incarnation: string | null;
  readonly returning: boolean;
  /** of the answering node to this one; null for itself */
  readonly connection: {
    readonly connected: boolean;
    readonly roundTripMs: number | null;
    readonly sentBytes: number;
    readonly receivedBytes: number;
    readonly sentMessages: number;
    readonly receivedMessages: number;
    readonly droppedMessages: number;
    readonly bufferedBytes: number;
    readonly reconnects: number;
  } | null;
}

/** The group of coordinators, as one of them sees it. */
export interface Cluster {
  readonly clusterName: string;
  /** where participants connect for messages without a broker; null when direct streams are off */
  readonly directAddress: string | null;
  readonly clusterId: string | null;
  /** the node that answered */
  readonly nodeId: number;
  readonly incarnation: string;
  readonly standing: Open<'member' | 'founding' | 'joining' | 'returning' | 'removed'>;
  /** why the node is no member */
  readonly obstacle: string | null;
  readonly forgetful: readonly number[];
  readonly leaderId: number | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lastIndex: number;
  /** a membership change is in progress */
  readonly changing: boolean;
  readonly transferTarget: number | null;
  readonly diskFullReason: string | null;
  readonly refusedMessages: number;
  readonly misdirectedMessages: number;
  readonly members: readonly Member[];
}

/** The membership that a node should have. */
export interface MemberChange {
  readonly nodeId: number;
  /** `host:port` where its peers reach it */
  readonly raftUrl: string;
  /** `http://host:port` where clients reach it */
  readonly httpUrl: string;
  readonly role: 'voter' | 'learner';
  /** leaves the group in the same step in which the new voter joins */
  readonly replaces?: number;
}
