import type { PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { ForbiddenStatementError } from '../errors.js';
import type { SessionCondition } from './session-condition.js';
import { refusalOf } from './statement-guard.js';

/** Everything a handler may do with the connection of its branch. */
export interface BranchClient {
  /**
   * Runs a statement in the branch's local transaction. What would end the transaction or outlive it on the
   * session is refused with `ForbiddenStatementError`.
   */
  query<Row extends QueryResultRow = QueryResultRow>(
    text: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
}

const CHANGING_TAGS = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/**
 * The connection of one branch in the hands of its handlers. States: open → closed; a handler that goes on after
 * its branch was voted on is refused, because the connection then serves another one.
 */
export class GuardedClient implements BranchClient {
  private open = true;
  private changed = false;
  private unanswered = 0;
  private refused: ForbiddenStatementError | undefined;

  constructor(
    private readonly client: PoolClient,
    private readonly condition: SessionCondition,
  ) {}

  async query<Row extends QueryResultRow = QueryResultRow>(
    text: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>> {
    if (!this.open)
      throw new ForbiddenStatementError('the branch was voted on: its connection is not its own any more');
    const refusal = refusalOf(typeof text === 'string' ? text : text.text);
    if (refusal !== undefined) {
      this.refused = new ForbiddenStatementError(refusal);
      throw this.refused;
    }
    const answer =
      typeof text === 'string'
        ? this.client.query<Row>(text, values as unknown[] | undefined)
        : this.client.query<Row>(text);
    this.unanswered++;
    try {
      const result = await this.condition.watch(answer);
      this.note(result);
      return result;
    } finally {
      this.unanswered--;
    }
  }

  /** Whether a command tag showed that rows were changed; false means that the server must be asked. */
  get hasChangedRows(): boolean {
    return this.changed;
  }

  /** Whether the database owes the handlers an answer. */
  get isWaiting(): boolean {
    return this.unanswered > 0;
  }

  /** The last error of the database or the guard, whatever a handler made of it. */
  get lastFailure(): unknown {
    return this.condition.lastFailure ?? this.refused;
  }

  close(): void {
    this.open = false;
  }

  private note(result: QueryResult | readonly QueryResult[]): void {
    const results = Array.isArray(result) ? (result as readonly QueryResult[]) : [result as QueryResult];
    this.changed ||= results.some(({ command, rowCount }) => CHANGING_TAGS.has(command) && (rowCount ?? 0) > 0);
  }
}
