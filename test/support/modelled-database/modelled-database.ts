import { invariant, randomChance, randomInteger, type Random, type VirtualClock } from '@concordat/foundation';
import { beginOf, type DatabaseIdentity, type RecognisedDatabase } from '@concordat/participant';
import { DatabaseError } from './database-error.js';
import type { AcceptorRow, LedgerRow, LocalTransaction, Movement } from './database-rows.js';
import { LockTable } from './lock-table.js';
import { MachineClock } from '@concordat/foundation/testing';

/** A write that a database has lost, and what it has of the branch now. */
export interface LostWrite {
  readonly kind: 'prepared' | 'ended' | 'ledger' | 'acceptor';
  readonly transactionId: string;
  readonly branchId: string;
  undo(): void;
}

/** More than a standby lags behind. */
const REMEMBERED_WRITES = 30;

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
  /** what an acceptor has voted, promised or accepted */
  acceptorSaved(database: ModelledDatabase, branchId: string, row: AcceptorRow): void;
  /** the last writes are gone, in a fail-over to a standby that did not have them */
  lost(database: ModelledDatabase, writes: readonly LostWrite[]): void;
  /** the ends of these branches are undone: they are prepared again */
  restored(database: ModelledDatabase, branchIds: readonly string[]): void;
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
  /** only the vote of an acceptor is kept */
  readonly forgetsBallots?: boolean;
}

export interface Prepared {
  readonly transaction: LocalTransaction;
  readonly transactionId: string;
  readonly branchId: string;
  /** in monotonic time: when it was prepared in truth */
  readonly preparedAt: number;
  /** when it was prepared by the clock of the database */
  readonly stamp: number;
}

/** All that a backup holds. */
interface Backup {
  readonly balances: ReadonlyMap<string, number>;
  readonly ledger: ReadonlyMap<string, LedgerRow>;
  readonly prepared: ReadonlyMap<string, Prepared>;
  readonly keys: ReadonlyMap<string, readonly string[]>;
}

/**
 * What two-phase commit needs of PostgreSQL, modelled: accounts with row locks, a ledger with a primary key,
 * prepared transactions that outlive crashes and keep their locks, and connections that break before or after any
 * statement. A statement that has been sent is carried out even when its client dies meanwhile.
 */
export class ModelledDatabase {
  readonly machine: MachineClock;
  readonly balances = new Map<string, number>();
  readonly ledger = new Map<string, LedgerRow>();
  readonly prepared = new Map<string, Prepared>();
  readonly acceptors = new Map<string, AcceptorRow>();
  readonly locks: LockTable;
  faults: DatabaseFaults = CALM_DATABASE;
  /** each adds and removes itself */
  readonly sessions = new Set<{ break(): void; worksOn(branchId: string): boolean }>();
  private reachable = true;
  /** which database it is, as its own table says */
  recognised: (RecognisedDatabase & { readonly abstainsBefore: number }) | undefined;
  /** goes up when connections are lost, so that the next ones are new */
  epoch = 0;
  private timeline = 1;
  private position = 0n;
  private readonly writes: LostWrite[][] = [];
  private backup: Backup | 'when something is prepared' | undefined;
  private lastTransaction = 0;

  constructor(
    readonly name: string,
    readonly clock: VirtualClock,
    readonly random: Random,
    readonly observer: DatabaseObserver,
    readonly lies: DatabaseLies = {},
  ) {
    this.locks = new LockTable(clock);
    this.machine = new MachineClock(clock);
  }

