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

export interface BranchIdentity {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
}

export interface BranchWork extends BranchIdentity {
  /** milliseconds since 1970; no lock is awaited beyond it */
  readonly deadline: number;
  /** its service has prepared it: it is looked for first, and refused when it is not there, never run empty */
  readonly preparedByService: boolean;
  /** the leader has not sent it before, so most likely nothing is known of it; no promise: messages may come twice */
  readonly isFirstSending?: boolean;
  /** in three phases: all branches of the transaction; the vote goes on record with them before it is given */
  readonly acceptors?: readonly Acceptor[];
  /** in three phases: what its service has enlisted it with; `read-only` left nothing to look for */
  readonly enlistedVote?: 'yes' | 'read-only';
}

export interface VoteResult {
  readonly vote: Vote;
  /** what each operation returned; empty for `no` */
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

export interface OnePhaseResult {
  readonly end: BranchEnd;
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

export interface PreparedBranch extends BranchIdentity {
  readonly gid: string;
  /** for how long it has been prepared, in milliseconds, as the database's own clock says; that may have been set */
  readonly ageMs: number;
  /** in three phases: its vote is on record as an acceptor, so it may open a ballot */
  readonly isAcceptor: boolean;
}

/**
 * The owner of the database verbs of one participant (protocol section 5). Every call is idempotent and may be
 * made again after any failure, by this process or another.
 *
 * A rejection (`ResourceManagerUnavailableError`) means that the truth is not known: nothing is reported, and
 * the coordinator or the sweeper comes again. Everything that is known is a result.
 *
 * `Context` is what a handler works with: a transaction-bound client of the database.
 */
export interface ResourceManager<Context> {
  /**
   * Of transactions in three phases that began before this nothing is said, because the database has changed since and
   * may have lost what it had promised; in milliseconds since 1970, 0 or undefined for none.
   */
  readonly abstainsBefore?: number;
  /**
   * Runs `work` in a local transaction and prepares it. `yes` only when the prepared transaction is durable;
   * `no` only when its tombstone is; `read-only` when nothing was written and nothing is held.
   * `busy`: another instance is at this very branch, and will answer.
   *
   * In three phases (`acceptors`) a vote of `yes` or `read-only` is on record as the acceptor's, too, before this
   * resolves, and a repeat is answered from there: the vote of an acceptor never changes. Rejects with `BranchAbstainsError`
   * when the database has changed since the transaction began, and may have lost an earlier vote.
   */
  prepare(branch: BranchWork, work: (context: Context) => Promise<readonly JsonValue[]>): Promise<VoteResult | 'busy'>;
  /** Work and commit in one local transaction, repeated safely through the ledger (protocol 4.7). */
  commitOnePhase(
    branch: BranchWork,
    work: (context: Context) => Promise<readonly JsonValue[]>,
  ): Promise<OnePhaseResult | 'busy'>;
  /**
   * `committed`, or the hazard `heuristic-rollback` when neither prepared transaction nor ledger row is there;
   * `read-only` for an acceptor that voted so.
   */
  commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'>;
  /**
   * By the decision: `aborted` once the tombstone is durable, or the hazard `heuristic-commit` when the ledger says
   * committed. The tombstone tells other branches of the decision from then on.
   */
  abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'>;
  /** As `abort`, by something else than the decision: the tombstone stops a late prepare, and tells nobody anything. */
  rollBack(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'>;
  /**
   * The acceptor's answer to a ballot (protocol section 6), durable before this resolves. A branch without a vote votes
   * `no` by it (tombstone), and its answer says so; one that was told to abort answers with that. `refused`: the set of
   * acceptors is not the branch's, or the round is out of reach. `unknown`: the branch is prepared and its vote not on
   * record (its participant died in between, or the transaction is in two phases): nothing may be said of it.
   */
  answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'>;
  /** Promises the branch a ballot of its own above all that it knows of, which nobody else ever gets. */
  openBallot(branch: BranchIdentity): Promise<OpenedBallot>;
  /**
   * Puts the decision on record for an acceptor that is about to be ended against it, so that it tells other branches
   * the decision and not its own end. Nothing happens where the branch is no acceptor.
   */
  recordDecision(branch: BranchIdentity, decision: Decision): Promise<void>;
  /** The name under which the branch is prepared. */
  gidOf(branch: BranchIdentity): string;
  /** Prepared branches of this cluster, oldest first; gids of others are never listed. */
  listPrepared(): Promise<readonly PreparedBranch[]>;
}
