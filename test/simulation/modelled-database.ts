import {
  invariant,
  randomChance,
  randomInteger,
  type JsonValue,
  type Random,
  type VirtualClock,
} from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import { DatabaseError } from './database-error.js';
import { LockTable } from './lock-table.js';
import type { SimulatedProcess } from './simulated-process.js';

export interface LedgerRow {
  readonly transactionId: string;
  readonly outcome: 'committed' | 'aborted';
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/** A change of one account, on behalf of what a client wanted. */
export interface Movement {
  readonly intent: string;
  readonly account: string;
  readonly amount: number;
}

/** What a checker is told of a database, at the instant at which it becomes durable. */
export interface DatabaseObserver {
  prepared(branch: { database: ModelledDatabase; transactionId: string; branchId: string }): void;
  committed(commit: {
    database: ModelledDatabase;
    gid: string | undefined;
    branchId: string | undefined;
    transactionId: string | undefined;
    movements: readonly Movement[];
  }): void;
  rolledBack(branch: { database: ModelledDatabase; gid: string; transactionId: string; branchId: string }): void;
}

export interface DatabaseFaults {
  readonly minimumLatencyMs: number;
  readonly maximumLatencyMs: number;
  /** the connection breaks before a statement reaches the server */
  readonly lossBefore: number;
  /** the connection breaks before its answer reaches the client */
  readonly lossAfter: number;
  /** somebody else works on the prepared transaction at the moment (55000) */
  readonly busy: number;
}

export const CALM_DATABASE: DatabaseFaults = {
  minimumLatencyMs: 0,
  maximumLatencyMs: 2,
  lossBefore: 0,
  lossAfter: 0,
  busy: 0,
};

/** Ways in which the database itself is made to lie, to see that the checker notices. */
export interface DatabaseLies {
  readonly dropsTombstones?: boolean;
  readonly ignoresPrimaryKey?: boolean;
  readonly forgetsPrepared?: boolean;
}

/** A local transaction: what it has written, and whether an error has spoiled it. */
export interface LocalTransaction {
  readonly id: number;
  readonly balances: Map<string, number>;
  readonly ledger: Map<string, LedgerRow>;
  readonly movements: Movement[];
  failed: boolean;
}

interface Prepared {
  readonly transaction: LocalTransaction;
  readonly transactionId: string;
  readonly branchId: string;
  readonly preparedAt: number;
}

/**
 * What two-phase commit needs of PostgreSQL, modelled: accounts with row locks, a ledger with a primary key,
 * prepared transactions that outlive crashes and keep their locks, and connections that break before or after any
 * statement. A statement that has been sent is carried out even when its client dies meanwhile.
 */
export class ModelledDatabase {
  readonly balances = new Map<string, number>();
  readonly ledger = new Map<string, LedgerRow>();
  readonly prepared = new Map<string, Prepared>();
  readonly locks: LockTable;
  faults: DatabaseFaults = CALM_DATABASE;
  private readonly sessions = new Set<DatabaseSession>();
  private reachable = true;
  private lastTransaction = 0;

  constructor(
    readonly name: string,
    readonly clock: VirtualClock,
    readonly random: Random,
    readonly observer: DatabaseObserver,
    readonly lies: DatabaseLies = {},
  ) {
    this.locks = new LockTable(clock);
  }

  get isUp(): boolean {
    return this.reachable;
  }

  connect(client: SimulatedProcess): DatabaseSession {
    const session = new DatabaseSession(this, client, (ended) => this.sessions.delete(ended));
    this.sessions.add(session);
    return session;
  }

  /** The server loses power: what is prepared or committed stays, all else is gone. */
  crash(): void {
    this.reachable = false;
    this.breakConnections();
    if (this.lies.forgetsPrepared) {
      for (const { transaction } of this.prepared.values()) this.locks.release(transaction.id);
      this.prepared.clear();
    }
  }

  restart(): void {
    this.reachable = true;
  }

