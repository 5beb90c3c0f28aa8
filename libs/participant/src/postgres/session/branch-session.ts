import type { PoolClient } from 'pg';
import {
  TimeLimitError,
  invariant,
  withTimeLimit,
  type Clock,
  type JsonValue,
  type Logger,
} from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { OperationBranch } from '../../runtime/participant-runtime.types.js';
import { branchErrorOf } from './branch-failure.js';
import { destroy } from '../connections/destroy.js';
import { BranchTimeoutError } from '../errors.js';
import { requireTag } from '../statements/answers.js';
import type { SessionFate } from '../statements/failure-classes.js';
import type { BoundManager, HandlerLibraries } from '../joining/handler-libraries.js';
import { SessionWork } from '../joining/session-work.js';
import { GuardedClient, type BranchClient } from './guarded-client.js';
import { SessionCondition } from './session-condition.js';
import type { BeginLimits, BranchStatements, ClosedSession } from '../statements/branch-statements.js';
import { BRANCH_OCCUPIED, sqlStateOf } from '../statements/sql-state.js';
import type { PostgresContext, Work } from './context.js';
import { SelfBlockWatch } from './self-block-watch.js';

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
  readonly libraries: HandlerLibraries;
  /** time for a statement of the library, in milliseconds */
  readonly answerTimeoutMs: number;
}

/**
 * The local transaction of one branch on one connection: open, work, finish. `run` is all three in one call; a held
 * branch calls `open` and, later, `finish` or `abandon`. Afterwards the connection has no transaction open and no trace
 * of the branch, or `fate` says that it must not be used again.
 *
 * States: new → open → finishing → ended; `abandon` ends it from any of them.
 */
export class BranchSession {
  private readonly condition = new SessionCondition();
  private readonly guarded: GuardedClient;
  private readonly allWork: SessionWork;
  private bound: BoundManager | undefined;
  private opening: Promise<void> | undefined;
  private left: string | undefined;
  private abandoned = false;
  private draining = false;

