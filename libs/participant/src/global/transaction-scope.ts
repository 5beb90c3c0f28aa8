import { invariant } from '@concordat/foundation';
import type { QueryConfig, QueryResult, QueryResultRow } from 'pg';
import type { NestedWork, PostgresContext } from '../postgres/index.js';
import type { BranchId } from '@concordat/commit-protocol';
import { HandleClosedError } from './errors.js';
import { HookList } from './hooks.js';
import type { GlobalOutcome } from './ports.js';
import type { ProcessTransaction, RunningMethod } from './process-transaction.js';

let begunCount = 0;

/**
 * One running method of a global transaction: what AsyncLocalStorage holds.
 *
 * States: open → closed, when the method has settled. A closed scope refuses statements and calls, and dooms the
 * transaction for each: somebody forgot an `await`.
 */
export class TransactionScope implements RunningMethod, NestedWork {
  /** higher than that of any scope in this process that began before */
  readonly order = ++begunCount;
  /** of this method, and of those inside it that succeeded */
  readonly hooks = new HookList();
  /** the scope around it that REQUIRES_NEW suspends while this transaction runs */
  readonly suspended: TransactionScope | undefined;
  private readonly inner = new Set<TransactionScope>();
  private readonly whenIdle: (() => void)[] = [];
  private running = 0;
  private open = true;
  private joinedElsewhere = false;
  private readonly joinedElsewhereBefore: number;

  /** @param parent the method around it in the same transaction, as far as this process knows */
  constructor(
    readonly transaction: ProcessTransaction,
    readonly parent: TransactionScope | undefined,
    readonly needsSavepoint: boolean,
    suspended?: TransactionScope,
  ) {
    this.suspended = suspended ?? parent?.suspended;
    this.joinedElsewhereBefore = transaction.joinedElsewhereCount;
    parent?.inner.add(this);
  }

  get isOpen(): boolean {
    return this.open;
  }

  /** Whether other services have worked in this method; no savepoint undoes that. */
  get hasJoinedElsewhere(): boolean {
    return this.joinedElsewhere;
  }

  suspendedBranches(): BranchId[] {
    const { suspended } = this;
    if (!suspended) return [];
    const { ownBranch } = suspended.transaction;
    return [...(ownBranch === undefined ? [] : [ownBranch]), ...suspended.suspendedBranches()];
  }

  noteJoinedElsewhere(): void {
    for (const one of this.line()) one.joinedElsewhere = true;
    this.transaction.noteJoinedElsewhere();
  }

  get transactionId(): string {
    return this.transaction.transactionId;
  }

  /** The same for all methods of the transaction in this process. */
  get session(): object {
    return this.transaction;
  }

  afterDecision(hook: (outcome: GlobalOutcome) => Promise<void>): void {
    this.hooks.add('committed', () => hook('committed'));
    this.hooks.add('aborted', () => hook('aborted'));
  }

  /** Takes the savepoint of this method, for a library that sends its statements by itself. */
  async enter(): Promise<void> {
    await this.context();
  }

  /** A transaction of a database library inside the method. */
  nested(): NestedWork {
    this.refuseLate();
    const part = new TransactionScope(this.transaction, this, true);
    this.transaction.beginPart(part);
    return part;
  }

  /** The part succeeded. @throws RollbackOnlyError when the database has refused one of its statements */
  async keep(): Promise<void> {
    this.transaction.endPart(this);
    await this.close();
    await this.transaction.keep(this);
  }

  /** The part failed. @throws RollbackOnlyError when it cannot be undone alone; the transaction is doomed */
  async undo(): Promise<void> {
    const { transaction } = this;
    transaction.endPart(this);
    await this.close();
    const hasJoinedElsewhere = transaction.joinedElsewhereCount > this.joinedElsewhereBefore;
    if (!hasJoinedElsewhere && (await transaction.undo(this))) return;
    const why = hasJoinedElsewhere ? 'another service has joined in it' : 'other statements have run in its session';
    const message = `a transaction of a database library was rolled back and cannot be undone alone, because ${why}`;
    transaction.doom({ code: 'NOT_UNDONE', by: transaction.participant, message });
    transaction.refuseDoomed();
  }

  /** Runs a statement on the one session that the transaction has in this process; opens it if need be. */
  query<Row extends QueryResultRow = QueryResultRow>(
    text: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>> {
    return this.during(() => this.transaction.query<Row>(this, text, values));
  }

  /** The session itself, behind this method's savepoint; for libraries that bring their own way to send statements. */
  context(): Promise<PostgresContext> {
    return this.during(() => this.transaction.enter(this));
  }

  /** The method does not end before `work` has settled. @throws HandleClosedError when it has ended */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const release = this.occupy();
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** The method does not end before the returned function is called. @throws HandleClosedError when it has ended */
  occupy(): () => void {
    this.refuseLate();
    for (const one of this.line()) one.running++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      for (const one of this.line()) one.settled();
    };
  }

  /** @throws HandleClosedError when the method has ended */
  refuseLate(): void {
    if (this.open) return;
    const late = new HandleClosedError(this.transaction.transactionId);
    this.transaction.doom({ code: late.code, by: this.transaction.participant, message: late.message, cause: late });
    throw late;
  }

  /** The method has settled: nothing more is accepted, and what runs is awaited, of the methods inside it, too. */
  async close(): Promise<void> {
    this.closeAll();
    if (this.running > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
    this.parent?.inner.delete(this);
  }

  /** This method and those around it. */
  private line(): TransactionScope[] {
    return [this, ...(this.parent?.line() ?? [])];
  }

  private closeAll(): void {
    this.open = false;
    for (const one of this.inner) one.closeAll();
  }

  private settled(): void {
    invariant(this.running > 0, 'what settles was running');
    this.running--;
    if (this.running === 0) for (const resolve of this.whenIdle.splice(0)) resolve();
  }
}
