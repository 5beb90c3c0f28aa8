import type { BranchError } from '@concordat/commit-protocol';
import { branchError } from '@concordat/commit-protocol';
import type { JsonValue } from '@concordat/foundation';
import {
  BranchRefusedError,
  type BranchIdentity,
  type BranchWork,
  type OnePhaseResult,
  type PreparedBranch,
  type ResourceManager,
  type VoteResult,
} from '@concordat/participant';

/** What a handler has done so far. */
export interface Work {
  hasWritten: boolean;
}

type Run = (context: Work) => Promise<readonly JsonValue[]>;

interface Row {
  readonly state: 'prepared' | 'committed' | 'aborted';
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/** The database of a participant in two phases, after the contract of `ResourceManager`; it keeps what was said. */
export class BranchBooks implements ResourceManager<Work> {
  private readonly rows = new Map<string, Row>();

  stateOf({ branchId }: Pick<BranchIdentity, 'branchId'>): Row['state'] | undefined {
    return this.rows.get(branchId)?.state;
  }

  async prepare(branch: BranchWork, run: Run): Promise<VoteResult> {
    const done = this.rows.get(branch.branchId) ?? (await this.work(branch, run, 'prepared'));
    if (done === 'read-only') return { vote: 'read-only', results: [] };
    const { state, results, error } = done;
    if (state !== 'aborted') return { vote: 'yes', results };
    return { vote: 'no', results: [], ...(error && { error }) };
  }

  async commitOnePhase(branch: BranchWork, run: Run): Promise<OnePhaseResult> {
    const done = this.rows.get(branch.branchId) ?? (await this.work(branch, run, 'committed'));
    if (done === 'read-only') return { end: 'read-only', results: [] };
    const { state, results, error } = done;
    return { end: state === 'committed' ? 'committed' : 'aborted', results, ...(error && { error }) };
  }

  async commit({ branchId }: BranchIdentity): Promise<'committed' | 'heuristic-rollback'> {
    const row = this.rows.get(branchId);
    if (!row || row.state === 'aborted') return 'heuristic-rollback';
    this.rows.set(branchId, { ...row, state: 'committed' });
    return 'committed';
  }

  async abort({ branchId }: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    const row = this.rows.get(branchId);
    if (row?.state === 'committed') return 'heuristic-commit';
    this.rows.set(branchId, { state: 'aborted', results: [], ...(row?.error && { error: row.error }) });
    return 'aborted';
  }

  rollBack(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    return this.abort(branch);
  }

  async answerBallot(): Promise<'refused'> {
    return 'refused';
  }

  async openBallot(): Promise<{ readonly type: 'not-an-acceptor' }> {
    return { type: 'not-an-acceptor' };
  }

  async recordDecision(): Promise<void> {
    // nobody is an acceptor
  }

  gidOf({ transactionId, branchId }: BranchIdentity): string {
    return `concordat:fuzz:${transactionId}:${branchId}`;
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    return [];
  }

  private async work({ branchId }: BranchWork, run: Run, state: Row['state']): Promise<Row | 'read-only'> {
    const context: Work = { hasWritten: false };
    let row: Row;
    try {
      row = { state, results: await run(context) };
      if (!context.hasWritten) return 'read-only';
    } catch (error) {
      row = { state: 'aborted', results: [], error: errorOf(error) };
    }
    this.rows.set(branchId, row);
    return row;
  }
}

function errorOf(error: unknown): BranchError {
  if (error instanceof BranchRefusedError) return branchError(error.code, error.message);
  return branchError('HANDLER_FAILED', 'the handler failed');
}
