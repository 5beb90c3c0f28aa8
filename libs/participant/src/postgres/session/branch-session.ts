import type { PoolClient } from 'pg';
import { TimeLimitError, withTimeLimit, type Clock, type JsonValue } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { DataSource } from 'typeorm';
import { ParticipantConfigurationError } from '../../runtime/errors.js';
import type { OperationBranch } from '../../runtime/participant-runtime.types.js';
import { branchErrorOf } from './branch-failure.js';
import { BranchEntityManager } from './entity-manager.js';
import { destroy } from '../connections/destroy.js';
import { BranchTimeoutError } from '../errors.js';
import { requireTag } from '../statements/answers.js';
import type { SessionFate } from '../statements/failure-classes.js';
import { GuardedClient } from './guarded-client.js';
import { SessionCondition } from './session-condition.js';
import type { BeginLimits, BranchStatements, ClosedSession } from '../statements/branch-statements.js';
import { BRANCH_OCCUPIED, sqlStateOf } from '../statements/sql-state.js';
import type { PostgresContext, Work } from './context.js';

/** The result of one attempt, as seen by its own connection. */
export type WorkAttempt =
  /** prepared, or committed with its ledger row */
  | { readonly type: 'durable'; readonly results: readonly JsonValue[] }
  | { readonly type: 'read-only'; readonly results: readonly JsonValue[] }
  /** another session is working on the branch, or it is prepared or in the ledger: no work was done */
  | { readonly type: 'occupied' }
  /** rolled back, or unknown: the database must be asked */
  | { readonly type: 'failed'; readonly error: BranchError; readonly cause: unknown };

export type Closing = 'prepare' | 'commit';

/** The command tag that proves success; a failed transaction answers `ROLLBACK` without an error. */
const REQUIRED_TAG: Readonly<Record<Closing, string>> = { prepare: 'PREPARE', commit: 'COMMIT' };

export interface AttemptLimits extends BeginLimits {
  /** time for all handlers together, in milliseconds */
  readonly handlersMs: number;
}

export interface BranchSessionPorts {
  readonly clock: Clock;
  readonly statements: BranchStatements;
  readonly dataSource: DataSource | undefined;
  /** time for a statement of the library, in milliseconds */
  readonly answerTimeoutMs: number;
}

/**
 * One attempt: begin, work, close, on one connection. Afterwards the connection has no transaction open and no trace of
 * the branch, or `fate` says that it must not be used again.
 */
export class BranchSession {
  private readonly condition = new SessionCondition();
  private left: string | undefined;
  private abandoned = false;

  constructor(
    private readonly client: PoolClient,
    private readonly branch: OperationBranch,
    private readonly ports: BranchSessionPorts,
  ) {}

  get fate(): SessionFate {
    return this.condition.fate;
  }

  /** What the handlers left in the session that cannot be reset: it is closed. */
  get leftBehind(): string | undefined {
    return this.left;
  }

  /** A wait timed out: the server may still be working for this session. */
  get wasAbandoned(): boolean {
    return this.abandoned;
  }

  /** A plan was older than its tables; the other sessions have such plans, too. */
  get sawSchemaChange(): boolean {
    return this.condition.sawSchemaChange;
  }

  /**
   * Takes at most the handlers' time and three answers of the server. After its time a handler has no effect: its
   * client refuses statements, and its connection is closed.
   *
   * @throws the error of the opening: no work was done, so there is nothing to vote on yet
   */
  async run(limits: AttemptLimits, closing: Closing, work: Work): Promise<WorkAttempt> {
    const { client, branch } = this;
    const { statements } = this.ports;
    const held = statements.beforeBegin();
    if (held) await held;
    // Not awaited before the work: its first statement is sent right after, and does nothing if this fails.
    const opening = this.answer('the opening of a branch', statements.begin(client, branch, limits));
    opening.catch(() => {
      if (this.fate === 'dead') destroy(client); // otherwise the handlers' statements would wait behind it
    }); // awaited below
    const guarded = new GuardedClient(client, this.condition);
    try {
      const results = await this.work(guarded, limits.handlersMs, work);
      await opening;
      return await this.close(guarded, closing, results);
    } catch (cause) {
      guarded.close();
      const error = branchErrorOf(cause, guarded.lastFailure);
      const occupied = await isOccupied(opening);
      await this.rollback(guarded);
      if (occupied) return { type: 'occupied' };
      return { type: 'failed', error, cause };
    }
  }

