import {
  errorMessage,
  invariant,
  silentLogger,
  TimeLimitError,
  withTimeLimit,
  type Clock,
  type JsonValue,
  type Logger,
} from '@concordat/foundation';
import {
  branchError,
  formatGid,
  type BallotAnswer,
  type BranchError,
  type OpenedBallot,
} from '@concordat/commit-protocol';
import {
  BranchRefusedError,
  timeLeftMs,
  type BranchIdentity,
  type BranchWork,
  type OnePhaseResult,
  type PreparedBranch,
  type ResourceManager,
  type TwoPhaseWork,
  type VoteResult,
} from '@concordat/participant';
import { MemoryTransaction, type MemoryContext, type MemoryData } from './memory-data.js';

/** Ended branches that are remembered; PostgreSQL's ledger forgets them as well. */
const MAXIMUM_ENDED = 10_000;
/** How long handlers may run after the deadline, so that a lock wait that ends there is named. */
const HANDLER_GRACE_MS = 100;

const DEADLINE_EXCEEDED: BranchError = {
  code: 'DEADLINE_EXCEEDED',
  message: 'the deadline had passed before the work began',
};
const BRANCH_ABORTED: BranchError = { code: 'BRANCH_ABORTED', message: 'this branch was aborted before' };
const THREE_PHASES: BranchError = {
  code: 'THREE_PHASES_NEED_A_DATABASE',
  message: 'a participant in memory takes part in two phases only; use startTestDatabases for three',
};

type Branch =
  | { readonly state: 'working'; readonly transaction: MemoryTransaction }
  | {
      readonly state: 'prepared';
      readonly identity: BranchIdentity;
      readonly transaction: MemoryTransaction;
      readonly results: readonly JsonValue[];
      /** by the monotonic clock */
      readonly since: number;
    }
  | { readonly state: 'committed' | 'read-only'; readonly results: readonly JsonValue[] }
  | { readonly state: 'aborted'; readonly error: BranchError };

type Work = (context: MemoryContext) => Promise<readonly JsonValue[]>;
type Attempt =
  | { readonly type: 'done'; readonly transaction: MemoryTransaction; readonly results: readonly JsonValue[] }
  | { readonly type: 'failed'; readonly error: BranchError };

/**
 * The resource manager of a stand-in, without a database: the same answers as PostgreSQL's to the same calls, as long as
 * its process lives. In two phases only.
 *
 * A branch: unknown → working → prepared → committed | aborted; from working also read-only, committed (one phase) or
 * aborted. An abort of an unknown branch is remembered, so that late work is refused.
 */
export class MemoryResourceManager implements ResourceManager<MemoryContext> {
  private readonly branches = new Map<string, Branch>();

  constructor(
    readonly data: MemoryData,
    private readonly cluster: string,
    private readonly clock: Clock,
    private readonly logger: Logger = silentLogger,
  ) {}

  async prepare(branch: BranchWork, work: Work): Promise<VoteResult | 'busy'> {
    if (branch.protocol === '3pc') return this.voteOf(this.refuse(branch, THREE_PHASES));
    const known = this.branches.get(branch.branchId);
    if (known) return this.voteOf(known);
    const attempt = await this.attempt(branch, work);
    if (attempt.type === 'failed') return this.voteOf(this.refuse(branch, attempt.error));
    const { transaction, results } = attempt;
    if (transaction.changes.size === 0) return this.voteOf(this.end(branch, { state: 'read-only', results }));
    const { transactionId, branchId } = branch;
    const identity = { transactionId, branchId };
    const prepared: Branch = { state: 'prepared', identity, transaction, results, since: this.clock.monotonic() };
    this.branches.set(branchId, prepared);
    return this.voteOf(prepared);
  }

  async commitOnePhase(branch: TwoPhaseWork, work: Work): Promise<OnePhaseResult | 'busy'> {
    const known = this.branches.get(branch.branchId);
    if (known?.state === 'prepared') await this.commit(branch);
    if (known) return this.conclusionOf(this.branches.get(branch.branchId) ?? known);
    const attempt = await this.attempt(branch, work);
    if (attempt.type === 'failed') return this.conclusionOf(this.refuse(branch, attempt.error));
    const { transaction, results } = attempt;
    if (transaction.changes.size === 0) return this.conclusionOf(this.end(branch, { state: 'read-only', results }));
    return this.conclusionOf(this.end(branch, { state: 'committed', results }, transaction));
  }