  constructor(
    private readonly client: PoolClient,
    private readonly branch: OperationBranch,
    private readonly ports: BranchSessionPorts,
  ) {
    this.guarded = new GuardedClient(client, this.condition);
    this.allWork = SessionWork.of(this.guarded);
  }

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
    const held = this.ports.statements.beforeBegin();
    if (held) await held;
    // Not awaited before the work: its first statement is sent right after, and does nothing if this fails.
    const opening = this.begin(limits);
    try {
      const results = await this.work(limits.handlersMs, work);
      await opening;
      return await this.close(closing, results);
    } catch (cause) {
      return this.fail(cause, opening);
    }
  }

  /**
   * Begins, for a branch that is held between calls.
   *
   * @param isNew nobody else can work on the branch: the first statement is sent right behind the opening, without waiting
   *   for its answer. If that is an error, statements fail with it, and `opened` rejects
   * @throws the error of the opening; the session has ended then
   */
  async open(limits: BeginLimits, isNew: boolean): Promise<void> {
    const held = this.ports.statements.beforeBegin();
    if (held) await held;
    try {
      const opening = this.begin(limits);
      if (isNew) this.guarded.follow(opening);
      else await opening;
      this.bound = await this.ports.libraries.bind(this.allWork);
    } catch (error) {
      this.guarded.close();
      await this.rollback();
      throw error;
    }
  }

  /**
   * Ends a held branch: refuses further statements, waits for the running ones, and prepares or commits.
   *
   * @param drainMs how long the running statements may take, in milliseconds
   */
  async finish(closing: Closing, drainMs: number, results: readonly JsonValue[]): Promise<WorkAttempt> {
    const { opening } = this;
    invariant(opening, 'a session is opened before it is finished');
    try {
      this.guarded.close();
      await this.drain(drainMs);
      await opening;
      return await this.close(closing, results);
    } catch (cause) {
      return this.fail(cause, opening);
    }
  }

  /** Settles as the opening does. */
  get opened(): Promise<void> {
    invariant(this.opening, 'a session is opened before it is used');
    return this.opening;
  }

  /** Whether `finish` waits for statements of the application. */
  get isDraining(): boolean {
    return this.draining;
  }

  /** Ends the session without an answer of the server, whatever it is doing; its transaction is rolled back there. */
  abandon(): void {
    this.abandoned = true;
    this.condition.worsen('dead');
    this.guarded.close();
    destroy(this.client);
  }

  /** Rolls a held branch back; a running statement is not waited for. */
  async discard(): Promise<void> {
    this.guarded.close();
    if (this.guarded.isWaiting) this.abandon();
    await this.rollback();
    await this.bound?.release();
  }

  /** What a held branch is worked on with; the same for the whole session. */
  get context(): PostgresContext {
    invariant(this.bound, 'a session is opened before it is used');
    return contextOf(this.branch, this.guarded, this.bound);
  }

  /**
   * From now on, a statement that takes long is asked whether it waits for its own transaction.
   *
   * @param endSelfBlock ends such a wait of this server process; whether there was one
   */
  watchSelfBlocks(logger: Logger, endSelfBlock: (processId: number) => Promise<boolean>): void {
    const { processID } = this.client as unknown as { readonly processID: number };
    this.guarded.observeWaits(
      new SelfBlockWatch({
        branch: this.branch,
        clock: this.ports.clock,
        logger,
        endSelfBlock: () => endSelfBlock(processID),
        onSelfBlocked: () => this.guarded.selfBlocked(),
      }),
    );
  }

  /** The connection was lost while nothing was asked. */
  lost(error: unknown): void {
    this.condition.failed(error);
    this.condition.worsen('dead');
  }

  private async drain(limitMs: number): Promise<void> {
    this.draining = true;
    try {
      await this.within(limitMs, 'the statements of a held branch', this.guarded.idle());
      if (this.fate === 'dead') throw this.condition.lastFailure;
      await this.bound?.release();
    } finally {
      this.draining = false;
    }
  }

  private begin(limits: BeginLimits): Promise<void> {
    const { client, branch } = this;
    const opening = this.answer('the opening of a branch', this.ports.statements.begin(client, branch, limits));
    opening.catch(() => {
      if (this.fate === 'dead') destroy(client); // otherwise the handlers' statements would wait behind it
    }); // awaited by the caller
    return (this.opening = opening);
  }

  private async fail(cause: unknown, opening: Promise<void>): Promise<WorkAttempt> {
    this.guarded.close();
    const error = branchErrorOf(cause, this.guarded.lastFailure);
    const occupied = await isOccupied(opening);
    await this.rollback();
    if (occupied) return { type: 'occupied' };
    return { type: 'failed', error, cause };
  }

  /** A dead connection has rolled back, or will when the server notices. */
  private async rollback(): Promise<void> {
    if (this.fate === 'dead') return;
    try {
      const { wasPlain } = this.guarded;
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

  private async work(handlersMs: number, work: Work): Promise<readonly JsonValue[]> {
    const { allWork, branch } = this;
    const { libraries } = this.ports;
    const bound = (this.bound = await libraries.bind(allWork));
    try {
      const working = libraries.run(allWork, () => work(contextOf(branch, allWork, bound)));
      const results = await this.within(handlersMs, 'the handlers of a branch', working);
      allWork.refuseUnfinished();
      return results;
    } finally {
      this.guarded.close();
      await bound.release();
    }
  }

  /**
   * Awaits what the application does. When its time is used up, the session ends, and the error says whether it waited
   * for the database or for something else.
   */
  private async within<T>(limitMs: number, what: string, working: Promise<T>): Promise<T> {
    try {
      return await withTimeLimit(this.ports.clock, limitMs, what, working);
    } catch (error) {
      if (!(error instanceof TimeLimitError)) throw error;
      const code = this.guarded.isWaiting ? 'DATABASE_TIMEOUT' : 'HANDLER_TIMEOUT';
      this.abandon();
      throw new BranchTimeoutError(code, { cause: error });
    }
  }

  private async close(closing: Closing, results: readonly JsonValue[]): Promise<WorkAttempt> {
    const { client, branch, guarded } = this;
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

function contextOf(branch: OperationBranch, client: BranchClient, bound: BoundManager): PostgresContext {
  return {
    branch,
    client,
    get manager() {
      return bound.manager;
    },
  };
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
