import { invariant, randomInteger } from '@concordat/foundation';
import { BranchAbstainsError, type DatabaseIdentity } from '@concordat/participant';
import { DatabaseError } from './database-error.js';
import type { AcceptorRow, LedgerRow, LocalTransaction, Movement } from './database-rows.js';
import type { ModelledDatabase } from './modelled-database.js';
import type { SimulatedProcess } from '@concordat/foundation/testing';

/**
 * One connection: statements one after another, also when the next is sent before the last is answered; at most
 * one transaction open. After an error in a transaction only its end is accepted, and that end is a rollback, whatever
 * was asked for.
 */
export class DatabaseSession {
  private transaction: LocalTransaction | undefined;
  private broken = false;
  private fail: (error: Error) => void = () => undefined;
  private readonly lost = new Promise<never>((_, reject) => (this.fail = reject));
  /** the end of the statements sent so far: the next one is carried out behind it */
  private tail: Promise<unknown> = Promise.resolve();
  private lockTimeoutMs = 1_000;
  private unanswered = 0;
  private readonly forgetClient: () => void;
  private openedBranch: string | undefined;

  constructor(
    private readonly database: ModelledDatabase,
    private readonly client: SimulatedProcess,
  ) {
    this.lost.catch(() => undefined); // heard by the statements
    database.sessions.add(this);
    // The server notices a dead client only after a while.
    this.forgetClient = client.onDeath(() => {
      void database.clock.setTimer(randomInteger(database.random, 0, 300), () => this.break());
    });
  }

  /** Whether the database owes the client an answer. */
  get isWaiting(): boolean {
    return this.unanswered > 0;
  }

  /** Resolves when the connection has ended, from either side. */
  get ended(): Promise<void> {
    return this.lost.catch(() => undefined);
  }

  /** Ends the connection from either side; an open transaction is rolled back. */
  break(): void {
    if (this.broken) return;
    this.broken = true;
    this.forgetClient();
    this.endTransaction();
    this.fail(connectionLost());
    this.database.sessions.delete(this);
  }

  begin(lockTimeoutMs: number): Promise<void> {
    return this.statement(() => this.beginNow(lockTimeoutMs));
  }

  /**
   * `concordat_begin_branch`: begins and takes the branch's lock, which a prepared transaction keeps. Fails, and the
   * transaction with it, when somebody holds the lock or the ledger knows the branch.
   */
  openBranch(branchId: string, lockTimeoutMs: number): Promise<void> {
    return this.statement(async () => {
      this.beginNow(lockTimeoutMs);
      await this.spoiling((transaction) => {
        this.openedBranch = branchId;
        const locked = this.database.locks.tryAcquire(transaction.id, `branch ${branchId}`);
        if (locked && !this.database.ledger.has(branchId)) return;
        throw new DatabaseError('branch_occupied', `branch ${branchId} is at work, prepared or in the ledger`);
      });
    });
  }

  /** `pg_terminate_backend` of the sessions that hold the branch's lock. */
  endSessionsOf(branchId: string): Promise<void> {
    return this.statement(() => {
      for (const session of [...this.database.sessions]) if (session.worksOn(branchId)) session.break();
    });
  }

