import type { JsonValue } from '@concordat/foundation';
import type { Ballot } from '../ballots/ballot.js';
import type { LockRecord } from './locks/lock-records.js';
import type {
  AbortCause,
  AcceptorLoss,
  BranchEnd,
  BranchError,
  BranchId,
  BranchSpecification,
  Decision,
  Protocol,
  RulingAction,
  TransactionId,
  Vote,
} from '../vocabulary/types.js';

/** An idempotency key (with authentication, in the scope of its principal), and the SHA-256 of the canonical body of its request. */
export interface IdempotencyClaim {
  readonly key: string;
  readonly bodyHash: string;
}

/** Opens a transaction. A one-shot one is `closed` at once: its branches never change. */
export interface BeginRecord {
  readonly type: 'begin';
  readonly transactionId: TransactionId;
  readonly protocol: Protocol;
  readonly branches: readonly BranchSpecification[];
  readonly closed: boolean;
  /** the commit is left to this branch (protocol 4.7): `Begin` and `Delegate` in one record */
  readonly delegateTo?: BranchId;
  readonly at: number;
  readonly deadline: number;
  readonly metadata: Readonly<Record<string, JsonValue>>;
  /** of the client's trace (W3C); sent along with the work, and of no other effect */
  readonly traceparent?: string;
  /** the principal who began it; absent without authentication, and in records of versions without owners */
  readonly owner?: string;
  /**
   * SHA-256 (base64url) of the secret by which participants show that they were called in it; absent without one, and in
   * records of versions without invitations
   */
  readonly invitation?: string;
  readonly idempotency?: IdempotencyClaim;
}

/** Adds a branch to an open transaction, or operations to its participant's branch. */
export interface EnlistRecord {
  readonly type: 'enlist';
  readonly transactionId: TransactionId;
  readonly branch: BranchSpecification;
  readonly at: number;
  readonly idempotency?: IdempotencyClaim;
}

/** The client requested the commit: the set of branches is closed, and a 202 is a promise. */
export interface CommitRequestedRecord {
  readonly type: 'commit-requested';
  readonly transactionId: TransactionId;
  /** the commit is left to this branch (protocol 4.7) */
  readonly delegateTo?: BranchId;
  /** enlisted by the request itself, in records before this one: it is refused without them */
  readonly branchIds?: readonly BranchId[];
  readonly at: number;
}

export interface BranchReport {
  readonly branchId: BranchId;
  readonly vote: Vote;
  readonly results?: readonly JsonValue[];
  readonly error?: BranchError;
}

/**
 * Opens a ballot of the coordinator group for a transaction in three phases, before its first message is sent (protocol
 * section 6). Ballot 0 proposes commit and needs all votes; a later one belongs to the leader that logged it.
 */
export interface PreCommitRecord {
  readonly type: 'pre-commit';
  readonly transactionId: TransactionId;
  readonly ballot: Ballot;
  /** for ballot 0: every vote, with the handlers' results */
  readonly reports: readonly BranchReport[];
  readonly at: number;
}

/**
 * What decided a transaction with a ballot in the log: a majority accepted the coordinators' ballot, or a branch
 * reported what the branches decided among themselves.
 */
export type BallotBasis =
  | { readonly type: 'ballot'; readonly ballot: Ballot; readonly acceptedBy: readonly BranchId[] }
  | { readonly type: 'branches'; readonly toldBy: BranchId };

/** A branch whose database lost something that it needs as an acceptor. */
export interface BranchLoss {
  readonly branchId: BranchId;
  readonly loss: AcceptorLoss;
}

/** The decision. The first one in the log wins; a later one changes nothing and returns the first. */
export interface DecideRecord {
  readonly type: 'decide';
  readonly transactionId: TransactionId;
  readonly decision: Decision;
  /** every vote the leader has; a commit needs `yes` or `read-only` of every branch */
  readonly reports: readonly BranchReport[];
  /** for an abort */
  readonly cause?: AbortCause;
  /** how the delegated branch ended (protocol 4.7) */
  readonly delegatedEnd?: BranchEnd;
  /** for a transaction with a ballot in the log */
  readonly basis?: BallotBasis;
  /** acceptors whose databases lost their last writes, or were replaced */
  readonly losses?: readonly BranchLoss[];
  readonly at: number;
}

/**
 * An operator's ruling (protocol section 2), kept with its transaction in any case. On an undecided transaction it is
 * the decision. On a decided one it ends a single branch against the decision, or gives branches up. `judgeRuling` says
 * what is refused.
 */
export interface ResolveRecord {
  readonly type: 'resolve';
  readonly transactionId: TransactionId;
  /** undefined: the whole transaction */
  readonly branchId?: BranchId;
  readonly action: RulingAction;
  readonly operator: string;
  readonly reason: string;
  readonly force: boolean;
  /** every vote the leader has, in case the ruling becomes the decision */
  readonly reports: readonly BranchReport[];
  /** of the branch; only for a transaction older than the retention */
  readonly participant?: string;
  readonly at: number;
  readonly idempotency?: IdempotencyClaim;
}

export interface BranchDone {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly end: BranchEnd;
}

/**
 * Branches that have ended, collected over many transactions. A transaction whose last branch is among them ends with
 * this record (`End` is not a record of its own, see docs/divergence.md). Without items it only advances log time, so
 * that an idle log makes no step, or says what is published.
 */
export interface BranchesDoneRecord {
  readonly type: 'branches-done';
  readonly items: readonly BranchDone[];
  /** the outcomes of everything that ended by this log index are published */
  readonly publishedIndex: number;
  readonly at: number;
}

export interface ParticipantRecord {
  readonly type: 'participant';
  readonly name: string;
  readonly operations: readonly string[];
  readonly at: number;
}

/**
 * Drops ended transactions and idempotency keys that ended before a time (milliseconds since 1970). Refused after a
 * recent step of log time: then nobody knows how old they are.
 */
export interface ExpireRecord {
  readonly type: 'expire';
  readonly before: number;
  /** there are more than the maximum: the oldest are dropped at any age */
  readonly crowded?: true;
  /** absent in records of versions without log time */
  readonly at?: number;
}

/**
 * The birth of the group; the first one in the log counts. Nothing can be presumed about older transactions (the group
 * lost its data, say).
 */
export interface GroupBornRecord {
  readonly type: 'group-born';
  readonly at: number;
}

/** What is about transactions, and about the group itself. */
export type DecisionRecord =
  | BeginRecord
  | EnlistRecord
  | CommitRequestedRecord
  | PreCommitRecord
  | DecideRecord
  | ResolveRecord
  | BranchesDoneRecord
  | ParticipantRecord
  | ExpireRecord
  | GroupBornRecord;

export type LogRecord = DecisionRecord | LockRecord;