  /** Every connection breaks; the server goes on. */
  breakConnections(): void {
    for (const session of this.sessions) session.break();
  }

  begin(): LocalTransaction {
    return { id: ++this.lastTransaction, balances: new Map(), ledger: new Map(), movements: [], failed: false };
  }

  /** Makes a transaction's changes visible and frees its locks. */
  apply(transaction: LocalTransaction, gid?: string): void {
    for (const [account, balance] of transaction.balances) this.balances.set(account, balance);
    for (const [branchId, row] of transaction.ledger) {
      if (row.outcome === 'aborted' && this.lies.dropsTombstones) continue;
      this.ledger.set(branchId, row);
    }
    const [branch] = transaction.ledger;
    this.observer.committed({
      database: this,
      gid,
      branchId: branch?.[0],
      transactionId: branch?.[1].transactionId,
      movements: transaction.movements,
    });
    this.locks.release(transaction.id);
  }

  discard(transaction: LocalTransaction): void {
    this.locks.release(transaction.id);
  }

  prepare(transaction: LocalTransaction, gid: string): void {
    const [branch] = transaction.ledger;
    invariant(branch, 'a branch is prepared with its ledger row');
    const [branchId, { transactionId }] = branch;
    this.prepared.set(gid, { transaction, transactionId, branchId, preparedAt: this.clock.now() });
    this.observer.prepared({ database: this, transactionId, branchId });
  }

  commitPrepared(gid: string): void {
    const { transaction } = this.takePrepared(gid);
    this.apply(transaction, gid);
  }

  rollbackPrepared(gid: string): void {
    const { transaction, transactionId, branchId } = this.takePrepared(gid);
    this.observer.rolledBack({ database: this, gid, transactionId, branchId });
    this.discard(transaction);
  }

  /** Somebody with the right to do so ends a prepared transaction, past all protocol. */
  endByHand(gid: string, how: 'commit' | 'abort'): void {
    const found = this.prepared.get(gid);
    invariant(found, 'it is prepared');
    this.prepared.delete(gid);
    if (how === 'commit') return this.apply(found.transaction, gid);
    const { transaction, transactionId, branchId } = found;
    this.observer.rolledBack({ database: this, gid, transactionId, branchId });
    this.discard(transaction);
  }

  drawLatencyMs(): number {
    return randomInteger(this.random, this.faults.minimumLatencyMs, this.faults.maximumLatencyMs);
  }

  happens(probability: number): boolean {
    return probability > 0 && randomChance(this.random, probability);
  }

  private takePrepared(gid: string): Prepared {
    const found = this.prepared.get(gid);
    if (!found) throw new DatabaseError('undefined_object', `there is no prepared transaction ${gid}`);
    if (this.happens(this.faults.busy)) throw new DatabaseError('object_not_in_prerequisite_state', `${gid} is busy`);
    this.prepared.delete(gid);
    return found;
  }
}

/**
 * One connection: statements one after another, also when the next is sent before the last is answered; at most
 * one transaction open. After an error in a transaction
 * only its end is accepted, and that end is a rollback, whatever was asked for.
 */
export class DatabaseSession {
  private transaction: LocalTransaction | undefined;
  private broken = false;
  private fail: (error: Error) => void = () => undefined;
  private readonly lost = new Promise<never>((_, reject) => (this.fail = reject));
  /** the end of the statements sent so far: the next one is carried out behind it */
  private tail: Promise<unknown> = Promise.resolve();
  private lockTimeoutMs = 1_000;
  private readonly forgetClient: () => void;

  constructor(
    private readonly database: ModelledDatabase,
    private readonly client: SimulatedProcess,
    private readonly onEnded: (session: DatabaseSession) => void,
  ) {
    this.lost.catch(() => undefined); // heard by the statements
    // The server notices a dead client only after a while.
    this.forgetClient = client.onDeath(() => {
      void database.clock.setTimer(randomInteger(database.random, 0, 300), () => this.break());
    });
  }

