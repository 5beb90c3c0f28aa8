import type { PoolClient } from 'pg';
import type { JsonValue } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { DataSource } from 'typeorm';
import { ParticipantConfigurationError } from '../runtime/errors.js';
import type { OperationBranch } from '../runtime/participant-runtime.types.js';
import { branchErrorOf } from './branch-failure.js';
import { BranchEntityManager } from './entity-manager.js';
import { requireTag } from './command-tag.js';
import type { SessionFate } from './failure-classes.js';
import { GuardedClient } from './guarded-client.js';
import { SessionCondition } from './session-condition.js';
import type { BeginLimits, BranchStatements, ClosedSession } from './statements/branch-statements.js';
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
 * One attempt: begin, work, close, on one connection. After it the connection has no transaction open and carries
 * nothing of the branch, or `fate` says that nobody may have it any more.
 */
export class BranchSession {
  private readonly condition = new SessionCondition();
  private left: string | undefined;

  constructor(
    private readonly client: PoolClient,
    private readonly statements: BranchStatements,
    private readonly branch: OperationBranch,
    private readonly dataSource: DataSource | undefined,
  ) {}

  /** Whether another branch may have the connection. */
  get fate(): SessionFate {
    return this.condition.fate;
  }

  /** What the handlers left behind in the session that cannot be taken away: it is closed. */
  get leftBehind(): string | undefined {
    return this.left;
  }

  /** A plan was older than the tables it uses; the other sessions have such plans, too. */
  get sawSchemaChange(): boolean {
    return this.condition.sawSchemaChange;
  }

  /** @throws what the opening failed with: no work was done, so there is nothing to vote on yet */
  async run(
    limits: BeginLimits,
    closing: Closing,
    work: (context: PostgresContext) => Promise<readonly JsonValue[]>,
  ): Promise<WorkAttempt> {
    const { condition } = this;
    const held = this.statements.beforeBegin();
    if (held) await held;
    // Not awaited before the work: its first statement travels right behind, and does nothing if this fails.
    const opening = condition.watch(this.statements.begin(this.client, this.branch, limits));
    opening.catch(() => undefined); // awaited below
    const guarded = new GuardedClient(this.client, condition);
    try {
      const results = await this.work(guarded, work);
      await opening;
      return await this.close(guarded, closing, results);
    } catch (cause) {
      guarded.close();
      const error = branchErrorOf(cause, guarded.lastFailure);
      const occupied = await isOccupied(opening);
      await this.rollback();
      if (occupied) return { type: 'occupied' };
      return { type: 'failed', error, cause };
    }
  }

  /** A dead connection has rolled back itself, or will when the server notices. */
  private async rollback(): Promise<void> {
    if (this.fate === 'dead') return;
    try {
      this.ended(await this.statements.rollback(this.client), 'ROLLBACK');
    } catch {
      this.condition.worsen('dead');
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
    const { client, statements, condition, branch } = this;
    // A command tag that counted rows spares the round trip that asks whether anything was written.
    if (!guarded.hasChangedRows && !(await condition.watch(statements.hasWritten(client)))) {
      this.ended(await condition.watch(statements.commit(client)), 'COMMIT');
      return { type: 'read-only', results };
    }
    const closed = await condition.watch(
      closing === 'prepare'
        ? statements.prepare(client, branch, results)
        : statements.commitWithLedger(client, branch, results),
    );
    this.ended(closed, REQUIRED_TAG[closing]);
    return { type: 'durable', results };
  }

  /** The session was reset in the same round trip; what no reset takes away makes it unfit for others. */
  private ended({ tag, leftBehind }: ClosedSession, requiredTag: string): void {
    if (leftBehind !== undefined) {
      this.left = leftBehind;
      this.condition.worsen('dirty');
    }
    requireTag(tag, requiredTag);
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