  get isUp(): boolean {
    return this.reachable;
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

  get identity(): DatabaseIdentity {
    return { systemIdentifier: this.name, timeline: this.timeline, position: this.position };
  }

  /** Whether its branches say nothing of a transaction, because they may have forgotten what they had promised. */
  abstains(transactionId: string): boolean {
    return beginOf(transactionId) < (this.recognised?.abstainsBefore ?? 0);
  }

  get rememberedWrites(): number {
    return this.writes.length;
  }

  /** The server is gone, and a standby that lacks its last writes takes its place. */
  failOver(missing: number): void {
    this.breakConnections();
    const lost = this.writes.splice(Math.max(0, this.writes.length - missing)).reverse();
    const undone = lost.flatMap((writes) => [...writes].reverse());
    for (const write of undone) write.undo();
    this.position -= BigInt(lost.length);
    this.timeline++;
    this.backup = undefined;
    this.observer.lost(this, undone);
  }

  /** An operator has made sure that nothing was lost that matters any more. */
  endAbstention(): void {
    if (this.recognised) this.recognised = { ...this.recognised, abstainsBefore: 0 };
  }

  /** Every connection breaks; the server goes on. */
  breakConnections(): void {
    this.epoch++;
    for (const session of this.sessions) session.break();
  }

  begin(): LocalTransaction {
    return {
      id: ++this.lastTransaction,
      balances: new Map(),
      ledger: new Map(),
      acceptors: new Map(),
      movements: [],
      failed: false,
    };
  }

  /**
   * Takes a backup, of a moment at which something is prepared. It is kept for as long as nothing has happened since
   * but that branches in it ended, so that to restore it loses no promise that anybody was given: whatever else was
   * committed after a backup is lost by its restore, and no protocol can make up for that.
   */
  backUp(): void {
    if (this.prepared.size === 0) {
      this.backup = 'when something is prepared';
      return;
    }
    const keys = new Map([...this.prepared].map(([gid, { transaction }]) => [gid, this.locks.keysOf(transaction.id)]));
    this.backup = {
      balances: new Map(this.balances),
      ledger: new Map(this.ledger),
      prepared: new Map(this.prepared),
      keys,
    };
  }

  forgetBackup(): void {
    this.backup = undefined;
  }

  get isBackedUp(): boolean {
    return this.backup !== undefined;
  }

  /** The branches that a restore of the backup would bring back. */
  endedSinceBackup(): Prepared[] {
    if (typeof this.backup !== 'object') return [];
    return [...this.backup.prepared].filter(([gid]) => !this.prepared.has(gid)).map(([, branch]) => branch);
  }

  /** Everything is again as it was when the backup was taken. */
  restore(): void {
    const { backup } = this;
    invariant(typeof backup === 'object', 'there is a backup');
    const broughtBack = this.endedSinceBackup();
    this.breakConnections();
    for (const { transaction } of broughtBack) invariant(this.locks.keysOf(transaction.id).length === 0, 'it ended');
    for (const [gid, { transaction }] of backup.prepared) {
      for (const key of backup.keys.get(gid) ?? []) {
        invariant(this.locks.tryAcquire(transaction.id, key), `${key} is free: all sessions are gone`);
      }
    }
    this.writes.length = 0;
    replaceAll(this.balances, backup.balances);
    replaceAll(this.ledger, backup.ledger);
    replaceAll(this.prepared, backup.prepared);
    this.backup = undefined;
    this.observer.restored(
      this,
      broughtBack.map(({ branchId }) => branchId),
    );
  }

  /** A prepared transaction out of a backup so old that nobody remembers it. False when its account is locked. */
  bringBack(gid: string, branch: { transactionId: string; branchId: string; movement: Movement }): boolean {
    const { transactionId, branchId, movement } = branch;
    const transaction = this.begin();
    if (!this.locks.tryAcquire(transaction.id, `account ${movement.account}`)) return false;
    for (const key of [`ledger ${branchId}`, `branch ${branchId}`]) this.locks.tryAcquire(transaction.id, key);
    transaction.balances.set(movement.account, (this.balances.get(movement.account) ?? 0) + movement.amount);
    transaction.ledger.set(branchId, { transactionId, outcome: 'committed', results: [null] });
    transaction.movements.push(movement);
    this.prepare(transaction, gid);
    return true;
  }

  /** Makes a transaction's changes visible and frees its locks. */
  apply(transaction: LocalTransaction, gid?: string): void {
    this.outdateBackup(transaction, gid);
    this.wrote(this.undosOf(transaction), gid !== undefined);
    for (const [account, balance] of transaction.balances) this.balances.set(account, balance);
    for (const [branchId, row] of transaction.ledger) {
      if (row.outcome === 'aborted' && this.lies.dropsTombstones) continue;
      this.ledger.set(branchId, row);
    }
    for (const [branchId, row] of transaction.acceptors) {
      if (!this.lies.forgetsBallots || !this.acceptors.has(branchId)) this.acceptors.set(branchId, row);
      this.observer.acceptorSaved(this, branchId, row);
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
    this.prepared.set(gid, {
      transaction,
      transactionId,
      branchId,
      preparedAt: this.clock.monotonic(),
      stamp: this.machine.now(),
    });
    const undo = (): void => {
      this.prepared.delete(gid);
      this.locks.release(transaction.id);
    };
    this.wrote([{ kind: 'prepared', transactionId, branchId, undo }], false);
    if (typeof this.backup === 'object') this.backup = undefined;
    this.observer.prepared({ database: this, transactionId, branchId });
    if (this.backup !== undefined) this.backUp();
  }

  commitPrepared(gid: string): void {
    this.apply(this.takePrepared(gid).transaction, gid);
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
    this.ends(gid, found);
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

  /** What is prepared ends: with what follows of it, one write. */
  private ends(gid: string, found: Prepared): void {
    const { transaction, transactionId, branchId } = found;
    const keys = this.locks.keysOf(transaction.id);
    this.prepared.delete(gid);
    const undo = (): void => {
      for (const key of keys) invariant(this.locks.tryAcquire(transaction.id, key), `${key} is free`);
      this.prepared.set(gid, found);
    };
    this.wrote([{ kind: 'ended', transactionId, branchId, undo }], false);
  }

  private wrote(writes: LostWrite[], belongsToLast: boolean): void {
    const last = this.writes.at(-1);
    if (belongsToLast && last) return void last.push(...writes);
    if (writes.length === 0) return;
    this.position++;
    this.writes.push(writes);
    if (this.writes.length > REMEMBERED_WRITES) this.writes.shift();
  }

  private undosOf({ balances, ledger, acceptors }: LocalTransaction): LostWrite[] {
    const undoOf = <V>(map: Map<string, V>, key: string): (() => void) => {
      const before = map.get(key);
      return () => void (before === undefined ? map.delete(key) : map.set(key, before));
    };
    const [owner] = [...ledger, ...acceptors];
    const accounts = [...balances.keys()].map((account) => undoOf(this.balances, account));
    const money: LostWrite[] = owner
      ? accounts.map((undo) => ({ kind: 'ledger', branchId: owner[0], transactionId: owner[1].transactionId, undo }))
      : [];
    return [
      ...money,
      ...[...ledger].map(([branchId, { transactionId }]): LostWrite => {
        return { kind: 'ledger', branchId, transactionId, undo: undoOf(this.ledger, branchId) };
      }),
      ...[...acceptors].map(([branchId, { transactionId }]): LostWrite => {
        return { kind: 'acceptor', branchId, transactionId, undo: undoOf(this.acceptors, branchId) };
      }),
    ];
  }

  private outdateBackup({ balances, ledger, acceptors }: LocalTransaction, gid: string | undefined): void {
    const { backup } = this;
    if (typeof backup === 'object' && acceptors.size > 0) this.backup = undefined; // others rely on what it promised
    if (typeof backup !== 'object' || (gid !== undefined && backup.prepared.has(gid))) return;
    const held = new Set([...backup.prepared.values()].map(({ branchId }) => branchId));
    const isTombstone = balances.size === 0 && [...ledger.keys()].every((branchId) => held.has(branchId));
    if (!isTombstone) this.backup = undefined;
  }

  private takePrepared(gid: string): Prepared {
    const found = this.prepared.get(gid);
    if (!found) throw new DatabaseError('undefined_object', `there is no prepared transaction ${gid}`);
    if (this.happens(this.faults.busy)) throw new DatabaseError('object_not_in_prerequisite_state', `${gid} is busy`);
    this.ends(gid, found);
    return found;
  }
}

function replaceAll<K, V>(target: Map<K, V>, source: ReadonlyMap<K, V>): void {
  target.clear();
  for (const [key, value] of source) target.set(key, value);
}
