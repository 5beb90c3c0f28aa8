import type { JsonValue } from '@concordat/foundation';
import {
  branchError,
  type Acceptor,
  type BallotRequest,
  type BranchError,
  type BranchId,
  type Decision,
} from '@concordat/commit-protocol';
import {
  BranchRefusedError,
  type BranchIdentity,
  type BranchWork,
  type PreparedBranch,
  type ResourceManager,
  type TwoPhaseWork,
  type VoteResult,
} from '@concordat/participant';
import { ModelledBranch, toEnd, type BranchRows, type DatabaseWork } from './modelled-branch.js';

/** What the handlers of a branch have done so far. */
export interface LocalWork {
  hasWritten: boolean;
}

type Run = (context: LocalWork) => Promise<readonly JsonValue[]>;
type Watcher = (branch: BranchIdentity, before: BranchRows, after: BranchRows) => void;

/**
 * The database of one participant, after the contract of `ResourceManager`: everything happens at once and is durable,
 * and nothing ever fails. What is `held` waits before it begins, as for a lock.
 */
export class ModelledBranches implements ResourceManager<LocalWork> {
  readonly held = new Set<BranchId>();
  private readonly branches = new Map<string, ModelledBranch>();
  private readonly waiting: (() => void)[] = [];

  /** @param onChange told after each call that may have changed something */
  constructor(private readonly onChange: Watcher = () => undefined) {}

  rowsOf(branch: BranchIdentity): BranchRows {
    return (this.branches.get(keyOf(branch)) ?? new ModelledBranch(branch)).rows;
  }

  /** A service has prepared its work by itself. */
  prepareByService(branch: BranchIdentity): void {
    this.branches.set(keyOf(branch), new ModelledBranch(branch, true));
  }

  /** Nothing waits any more. */
  release(): void {
    this.held.clear();
    for (const resume of this.waiting.splice(0)) resume();
  }

  async prepare(branch: BranchWork, run: Run): Promise<VoteResult> {
    const acceptors = branch.protocol === '3pc' ? branch.acceptors : undefined;
    const earlier = await this.do(branch, (found) => found.earlierVote(acceptors));
    if (earlier) return earlier;
    const work = await workOf(branch, run);
    return this.do(branch, (found) => found.vote(work, acceptors));
  }

  async commitOnePhase(branch: TwoPhaseWork, run: Run) {
    const earlier = await this.do(branch, (found) => found.earlierEnd());
    if (earlier) return earlier;
    const work = await workOf(branch, run);
    return this.do(branch, (found) => found.end(work));
  }

  commit(branch: BranchIdentity) {
    return this.do(branch, (found) => found.commit());
  }

  abort(branch: BranchIdentity) {
    return this.do(branch, (found) => found.abort());
  }

  rollBack(branch: BranchIdentity) {
    return this.do(branch, (found) => found.rollBack());
  }

  answerBallot(branch: BranchIdentity, request: BallotRequest, acceptors: readonly Acceptor[]) {
    return this.do(branch, (found) => found.answerBallot(request, acceptors));
  }

  openBallot(branch: BranchIdentity) {
    return this.do(branch, (found) => found.openBallot());
  }

  recordDecision(branch: BranchIdentity, decision: Decision) {
    return this.do(branch, (found) => found.recordDecision(decision));
  }

  gidOf({ transactionId, branchId }: BranchIdentity): string {
    return `concordat:modelled:${transactionId}:${branchId}`;
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    return [];
  }

  private async do<T>(branch: BranchIdentity, work: (found: ModelledBranch) => DatabaseWork<T>): Promise<T> {
    if (this.held.has(branch.branchId)) await new Promise<void>((resolve) => this.waiting.push(resolve));
    const key = keyOf(branch);
    const found = this.branches.get(key) ?? new ModelledBranch(branch);
    this.branches.set(key, found);
    const before = found.rows;
    const value = toEnd(work(found));
    if (found.rows !== before) this.onChange(branch, before, found.rows);
    return value;
  }
}

/** What the handlers come to. */
async function workOf(branch: BranchWork, run: Run): Promise<VoteResult> {
  const context: LocalWork = { hasWritten: false };
  try {
    const hasOnlyRead = branch.protocol === '3pc' && branch.enlistedVote === 'read-only';
    const results = hasOnlyRead ? [] : await run(context);
    return { vote: context.hasWritten ? 'yes' : 'read-only', results };
  } catch (error) {
    return { vote: 'no', results: [], error: errorOf(error) };
  }
}

function errorOf(error: unknown): BranchError {
  if (error instanceof BranchRefusedError) return branchError(error.code, error.message);
  return branchError('HANDLER_FAILED', 'the handler failed');
}

function keyOf({ transactionId, branchId }: BranchIdentity): string {
  return `${transactionId}/${branchId}`;
}
