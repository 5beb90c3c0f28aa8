import type { JsonValue } from '@concordat/foundation';
import type {
  Acceptor,
  BallotAnswer,
  BallotRequest,
  BranchEnd,
  BranchError,
  BranchId,
  Decision,
  OpenedBallot,
  TransactionId,
  Vote,
} from '@concordat/commit-protocol';
import type { TimeLimit } from './time-left.js';

export interface BranchIdentity {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
}

/** No handler and no lock wait goes beyond its limit. */
interface AnyBranchWork extends BranchIdentity, TimeLimit {
  /** its service has prepared it: it is read first, refused if missing, and never run without operations */
  readonly preparedByService: boolean;
}

/** Also the work that a service prepares itself, whatever the protocol: that vote is recorded at the leader's `prepare`. */
export interface TwoPhaseWork extends AnyBranchWork {
  readonly protocol: '2pc';
}

export interface ThreePhaseWork extends AnyBranchWork {
  readonly protocol: '3pc';
  /**
   * the leader has not sent it before, so most likely the database has no trace of it; not certain: messages may be
   * duplicated
   */
  readonly isFirstSending: boolean;
  /** all branches of the transaction; recorded with the vote before that is sent */
  readonly acceptors: readonly Acceptor[];
  /** the vote of the enlistment; `read-only` left nothing to look for */
  readonly enlistedVote?: 'yes' | 'read-only';
}

export type BranchWork = TwoPhaseWork | ThreePhaseWork;

/** A branch that is held between calls; its protocol is known when it is prepared. */
export interface HeldWork extends BranchIdentity, TimeLimit {
  /**
   * the id of the branch was made for this session, so no other one works on it: the session need not wait until the
   * database has taken the lock. Default false
   */
  readonly isNew?: boolean;
}

export interface VoteResult {
  readonly vote: Vote;
  /** the result of each operation; empty for `no` */
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/**
 * The local transaction of one branch that stays open between calls. Exactly one of `prepare`, `refuse` and `close`
 * begins its end; `close` may come at any time after that, too.
 */
export interface HeldSession<Context> {
  /** what the application works with: a transaction-bound client of the database */
  readonly context: Context;
  /** Resolves with the reason when the database ends the session by itself. Never rejects; pending otherwise. */
  readonly lost: Promise<BranchError>;
  /**
   * Refuses further statements, waits for the running ones up to the branch's limit, prepares and votes, with the
   * guarantees of `ResourceManager.prepare`. The session has ended when this settles.
   */
  prepare(branch: BranchWork, results: readonly JsonValue[]): Promise<VoteResult | 'busy'>;
  /** Rolls back at once, whatever is running, and votes no with this error; it is durable. */
  refuse(branch: BranchWork, error: BranchError): Promise<VoteResult | 'busy'>;
  /** Rolls back at once, whatever is running, and writes nothing. During `prepare` it ends the wait for statements. */
  close(): Promise<void>;
}

export interface OnePhaseResult {
  readonly end: BranchEnd;
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

export interface PreparedBranch extends BranchIdentity {
  readonly gid: string;
  /** how long it has been prepared by the database's own clock, in milliseconds; that clock may have been set */
  readonly ageMs: number;
  /** in three phases: its vote as an acceptor is recorded, so it may open a ballot */
  readonly isAcceptor: boolean;
}

/**
 * The owner of the database verbs of one participant (protocol section 5). Every call is idempotent and may be repeated
 * after any failure, by this process or another.
 *
 * A rejection (`ResourceManagerUnavailableError`) means that the state is unknown: nothing is reported, and the
 * coordinator or the sweeper asks again. Every known result is a value.
 *
 * `Context` is what a handler works with: a transaction-bound client of the database.
 */
export interface ResourceManager<Context> {
  /**
   * Branches abstain in three-phase transactions that began before this, because the database has changed and may have
   * lost promises; in milliseconds since 1970, 0 or undefined for none.
   */
  readonly abstainsBefore?: number;
  /** which database this is: the same text for all processes that use it; undefined: unknown */
  readonly databaseName?: string | undefined;
  /** how many branches the database can hold prepared; undefined: any number */
  readonly maximumPrepared?: number | undefined;
  /**
   * Runs `work` in a local transaction and prepares it. `yes` only when the prepared transaction is durable; `no` only
   * when its tombstone is; `read-only` when nothing was written and nothing is held. `busy`: another process is working
   * on this branch, and will answer.
   *
   * In three phases, a vote of `yes` or `read-only` is also recorded before this resolves, and a repeat is answered
   * from the record: the vote of an acceptor never changes. Rejects with `BranchAbstainsError` when the database has
   * changed since the transaction began, and may have lost an earlier vote.
   */
  prepare(branch: BranchWork, work: (context: Context) => Promise<readonly JsonValue[]>): Promise<VoteResult | 'busy'>;
  /**
   * Opens the local transaction of a branch that is held between calls. Absent where the database cannot do that.
   *
   * Rejects with `ResourceManagerUnavailableError` when it could not begin, and with `BranchOccupiedError` when another
   * session works on the branch, or it is prepared, or has ended.
   */
  hold?(branch: HeldWork): Promise<HeldSession<Context>>;
  /** Work and commit in one local transaction; the ledger makes repeats safe (protocol 4.7). */
  commitOnePhase(
    branch: TwoPhaseWork,
    work: (context: Context) => Promise<readonly JsonValue[]>,
  ): Promise<OnePhaseResult | 'busy'>;
  /**
   * `committed`, or the hazard `heuristic-rollback` when there is neither a prepared transaction nor a ledger row;
   * `read-only` for an acceptor that voted so.
   */
  commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'>;
  /**
   * By the decision: `aborted` once the tombstone is durable, or the hazard `heuristic-commit` when the ledger has a
   * commit. From then on the tombstone reports the decision to other branches.
   */
  abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'>;
  /** Like `abort`, without a decision: the tombstone stops a late prepare, and reports no decision. */
  rollBack(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'>;
  /**
   * The acceptor's answer to a ballot (protocol section 6), durable before this resolves. A branch without a vote votes
   * `no` by it (tombstone), and its answer says so; one that got the abort answers with that. `refused`: the acceptors
   * are not the branch's, or the round is impossible. `unknown`: the branch is prepared and its vote not recorded (its
   * participant died in between, or the transaction has two phases): it cannot answer.
   */
  answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'>;
  /** Promises the branch a ballot of its own, above all it has seen; no other branch ever gets it. */
  openBallot(branch: BranchIdentity): Promise<OpenedBallot>;
  /**
   * Records the decision for an acceptor that is to be ended against it, so that it reports the decision to other
   * branches and not its own end. No effect if the branch is no acceptor.
   */
  recordDecision(branch: BranchIdentity, decision: Decision): Promise<void>;
  /**
   * Ends the open session that works on the branch, in whatever process: the branch was aborted, and its holder may not
   * know. No effect if there is none.
   */
  endSession?(branch: BranchIdentity): Promise<void>;
  gidOf(branch: BranchIdentity): string;
  /** Prepared branches of this cluster, oldest first. */
  listPrepared(): Promise<readonly PreparedBranch[]>;
}