  async commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'> {
    const known = this.branches.get(branch.branchId);
    switch (known?.state) {
      case 'prepared':
        this.end(branch, { state: 'committed', results: known.results }, known.transaction);
        return 'committed';
      case 'committed':
      case 'read-only':
        return known.state;
      case 'working':
      case 'aborted':
      case undefined:
        return 'heuristic-rollback';
    }
  }

  async abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    return this.rollBack(branch);
  }

  async rollBack(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    const known = this.branches.get(branch.branchId);
    if (known?.state === 'committed') return 'heuristic-commit';
    if (known?.state !== 'aborted') this.refuse(branch, BRANCH_ABORTED);
    return 'aborted';
  }

  /** No transaction in three phases has a vote here. */
  async answerBallot(): Promise<BallotAnswer | 'refused' | 'unknown'> {
    return 'refused';
  }

  async openBallot(): Promise<OpenedBallot> {
    return { type: 'not-an-acceptor' };
  }

  async recordDecision(): Promise<void> {
    return undefined; // for acceptors only
  }

  gidOf({ transactionId, branchId }: BranchIdentity): string {
    return formatGid(this.cluster, transactionId, branchId);
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    const now = this.clock.monotonic();
    const prepared = [...this.branches.values()].flatMap((branch) => (branch.state === 'prepared' ? [branch] : []));
    return prepared
      .sort((left, right) => left.since - right.since)
      .map(({ identity, since }) => ({
        ...identity,
        gid: this.gidOf(identity),
        ageMs: now - since,
        isAcceptor: false,
      }));
  }

  private async attempt(branch: TwoPhaseWork, work: Work): Promise<Attempt> {
    const leftMs = timeLeftMs(branch, this.clock);
    if (leftMs <= 0) return { type: 'failed', error: DEADLINE_EXCEEDED };
    const { branchId } = branch;
    const transaction = new MemoryTransaction(this.data, branchId, this.clock, this.clock.monotonic() + leftMs);
    const working: Branch = { state: 'working', transaction };
    this.branches.set(branchId, working);
    try {
      const results = await withTimeLimit(
        this.clock,
        leftMs + HANDLER_GRACE_MS,
        'the handlers of a branch',
        work(transaction),
      );
      if (this.branches.get(branchId) !== working) return { type: 'failed', error: BRANCH_ABORTED };
      return { type: 'done', transaction, results };
    } catch (error) {
      return { type: 'failed', error: this.errorOf(branchId, error) };
    } finally {
      transaction.close();
    }
  }

  private errorOf(branchId: string, error: unknown): BranchError {
    if (error instanceof BranchRefusedError) return branchError(error.code, error.message);
    if (error instanceof TimeLimitError)
      return { code: 'HANDLER_TIMEOUT', message: 'the handlers did not end before the deadline' };
    this.logger.error(`a handler of branch ${branchId} has failed: ${errorMessage(error)}`, error);
    return { code: 'HANDLER_FAILED', message: 'the handler failed; see the log of the participant' };
  }

  /** Rolls back and remembers it; what was aborted or committed before stays as it is. */
  private refuse(branch: BranchIdentity, error: BranchError): Branch {
    const known = this.branches.get(branch.branchId);
    if (known?.state === 'aborted' || known?.state === 'committed') return known;
    return this.end(branch, { state: 'aborted', error });
  }

  private end({ branchId }: BranchIdentity, branch: Branch, committed?: MemoryTransaction): Branch {
    const before = this.branches.get(branchId);
    if (before && 'transaction' in before) before.transaction.close();
    this.data.end(branchId, committed?.changes);
    this.branches.delete(branchId); // the youngest come last
    this.branches.set(branchId, branch);
    this.forgetOldest();
    return branch;
  }

  private forgetOldest(): void {
    if (this.branches.size <= MAXIMUM_ENDED) return;
    for (const [branchId, { state }] of this.branches) {
      if (state === 'working' || state === 'prepared') continue;
      this.branches.delete(branchId);
      return;
    }
  }

  private voteOf(branch: Branch): VoteResult | 'busy' {
    switch (branch.state) {
      case 'working':
        return 'busy';
      case 'prepared':
      case 'committed':
        return { vote: 'yes', results: branch.results };
      case 'read-only':
        return { vote: 'read-only', results: branch.results };
      case 'aborted':
        return { vote: 'no', results: [], error: branch.error };
    }
  }

  private conclusionOf(branch: Branch): OnePhaseResult | 'busy' {
    switch (branch.state) {
      case 'working':
        return 'busy';
      case 'aborted':
        return { end: 'aborted', results: [], error: branch.error };
      case 'committed':
      case 'read-only':
        return { end: branch.state, results: branch.results };
      case 'prepared':
        invariant(false, 'a prepared branch is committed before its conclusion is told');
    }
  }
}
