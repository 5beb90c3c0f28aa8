import type { PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { ForbiddenStatementError, SelfBlockedError } from '../errors.js';
import { SQL_STATE, sqlStateOf } from '../statements/sql-state.js';
import { isPlain } from './plain-statements.js';
import type { SessionCondition } from './session-condition.js';
import { refusalOf } from './statement-guard.js';

/** The connection of a branch, for its handlers. */
export interface BranchClient {
  /**
   * Runs a statement in the branch's local transaction. Rejects with `ForbiddenStatementError` for a statement that
   * would end the transaction, or outlive it in the session.
   */
  query<Row extends QueryResultRow = QueryResultRow>(
    text: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
}

/** Told when the session begins to wait for answers, and when it has all of them. */
export interface WaitObserver {
  begin(): void;
  end(): void;
  /** settled when it is known whether the running statement waits for its own transaction */
  readonly looked: Promise<void> | undefined;
}

const CHANGING_TAGS = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/**
 * The connection of one branch, for its handlers. States: open → closed; then it refuses statements, because the
 * connection serves another branch.
 */
export class GuardedClient implements BranchClient {
  private open = true;
  private changed = false;
  private plain = true;
  private unanswered = 0;
  private whenIdle: (() => void) | undefined;
  private refused: ForbiddenStatementError | undefined;
  private blocked: SelfBlockedError | undefined;
  private waits: WaitObserver | undefined;
  private opening: Promise<void> | undefined;

  constructor(
    private readonly client: PoolClient,
    private readonly condition: SessionCondition,
  ) {}

  /** Must be called before the first statement. */
  observeWaits(waits: WaitObserver): void {
    this.waits = waits;
  }

  /** Statements are sent behind this opening; where it fails, its error explains theirs. */
  follow(opening: Promise<void>): void {
    this.opening = opening;
  }

  /** The running statement waits for its own transaction, and is being cancelled. */
  selfBlocked(): void {
    this.blocked ??= new SelfBlockedError();
  }

  async query<Row extends QueryResultRow = QueryResultRow>(
    text: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>> {
    if (!this.open) throw new ForbiddenStatementError('the branch has voted: its connection now serves others');
    const statement = typeof text === 'string' ? text : text.text;
    const refusal = refusalOf(statement);
    if (refusal !== undefined) {
      this.refused = new ForbiddenStatementError(refusal);
      throw this.refused;
    }
    this.plain &&= isPlain(statement);
    const answer =
      typeof text === 'string'
        ? this.client.query<Row>(text, values as unknown[] | undefined)
        : this.client.query<Row>(text);
    if (this.unanswered++ === 0) this.waits?.begin();
    try {
      const result = await this.condition.watch(answer);
      this.note(result);
      return result;
    } catch (error) {
      await this.opening; // rejects with what was the first to fail
      if (sqlStateOf(error) !== SQL_STATE.queryCanceled) throw error;
      await this.waits?.looked; // it was cancelled, and the answer to who did it may still be on its way
      throw this.blocked ?? error;
    } finally {
      this.unanswered--;
      if (this.unanswered === 0) this.settled();
    }
  }

  private settled(): void {
    this.waits?.end();
    this.whenIdle?.();
  }

  /** Resolves when no statement waits for its answer. */
  async idle(): Promise<void> {
    if (this.unanswered > 0) await new Promise<void>((resolve) => (this.whenIdle = resolve));
  }

  /** Whether a command tag counted changed rows; false means that the server must be asked. */
  get hasChangedRows(): boolean {
    return this.changed;
  }

  /** Whether all statements were plain ones: then a short reset makes the session clean. */
  get wasPlain(): boolean {
    return this.plain;
  }

  /** Whether the handlers wait for an answer of the database. */
  get isWaiting(): boolean {
    return this.unanswered > 0;
  }

  /** The last error of the database or the guard, even if a handler caught it. */
  get lastFailure(): unknown {
    return this.blocked ?? this.condition.lastFailure ?? this.refused;
  }

  close(): void {
    this.open = false;
  }

  private note(result: QueryResult | readonly QueryResult[]): void {
    const results = Array.isArray(result) ? (result as readonly QueryResult[]) : [result as QueryResult];
    this.changed ||= results.some(({ command, rowCount }) => CHANGING_TAGS.has(command) && (rowCount ?? 0) > 0);
  }
}