  /** Ends the connection from either side; an open transaction is rolled back. */
  break(): void {
    if (this.broken) return;
    this.broken = true;
    this.forgetClient();
    this.endTransaction();
    this.fail(connectionLost());
    this.onEnded(this);
  }

  begin(lockTimeoutMs: number): Promise<void> {
    return this.statement(() => this.beginNow(lockTimeoutMs));
  }

  /**
   * `concordat_open_branch`: begins and takes the branch's lock, which a prepared transaction keeps. Fails, and the
   * transaction with it, when somebody holds the lock or the ledger knows the branch.
   */
  openBranch(branchId: string, lockTimeoutMs: number): Promise<void> {
    return this.statement(async () => {
      this.beginNow(lockTimeoutMs);
      await this.spoiling((transaction) => {
        const locked = this.database.locks.tryAcquire(transaction.id, `branch ${branchId}`);
        if (locked && !this.database.ledger.has(branchId)) return;
        throw new DatabaseError('branch_occupied', `branch ${branchId} is at work, prepared or in the ledger`);
      });
    });
  }

  /** `SELECT ... FOR UPDATE`. */
  async readForUpdate(account: string): Promise<number> {
    return this.within(async (transaction) => {
      await this.lock(transaction, `account ${account}`);
      return transaction.balances.get(account) ?? this.database.balances.get(account) ?? 0;
    });
  }

  read(account: string): Promise<number> {
    return this.within((transaction) => transaction.balances.get(account) ?? this.database.balances.get(account) ?? 0);
  }

  update(movement: Movement, balance: number): Promise<void> {
    return this.within((transaction) => {
      transaction.balances.set(movement.account, balance);
      transaction.movements.push(movement);
    });
  }

  hasWritten(): Promise<boolean> {
    return this.within((transaction) => transaction.balances.size > 0 || transaction.ledger.size > 0);
  }

  /** The row, seen by a snapshot of its own. */
  readLedger(branchId: string): Promise<LedgerRow | undefined> {
    return this.statement(() => this.transaction?.ledger.get(branchId) ?? this.database.ledger.get(branchId));
  }

  isPrepared(gid: string): Promise<boolean> {
    return this.statement(() => this.database.prepared.has(gid));
  }

  listPrepared(): Promise<{ gid: string; transactionId: string; branchId: string; preparedAt: number }[]> {
    return this.statement(() =>
      [...this.database.prepared].map(([gid, { transactionId, branchId, preparedAt }]) => ({
        gid,
        transactionId,
        branchId,
        preparedAt,
      })),
    );
  }

  /** Ledger row and `PREPARE TRANSACTION` in one round trip; the command tag of the second. */
  insertAndPrepare(branchId: string, row: LedgerRow, gid: string): Promise<'PREPARE' | 'ROLLBACK'> {
    return this.statement(async (): Promise<'PREPARE' | 'ROLLBACK'> => {
      const transaction = await this.spoiling((open) => this.insert(open, branchId, row, 'fail'));
      if (this.database.prepared.has(gid)) {
        this.endTransaction();
        throw new DatabaseError('duplicate_object', `${gid} is prepared already`);
      }
      this.transaction = undefined;
      this.database.prepare(transaction, gid);
      return 'PREPARE';
    });
  }

  insertAndCommit(branchId: string, row: LedgerRow): Promise<'COMMIT' | 'ROLLBACK'> {
    return this.statement(async () => {
      await this.spoiling((open) => this.insert(open, branchId, row, 'fail'));
      return this.commitNow();
    });
  }

  /** A transaction of its own: the tombstone unless a row is there; then what is there, and whether it is prepared. */
  insertTombstone(
    branchId: string,
    row: LedgerRow,
    gid: string,
  ): Promise<{ ledger: LedgerRow | undefined; prepared: boolean }> {
    return this.statement(async () => {
      const transaction = this.database.begin();
      this.transaction = transaction;
      this.lockTimeoutMs = 100;
      try {
        await this.insert(transaction, branchId, row, 'skip');
      } catch (error) {
        this.endTransaction();
        throw error;
      }
      this.commitNow();
      return { ledger: this.database.ledger.get(branchId), prepared: this.database.prepared.has(gid) };
    });
  }

