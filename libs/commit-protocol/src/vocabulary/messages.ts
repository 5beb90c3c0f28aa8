import type { JsonValue } from '@concordat/foundation';
import type { Acceptor, BallotAnswer, BallotRequest } from '../ballots/ballot.js';
import type {
  BranchEnd,
  BranchError,
  BranchId,
  Decision,
  LeaderEpoch,
  OperationCall,
  Outcome,
  TransactionId,
  Vote,
} from './types.js';

/**
 * The version of every message below; a reader refuses others. On the wire each names its cluster as well, which the
 * codec adds and checks: nothing in the protocol can forget it.
 */
export const MESSAGE_VERSION = 1;

/** What every message about a branch names. */
export interface BranchAddress {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly participant: string;
}

interface AnyPrepareMessage extends BranchAddress {
  readonly type: 'prepare';
  readonly operations: readonly OperationCall[];
  /** milliseconds since 1970; no lock is awaited beyond it */
  readonly deadline: number;
  /** 0 for the first sending; more tells the participant that it may have seen this before */
  readonly attempt: number;
  /** fences the prepares of deposed leaders (protocol section 7) */
  readonly epoch: LeaderEpoch;
}

export interface TwoPhasePrepareMessage extends AnyPrepareMessage {
  readonly protocol: '2pc';
}

export interface ThreePhasePrepareMessage extends AnyPrepareMessage {
  readonly protocol: '3pc';
  /** all branches of the transaction, which decide among themselves when nobody else can */
  readonly acceptors: readonly Acceptor[];
  /** the branch was prepared by its service, which enlisted it with this vote; nothing is to be run */
  readonly enlistedVote?: Exclude<Vote, 'no'>;
}

/** Do the work, make it durable and vote. Sent again, with a higher `attempt`, until a vote arrives. */
export type PrepareMessage = TwoPhasePrepareMessage | ThreePhasePrepareMessage;

/** The commit is delegated: do the work and commit it in one local transaction (protocol 4.7). */
export interface CommitOnePhaseMessage extends BranchAddress {
  readonly type: 'commit-one-phase';
  readonly operations: readonly OperationCall[];
  readonly deadline: number;
  readonly attempt: number;
}

/** The decision; also the answer to an inquiry. Never fenced: a decision is unique. */
export interface DecisionMessage extends BranchAddress {
  readonly type: 'decision';
  readonly decision: Decision;
  readonly attempt: number;
}

/**
 * An operator ends one branch against the decision. A message of its own, so that it is never taken for a second
 * decision; the branch answers `done` with a heuristic end, or with the one it had before.
 */
export interface OperatorRulingMessage extends BranchAddress {
  readonly type: 'ruling';
  readonly ruling: Decision;
  readonly attempt: number;
}

/** Answer to an inquiry about a transaction older than the retention: nobody knows any more; an alert. */
export interface UnknownOldMessage extends BranchAddress {
  readonly type: 'unknown-old';
}

/**
 * Answer to an inquiry about a transaction in three phases that is not decided yet: a leader that knows it is there,
 * so its branches have no reason to decide among themselves.
 */
export interface UndecidedMessage extends BranchAddress {
  readonly type: 'undecided';
}

/**
 * A participant tells itself that a branch has waited too long for any coordinator. It goes over the bus, because the
 * answers to a ballot reach only the process that reads the transaction's partition: that one is to open it.
 */
export interface TerminationDueMessage extends BranchAddress {
  readonly type: 'termination-due';
}

/** A proposer asks a branch (protocol section 6): the leader, or a branch that has waited in vain for one. */
export interface BallotRequestMessage extends BranchAddress {
  readonly type: 'ballot-request';
  readonly request: BallotRequest;
  readonly acceptors: readonly Acceptor[];
  /** the branch that asks, to which the answer goes; without it the coordinators ask */
  readonly proposer?: Acceptor;
}

/** A branch answers a proposer; `proposer` as in the request. */
export interface BallotAnswerMessage extends BranchAddress {
  readonly type: 'ballot-answer';
  readonly answer: BallotAnswer;
  readonly proposer?: Acceptor;
}

/** The branches decided among themselves; for the coordinators, which log it. */
export interface BranchesDecidedMessage extends BranchAddress {
  readonly type: 'branches-decided';
  readonly decision: Decision;
  /** branches that had lost their votes, as it turned out in the ballots of this branch; absent when there is none */
  readonly amnesiacs?: readonly BranchId[];
}

export interface VoteMessage extends BranchAddress {
  readonly type: 'vote';
  readonly vote: Vote;
  /** what the handlers returned, one for each operation; empty for `no` */
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/** The branch has ended; also the answer to `commit-one-phase`, with the handlers' results. */
export interface DoneMessage extends BranchAddress {
  readonly type: 'done';
  readonly end: BranchEnd;
  readonly results?: readonly JsonValue[];
  readonly error?: BranchError;
}

/** A prepared branch has waited too long for its decision. */
export interface InquiryMessage extends BranchAddress {
  readonly type: 'inquiry';
  readonly gid: string;
}

/** A participant tells which operations it has; repeated now and then, so that a lost one does not matter. */
export interface AnnounceMessage {
  readonly type: 'announce';
  readonly participant: string;
  /** names the process: unique among those of the participant that live; without it the participant has only one */
  readonly instance?: string;
  readonly operations: readonly string[];
  /** the process stops; it gets no more work */
  readonly leaving?: true;
  /**
   * its database is not the one that it was, and says nothing of transactions in three phases that began before this,
   * in milliseconds since 1970
   */
  readonly abstainsBefore?: number;
}

/** One for each ended transaction, for anyone who listens. May come twice, with the same content. */
export interface OutcomeMessage {
  readonly type: 'outcome';
  readonly transactionId: TransactionId;
  readonly outcome: Outcome;
  readonly decidedAt: number;
  readonly endedAt: number;
  readonly participants: readonly string[];
}

/** Carried by the topic `prepare.<participant>`. */
export type WorkMessage = PrepareMessage | CommitOnePhaseMessage;
/** From the coordinators, carried by the topic `decide.<participant>`. */
export type DecideTopicMessage =
  BallotRequestMessage | DecisionMessage | OperatorRulingMessage | UndecidedMessage | UnknownOldMessage;
export type CoordinatorMessage = WorkMessage | DecideTopicMessage;
/** From a branch to a branch of its transaction, or to itself, carried by the topic `decide.<participant>`. */
export type PeerMessage = BallotRequestMessage | BallotAnswerMessage | DecisionMessage | TerminationDueMessage;
export type ParticipantMessage = CoordinatorMessage | PeerMessage;
/** Carried by the topic `replies`. */
export type ReplyMessage =
  BallotAnswerMessage | BranchesDecidedMessage | VoteMessage | DoneMessage | InquiryMessage | AnnounceMessage;
export type ProtocolMessage = ParticipantMessage | ReplyMessage | OutcomeMessage;
