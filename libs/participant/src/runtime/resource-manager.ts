import type { JsonValue } from '@concordat/foundation';
import type { BranchEnd, BranchError, BranchId, TransactionId, Vote } from '@concordat/commit-protocol';

export interface BranchIdentity {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
}

export interface BranchWork extends BranchIdentity {
  /** milliseconds since 1970; no lock is awaited beyond it */
  readonly deadline: number;
  /** its service has prepared it: it is looked for first, and refused when it is not there, never run empty */
  readonly preparedByService: boolean;
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
  /** when it was prepared, in milliseconds since 1970 */
  readonly preparedAt: number;
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
   * Runs `work` in a local transaction and prepares it. `yes` only when the prepared transaction is durable;
   * `no` only when its tombstone is; `read-only` when nothing was written and nothing is held.
   * `busy`: another instance is at this very branch, and will answer.
   */
  prepare(branch: BranchWork, work: (context: Context) => Promise<readonly JsonValue[]>): Promise<VoteResult | 'busy'>;
  /** Work and commit in one local transaction, repeated safely through the ledger (protocol 4.7). */
  commitOnePhase(
    branch: BranchWork,
    work: (context: Context) => Promise<readonly JsonValue[]>,
  ): Promise<OnePhaseResult | 'busy'>;
  /** `committed`, or the hazard `heuristic-rollback` when neither prepared transaction nor ledger row is there. */
  commit(branch: BranchIdentity): Promise<'committed' | 'heuristic-rollback'>;
  /** `aborted` once the tombstone is durable, or the hazard `heuristic-commit` when the ledger says committed. */
  abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'>;
  /** Prepared branches of this cluster, oldest first; gids of others are never listed. */
  listPrepared(): Promise<readonly PreparedBranch[]>;
}