  commit(): Promise<'COMMIT' | 'ROLLBACK'> {
    return this.statement(() => this.commitNow());
  }

  rollback(): Promise<void> {
    return this.statement(() => this.endTransaction());
  }

  commitPrepared(gid: string): Promise<void> {
    return this.statement(() => this.database.commitPrepared(gid));
  }

  rollbackPrepared(gid: string): Promise<void> {
    return this.statement(() => this.database.rollbackPrepared(gid));
  }

  private beginNow(lockTimeoutMs: number): void {
    invariant(!this.transaction, 'one transaction at a time');
    this.transaction = this.database.begin();
    this.lockTimeoutMs = lockTimeoutMs;
  }

  private commitNow(): 'COMMIT' | 'ROLLBACK' {
    const { transaction } = this;
    invariant(transaction, 'there is a transaction to commit');
    if (transaction.failed) {
      this.endTransaction();
      return 'ROLLBACK';
    }
    this.transaction = undefined;
    this.database.apply(transaction);
    return 'COMMIT';
  }

  private endTransaction(): void {
    const { transaction } = this;
    this.transaction = undefined;
    if (transaction) this.database.discard(transaction);
  }

  private within<T>(effect: (transaction: LocalTransaction) => T | Promise<T>): Promise<T> {
    return this.statement(async () => {
      let value: T | undefined;
      await this.spoiling(async (transaction) => {
        value = await effect(transaction);
      });
      return value as T;
    });
  }

  /** An error inside a transaction spoils it. */
  private async spoiling(effect: (transaction: LocalTransaction) => void | Promise<void>): Promise<LocalTransaction> {
    const { transaction } = this;
    invariant(transaction, 'there is a transaction');
    if (transaction.failed) throw new DatabaseError('in_failed_transaction', 'the transaction has failed');
    try {
      await effect(transaction);
    } catch (error) {
      transaction.failed = true;
      throw error;
    }
    return transaction;
  }

  private async insert(
    transaction: LocalTransaction,
    branchId: string,
    row: LedgerRow,
    conflict: 'fail' | 'skip',
  ): Promise<void> {
    if (!this.database.lies.ignoresPrimaryKey) {
      await this.lock(transaction, `ledger ${branchId}`);
      if (this.database.ledger.has(branchId)) {
        if (conflict === 'skip') return;
        throw new DatabaseError('unique_violation', `branch ${branchId} is in the ledger`);
      }
    }
    transaction.ledger.set(branchId, row);
  }

  private async lock(transaction: LocalTransaction, key: string): Promise<void> {
    await this.database.locks.acquire(transaction.id, key, this.lockTimeoutMs);
    // the connection may have been lost, and its transaction rolled back, while it waited
    if (this.transaction !== transaction) throw connectionLost();
  }

  private statement<T>(effect: () => T | Promise<T>): Promise<T> {
    if (!this.client.isAlive) return new Promise(() => undefined); // its code has ended right there
    return this.client.hear(this.carryOut(effect));
  }

  private carryOut<T>(effect: () => T | Promise<T>): Promise<T> {
    const { database, tail } = this;
    const work = async (): Promise<T> => {
      await tail;
      await new Promise<void>((resolve) => void database.clock.setTimer(database.drawLatencyMs(), resolve));
      if (!database.isUp || database.happens(database.faults.lossBefore)) this.break();
      if (this.broken) throw connectionLost();
      const value = await effect();
      if (database.happens(database.faults.lossAfter)) this.break();
      return value;
    };
    const working = work();
    this.tail = working.catch(() => undefined); // heard through the race
    return Promise.race([this.lost, working]);
  }
}

function connectionLost(): DatabaseError {
  return new DatabaseError('connection_lost', 'the connection is lost');
}
