import { errorMessage } from '@concordat/foundation';
import type { QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { ForbiddenStatementError } from '../errors.js';
import type { BranchClient } from '../session/guarded-client.js';
import type { NestedWork } from './joinable-work.js';
import { savepointsOf, type SavepointOwner, type Savepoints } from './savepoints.js';

/** What all work on one session knows of it. */
interface SessionState {
  readonly client: BranchClient;
  readonly savepoints: Savepoints;
  /** the server takes no further statement before a savepoint is gone back to */
  failedStatement: Error | undefined;
  /** why the branch can only be refused */
  doom: ForbiddenStatementError | undefined;
}

const CANNOT_UNDO =
  'a transaction was rolled back after other statements had run in the session of its branch, and cannot be undone ' +
  'alone; await one transaction before the next begins, or let its error refuse the branch';

/** The work of a branch's handlers, and its parts: the transactions of the libraries that they use. */
export class SessionWork implements NestedWork, SavepointOwner {
  private constructor(
    private readonly state: SessionState,
    readonly parent: SessionWork | undefined,
    readonly isWhole = false,
  ) {}

  /** All of a branch's work. */
  static of(client: BranchClient): SessionWork {
    const savepoints = savepointsOf(client);
    return new SessionWork({ client, savepoints, failedStatement: undefined, doom: undefined }, undefined);
  }

  /** The same work, for a library that is to believe in a transaction without beginning one. */
  whole(): SessionWork {
    return new SessionWork(this.state, this, true);
  }

  get session(): object {
    return this.state;
  }

  get needsSavepoint(): boolean {
    return this.parent !== undefined && !this.isWhole;
  }

  /** @throws ForbiddenStatementError when the branch must be refused, whatever its handlers returned */
  refuseUnfinished(): void {
    const { doom, savepoints } = this.state;
    if (doom) throw doom;
    if (savepoints.isEmpty) return;
    throw new ForbiddenStatementError(
      'a transaction of a database library was still open when the handler returned: an await is missing, or its client ' +
        'was given back without COMMIT or ROLLBACK',
    );
  }

  async query<Row extends QueryResultRow = QueryResultRow>(
    text: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>> {
    const { state } = this;
    if (this.needsSavepoint || !state.savepoints.isEmpty) state.savepoints.enter(this);
    try {
      const result = await state.client.query<Row>(text, values);
      state.failedStatement = undefined;
      return result;
    } catch (error) {
      state.failedStatement = error instanceof Error ? error : new Error(errorMessage(error));
      throw error;
    }
  }

  async enter(): Promise<void> {
    this.state.savepoints.enter(this);
  }

  nested(): SessionWork {
    return new SessionWork(this.state, this);
  }

  async keep(): Promise<void> {
    const { savepoints, failedStatement } = this.state;
    if (failedStatement !== undefined && savepoints.has(this)) {
      await this.undo();
      throw failedStatement;
    }
    savepoints.keep(this);
  }

  async undo(): Promise<void> {
    const { state } = this;
    if (!state.savepoints.has(this)) return;
    if (!(await state.savepoints.undo(this))) {
      state.doom ??= new ForbiddenStatementError(CANNOT_UNDO);
      throw state.doom;
    }
    state.failedStatement = undefined;
  }
}