  /** A dead connection has rolled back, or will when the server notices. */
  private async rollback({ wasPlain }: GuardedClient): Promise<void> {
    if (this.fate === 'dead') return;
    try {
      const ended = await this.answer('a rollback', this.ports.statements.rollback(this.client, wasPlain));
      this.ended(ended, 'ROLLBACK');
    } catch {
      this.condition.worsen('dead');
    }
  }

  /** Awaits the answer to a library statement. A timeout ends the session. */
  private answer<T>(what: string, statement: Promise<T>): Promise<T> {
    const { clock, answerTimeoutMs } = this.ports;
    const limited = withTimeLimit(clock, answerTimeoutMs, what, statement).catch((error: unknown) => {
      if (error instanceof TimeLimitError) this.abandoned = true;
      throw error;
    });
    return this.condition.watch(limited);
  }

  private async work(guarded: GuardedClient, handlersMs: number, work: Work): Promise<readonly JsonValue[]> {
    const { branch } = this;
    const { clock, dataSource } = this.ports;
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
      return await withTimeLimit(clock, handlersMs, 'the handlers of a branch', work(context)).catch(
        (error: unknown) => {
          throw error instanceof TimeLimitError ? this.giveUp(guarded, error) : error;
        },
      );
    } finally {
      guarded.close();
      await bound?.release();
    }
  }

  /**
   * The handlers have used up their time. The error says whether they waited for the database or for something else.
   */
  private giveUp(guarded: GuardedClient, cause: TimeLimitError): BranchTimeoutError {
    const code = guarded.isWaiting ? 'DATABASE_TIMEOUT' : 'HANDLER_TIMEOUT';
    this.abandoned = true;
    this.condition.worsen('dead');
    guarded.close();
    destroy(this.client);
    return new BranchTimeoutError(code, { cause });
  }

  private async close(guarded: GuardedClient, closing: Closing, results: readonly JsonValue[]): Promise<WorkAttempt> {
    const { client, branch } = this;
    const { statements } = this.ports;
    const { wasPlain } = guarded;
    // A command tag that counted rows saves the round trip that asks whether anything was written.
    if (!guarded.hasChangedRows && !(await this.answer('the check for writes', statements.hasWritten(client)))) {
      this.ended(await this.answer('a commit', statements.commit(client, wasPlain)), 'COMMIT');
      return { type: 'read-only', results };
    }
    const closed = await this.answer(
      `a ${closing}`,
      closing === 'prepare'
        ? statements.prepare(client, branch, results, wasPlain)
        : statements.commitWithLedger(client, branch, results, wasPlain),
    );
    this.ended(closed, REQUIRED_TAG[closing]);
    return { type: 'durable', results };
  }

  /** The session was reset in the same round trip. What no reset removes makes it unusable for others. */
  private ended({ tag, leftBehind }: ClosedSession, requiredTag: string): void {
    if (leftBehind !== undefined) {
      this.left = leftBehind;
      this.condition.worsen('dirty');
    }
    requireTag(tag, requiredTag);
  }
}

/** @throws the error of the opening, unless it succeeded or found the branch occupied */
async function isOccupied(opening: Promise<void>): Promise<boolean> {
  try {
    await opening;
    return false;
  } catch (error) {
    if (sqlStateOf(error) === BRANCH_OCCUPIED) return true;
    throw error;
  }
}
