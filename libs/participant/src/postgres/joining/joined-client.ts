import { EventEmitter } from 'node:events';
import { escapeIdentifier, escapeLiteral, type CustomTypesConfig, type QueryConfig, type QueryResult } from 'pg';
import { unreachable } from '@concordat/foundation';
import { ForbiddenStatementError } from '../errors.js';
import { isWithin, type CurrentWork, type JoinableWork } from './joinable-work.js';
import { LibraryTransaction } from './library-transaction.js';
import { readQueryCall, type QueryCall, type QueryCallback } from './query-call.js';
import { sharedSessionOf, type SharedSession } from './shared-session.js';
import { transactionCommandsOf, type TransactionCommand, type TransactionWishes } from './transaction-command.js';

export interface JoinedClientOptions {
  /** what the pool of the library uses instead of the parsers of `pg` */
  readonly types?: CustomTypesConfig | undefined;
  /** the work of the method that runs when a statement comes; default: that of the method that took the client */
  readonly current?: CurrentWork;
}

type AnyResult = QueryResult | QueryResult[];

const NOT_OURS =
  'the transaction of a branch is begun and ended by the participant library; throw an error to refuse the branch';

/**
 * What a library gets for a connection while a global transaction runs: it sends its statements to the one session of
 * that transaction. The library's own BEGIN, COMMIT, ROLLBACK and savepoints divide the work of the session; they never
 * end its transaction. Giving the client back ends nothing either.
 *
 * States: taken → released. Statements are carried out in the order of their calls. Like a client of `pg`, it takes
 * promises and callbacks.
 */
export class JoinedClient extends EventEmitter {
  private readonly shared: SharedSession;
  private transaction: LibraryTransaction | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private released = false;

  constructor(
    private readonly work: JoinableWork,
    private readonly options: JoinedClientOptions = {},
  ) {
    super();
    this.shared = sharedSessionOf(work);
  }

  /**
   * As `Client.query` of `pg`, for texts and configurations.
   *
   * @throws ForbiddenStatementError for a cursor or a stream; a statement that may not be sent rejects with it
   */
  query(first: unknown, second?: unknown, third?: unknown): Promise<AnyResult> | undefined {
    const call = readQueryCall(first, second, third, this.options.types);
    if (this.released) {
      throw new ForbiddenStatementError('this client was given back to its pool; take another one');
    }
    const answer = this.enqueue(() => this.carryOut(call));
    if (!call.callback) return answer;
    report(answer, call.callback);
    return undefined;
  }

  /** Gives the client back; work of a transaction that was not committed is undone. @throws when called twice */
  readonly release = (): void => {
    if (this.released) {
      throw new ForbiddenStatementError('release was called on a client that had already been given back to its pool');
    }
    this.released = true;
    // Whoever wanted to know has asked; an undo that fails dooms the global transaction, which says so.
    this.enqueue(() => this.endTransaction((transaction) => transaction.rollBack())).catch(() => undefined);
  };

  /** A client of `pg` that comes from a pool is connected. */
  async connect(): Promise<void> {
    throw new ForbiddenStatementError('the client is connected; a client from a pool is used as it is');
  }

  /** The session belongs to the global transaction: only the client is given back. */
  async end(): Promise<void> {
    if (!this.released) this.release();
  }

  readonly escapeIdentifier = escapeIdentifier;
  readonly escapeLiteral = escapeLiteral;

  private enqueue<T>(work: () => Promise<T>): Promise<T> {
    const next = this.last.then(work, work);
    this.last = next.catch(() => undefined);
    return next;
  }

  private async carryOut({ text, query }: QueryCall): Promise<AnyResult> {
    const commands = transactionCommandsOf(text);
    if (!commands) return this.send(query);
    const results: QueryResult[] = [];
    for (const command of commands) results.push(emptyResult(await this.carryOutCommand(command)));
    return results.length === 1 ? results[0]! : results;
  }

  /** A statement of a transaction that the running method did not begin also counts as work of that method. */
  private async send(query: QueryConfig): Promise<AnyResult> {
    const { transaction } = this;
    const now = this.runningWork;
    return this.shared.turns.run(transaction, async () => {
      if (!transaction) return now.query(query);
      if (!isWithin(transaction.work, now)) await now.enter();
      return transaction.work.query(query);
    });
  }

  /** @returns the tag that the server would answer with */
  private async carryOutCommand(command: TransactionCommand): Promise<string> {
    switch (command.type) {
      case 'begin':
        await this.begin(command.wishes);
        return command.tag;
      case 'set-transaction':
        await this.within(async (transaction) => transaction.apply(command.wishes));
        return 'SET';
      case 'commit':
        await this.endTransaction((transaction) => transaction.commit());
        return 'COMMIT';
      case 'roll-back':
        await this.endTransaction((transaction) => transaction.rollBack());
        return 'ROLLBACK';
      case 'savepoint':
        await this.within(async (transaction) => transaction.savepoint(command.name));
        return 'SAVEPOINT';
      case 'release':
        await this.within((transaction) => transaction.release(command.name));
        return 'RELEASE';
      case 'roll-back-to':
        await this.within((transaction) => transaction.rollBackTo(command.name));
        return 'ROLLBACK';
      default:
        return unreachable(command, 'transaction command');
    }
  }

  /** Like the server, it takes a second BEGIN for none. */
  private async begin(wishes: TransactionWishes): Promise<void> {
    if (this.transaction) return;
    const transaction = new LibraryTransaction(this.runningWork, this.work.isWhole ?? false);
    this.transaction = transaction;
    try {
      await this.shared.turns.run(transaction, () => transaction.apply(wishes));
    } catch (error) {
      this.transaction = undefined;
      await transaction.rollBack();
      this.shared.turns.end(transaction);
      throw error;
    }
  }

  /** The work that a transaction would be a part of which began now. */
  get runningWork(): JoinableWork {
    const running = this.options.current?.();
    return running?.session === this.work.session ? running : this.work;
  }

  private async within(use: (transaction: LibraryTransaction) => Promise<void>): Promise<void> {
    const { transaction } = this;
    if (!transaction) {
      throw new ForbiddenStatementError('savepoints and SET TRANSACTION need a transaction: send BEGIN first');
    }
    await this.shared.turns.run(transaction, () => use(transaction));
  }

  /** Like the server, it takes an end without a BEGIN for none. */
  private async endTransaction(end: (transaction: LibraryTransaction) => Promise<void>): Promise<void> {
    const { transaction } = this;
    if (!transaction) return;
    if (this.work.isWhole && !this.released) throw new ForbiddenStatementError(NOT_OURS);
    this.transaction = undefined;
    try {
      await this.shared.turns.run(transaction, () => end(transaction));
    } finally {
      this.shared.turns.end(transaction);
    }
  }
}

function report(answer: Promise<AnyResult>, callback: QueryCallback): void {
  // In a turn of its own: what a callback throws is an uncaught exception, as with `pg`.
  answer.then(
    (result) => process.nextTick(callback, null, result),
    (error: unknown) => process.nextTick(callback, error, undefined),
  );
}

function emptyResult(command: string): QueryResult {
  return { command, rowCount: null, oid: 0, fields: [], rows: [] };
}