  worksOn(branchId: string): boolean {
    return this.openedBranch === branchId && this.transaction !== undefined && !this.transaction.failed;
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

  listPrepared(): Promise<{ gid: string; transactionId: string; branchId: string; ageMs: number }[]> {
    return this.statement(() =>
      [...this.database.prepared].map(([gid, { transactionId, branchId, stamp }]) => ({
        gid,
        transactionId,
        branchId,
        ageMs: this.database.machine.now() - stamp,
      })),
    );
  }

  /** Ledger row and `PREPARE TRANSACTION` in one round trip; the command tag of the second. */
  insertAndPrepare(branchId: string, row: LedgerRow, gid: string): Promise<'PREPARE' | 'ROLLBACK'> {
    return this.statement(async (): Promise<'PREPARE' | 'ROLLBACK'> => {
      await this.spoiling((open) => this.insert(open, branchId, row, 'fail'));
      return this.prepareNow(gid);
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

  readAcceptor(branchId: string): Promise<AcceptorRow | undefined> {
    return this.statement(() => this.database.acceptors.get(branchId));
  }

  /** A transaction of its own: the row unless there is one; the one that is there then. */
  insertAcceptor(branchId: string, row: AcceptorRow): Promise<AcceptorRow> {
    return this.statement(async () => {
      this.beginNow(500);
      const { transaction } = this;
      invariant(transaction, 'it has begun');
      try {
        await this.lock(transaction, `acceptor ${branchId}`);
      } catch (error) {
        this.endTransaction();
        throw error;
      }
      const present = this.database.acceptors.get(branchId);
      if (this.database.abstains(row.transactionId)) {
        this.endTransaction();
        throw new BranchAbstainsError(branchId);
      }
      if (!present) transaction.acceptors.set(branchId, row);
      this.commitNow();
      return present ?? row;
    });
  }

  /** Begins, and holds the row, or its place, until the end. */
  lockAcceptor(branchId: string, lockTimeoutMs: number): Promise<AcceptorRow | undefined> {
    return this.statement(async () => {
      this.beginNow(lockTimeoutMs);
      let row: AcceptorRow | undefined;
      await this.spoiling(async (transaction) => {
        await this.lock(transaction, `acceptor ${branchId}`);
        row = this.database.acceptors.get(branchId);
      });
      return row;
    });
  }

  /** Writes the row that is held, and commits. */
  saveAcceptor(branchId: string, row: AcceptorRow): Promise<void> {
    return this.statement(async () => {
      await this.spoiling((transaction) => void transaction.acceptors.set(branchId, row));
      this.commitNow();
    });
  }

  /** Which database it is, and which one its table says that it was. */
  identify(): Promise<{ identity: DatabaseIdentity; stored: ModelledDatabase['recognised'] }> {
    return this.statement(() => ({ identity: this.database.identity, stored: this.database.recognised }));
  }

  recognise({ systemIdentifier, timeline }: DatabaseIdentity, limit: number): Promise<void> {
    return this.statement(() => {
      const abstainsBefore = Math.max(limit, this.database.recognised?.abstainsBefore ?? 0);
      this.database.recognised = { systemIdentifier, timeline, abstainsBefore };
    });
  }

  abstains(transactionId: string): Promise<boolean> {
    return this.statement(() => this.database.abstains(transactionId));
  }

  readTrace(branchId: string, gid: string): Promise<{ ledger: LedgerRow | undefined; prepared: boolean }> {
    return this.statement(() => ({
      ledger: this.database.ledger.get(branchId),
      prepared: this.database.prepared.has(gid),
    }));
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

  /** In a transaction that has failed it rolls back, says so, and that is no error. */
  private prepareNow(gid: string): 'PREPARE' | 'ROLLBACK' {
    const { transaction } = this;
    invariant(transaction, 'there is a transaction to prepare');
    if (transaction.failed) {
      this.endTransaction();
      return 'ROLLBACK';
    }
    if (this.database.prepared.has(gid)) {
      this.endTransaction();
      throw new DatabaseError('duplicate_object', `${gid} is prepared already`);
    }
    this.transaction = undefined;
    this.database.prepare(transaction, gid);
    return 'PREPARE';
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
        if (conflict === 'skip') return this.upgradeTombstone(transaction, branchId, row);
        throw new DatabaseError('unique_violation', `branch ${branchId} is in the ledger`);
      }
    }
    transaction.ledger.set(branchId, row);
  }

  /** A tombstone that says nothing of the decision says it once that was told. */
  private upgradeTombstone(transaction: LocalTransaction, branchId: string, row: LedgerRow): void {
    const found = this.database.ledger.get(branchId);
    if (row.isDecided && found?.outcome === 'aborted' && found.transactionId === row.transactionId)
      transaction.ledger.set(branchId, { ...found, isDecided: true });
  }

  private async lock(transaction: LocalTransaction, key: string): Promise<void> {
    await this.database.locks.acquire(transaction.id, key, this.lockTimeoutMs);
    // the connection may have been lost, and its transaction rolled back, while it waited
    if (this.transaction !== transaction) throw connectionLost();
  }

  private statement<T>(effect: () => T | Promise<T>): Promise<T> {
    if (!this.client.isAlive) return new Promise(() => undefined); // its code has ended right there
    this.unanswered++;
    const answer = this.client.hear(this.carryOut(effect));
    const answered = (): void => void this.unanswered--;
    answer.then(answered, answered);
    return answer;
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
