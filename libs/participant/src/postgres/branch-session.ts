import type { PoolClient } from 'pg';
import type { JsonValue } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { DataSource } from 'typeorm';
import { ParticipantConfigurationError } from '../runtime/errors.js';
import type { OperationBranch } from '../runtime/participant-runtime.types.js';
import { branchErrorOf } from './branch-failure.js';
import { BranchEntityManager } from './entity-manager.js';
import { requireTag } from './command-tag.js';
import { GuardedClient } from './guarded-client.js';
import type { BeginLimits, BranchStatements } from './statements/branch-statements.js';
import { sqlStateOf } from './sql-state.js';
import { BRANCH_OCCUPIED } from './statements/migrations.js';
import type { PostgresContext } from './types.js';

/** How one attempt at the work of a branch went, as far as its own connection can tell. */
export type WorkAttempt =
  /** prepared, or committed with its ledger row */
  | { readonly type: 'durable'; readonly results: readonly JsonValue[] }
  | { readonly type: 'read-only'; readonly results: readonly JsonValue[] }
  /** another session is at work on the branch, or it is prepared, or the ledger knows it: no work was done */
  | { readonly type: 'occupied' }
  /** rolled back, or not known: the database must be asked */
  | { readonly type: 'failed'; readonly error: BranchError; readonly cause: unknown };

export type Closing = 'prepare' | 'commit';

/** The tag that proves each way of closing; a failed transaction answers `ROLLBACK` without an error. */
const REQUIRED_TAG: Readonly<Record<Closing, string>> = { prepare: 'PREPARE', commit: 'COMMIT' };

/**
 * One attempt: begin, work, close, on one connection. After it the connection has no transaction open, or the
 * attempt threw and the connection must be closed.
 */
export class BranchSession {
  constructor(
    private readonly client: PoolClient,
    private readonly statements: BranchStatements,
    private readonly branch: OperationBranch,
    private readonly dataSource: DataSource | undefined,
  ) {}

  async run(
    limits: BeginLimits,
    closing: Closing,
    work: (context: PostgresContext) => Promise<readonly JsonValue[]>,
  ): Promise<WorkAttempt> {
    const held = this.statements.beforeBegin();
    if (held) await held;
    // Not awaited before the work: its first statement travels right behind, and does nothing if this fails.
    const opening = this.statements.begin(this.client, this.branch, limits);
    opening.catch(() => undefined); // awaited below
    const guarded = new GuardedClient(this.client);
    try {
      const results = await this.work(guarded, work);
      await opening;
      return await this.close(guarded, closing, results);
    } catch (cause) {
      guarded.close();
      const occupied = await isOccupied(opening);
      await this.statements.rollback(this.client).catch(() => undefined); // a dead connection has rolled back itself
      if (occupied) return { type: 'occupied' };
      return { type: 'failed', error: branchErrorOf(cause, guarded.lastFailure), cause };
    }
  }

  private async work(
    guarded: GuardedClient,
    work: (context: PostgresContext) => Promise<readonly JsonValue[]>,
  ): Promise<readonly JsonValue[]> {
    const { dataSource, branch } = this;
    let bound: BranchEntityManager | undefined;
    const context: PostgresContext = {
      branch,
      client: guarded,
      get manager() {
        if (!dataSource) {
          throw new ParticipantConfigurationError('context.manager needs the DataSource in the options of the module');
        }
        bound ??= new BranchEntityManager(dataSource, guarded);
        return bound.manager;
      },
    };
    try {
      return await work(context);
    } finally {
      guarded.close();
      await bound?.release();
    }
  }

  private async close(guarded: GuardedClient, closing: Closing, results: readonly JsonValue[]): Promise<WorkAttempt> {
    // A command tag that counted rows spares the round trip that asks whether anything was written.
    if (!guarded.hasChangedRows && !(await this.statements.hasWritten(this.client))) {
      requireTag(await this.statements.commit(this.client), 'COMMIT');
      return { type: 'read-only', results };
    }
    const tag =
      closing === 'prepare'
        ? await this.statements.prepare(this.client, this.branch, results)
        : await this.statements.commitWithLedger(this.client, this.branch, results);
    requireTag(tag, REQUIRED_TAG[closing]);
    return { type: 'durable', results };
  }
}

/** @throws what the opening failed with, unless it succeeded or found the branch occupied */
async function isOccupied(opening: Promise<void>): Promise<boolean> {
  try {
    await opening;
    return false;
  } catch (error) {
    if (sqlStateOf(error) === BRANCH_OCCUPIED) return true;
    throw error;
  }
}
