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
 * The version of every message below; a reader refuses others. On the wire each message also names its cluster, which
 * the codec adds and checks.
 */
export const MESSAGE_VERSION = 1;

export interface BranchAddress {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly participant: string;
}

interface AnyPrepareMessage extends BranchAddress {
  readonly type: 'prepare';
  readonly operations: readonly OperationCall[];
  /** milliseconds since 1970; no lock wait goes beyond it */
  readonly deadline: number;
  /** 0 for the first sending; otherwise the participant may have seen it before */
  readonly attempt: number;
  /** fences the prepares of deposed leaders (protocol section 7) */
  readonly epoch: LeaderEpoch;
  /**
   * the instance whose open session has done the work; no other instance may answer. There are no operations then, and
   * no vote of the enlistment
   */
  readonly heldBy?: string;
  /** of the client's trace (W3C), for the spans of the handlers; only with operations */
  readonly traceparent?: string;
}

export interface TwoPhasePrepareMessage extends AnyPrepareMessage {
  readonly protocol: '2pc';
}

export interface ThreePhasePrepareMessage extends AnyPrepareMessage {
  readonly protocol: '3pc';
  /** all branches of the transaction, which decide among themselves when no coordinator answers */
  readonly acceptors: readonly Acceptor[];
  /** the service prepared the branch itself and enlisted it with this vote; no work is to be done */
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
  /** as in `PrepareMessage` */
  readonly traceparent?: string;
}

/** The decision; also the answer to an inquiry. Never fenced: a decision is unique. */
export interface DecisionMessage extends BranchAddress {
  readonly type: 'decision';
  readonly decision: Decision;
  readonly attempt: number;
  /** the instance that holds, or held, the branch's session; any other may carry the decision out as well */
  readonly heldBy?: string;
}

/**
 * An operator ends one branch against the decision. A message of its own, so that it is never taken for a second
 * decision. The branch answers `done` with a heuristic end, or with its earlier end.
 */
export interface OperatorRulingMessage extends BranchAddress {
  readonly type: 'ruling';
  readonly ruling: Decision;
  readonly attempt: number;
}

/** Answer to an inquiry about a transaction older than the retention: its decision is no longer known; an alert. */
export interface UnknownOldMessage extends BranchAddress {
  readonly type: 'unknown-old';
}

/**
 * Answer to an inquiry about an undecided transaction in three phases: a coordinator is there, so the branches need not
 * decide among themselves.
 */
export interface UndecidedMessage extends BranchAddress {
  readonly type: 'undecided';
}

/**
 * A participant tells itself that a branch has waited too long for a coordinator. It goes over the bus, because answers
 * to a ballot reach only the process that reads the transaction's partition: that one must open it.
 */
export interface TerminationDueMessage extends BranchAddress {
  readonly type: 'termination-due';
}

/** A proposer asks a branch (protocol section 6): the leader, or a branch that no coordinator answered. */
export interface BallotRequestMessage extends BranchAddress {
  readonly type: 'ballot-request';
  readonly request: BallotRequest;
  readonly acceptors: readonly Acceptor[];
  /** the branch that asks and gets the answer; without it the coordinators ask */
  readonly proposer?: Acceptor;
}

/** A branch answers a proposer; `proposer` as in the request. */
export interface BallotAnswerMessage extends BranchAddress {
  readonly type: 'ballot-answer';
  readonly answer: BallotAnswer;
  readonly proposer?: Acceptor;
}

/** What the branches decided among themselves; the coordinators log it. */
export interface BranchesDecidedMessage extends BranchAddress {
  readonly type: 'branches-decided';
  readonly decision: Decision;
  /** branches that had lost their votes, from the ballots of this branch; absent when there are none */
  readonly amnesiacs?: readonly BranchId[];
}

export interface VoteMessage extends BranchAddress {
  readonly type: 'vote';
  readonly vote: Vote;
  /** the handlers' results, one for each operation; empty for `no` */
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

/** The operations of a participant. Repeated periodically, so a lost one does not matter. */
export interface AnnounceMessage {
  readonly type: 'announce';
  readonly participant: string;
  /** the process, unique among the participant's live ones; absent: the participant has only one */
  readonly instance?: string;
  readonly operations: readonly string[];
  /** the process is stopping; it gets no more work */
  readonly leaving?: true;
  /**
   * its database was replaced: it abstains in three-phase transactions that began before this, in milliseconds since
   * 1970
   */
  readonly abstainsBefore?: number;
  /** which database it uses: the same text for all processes of a participant; absent where the server does not say */
  readonly database?: string;
}

/** One for each ended transaction, for any subscriber. May arrive twice, with the same content. */
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
