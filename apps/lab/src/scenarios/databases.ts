import pg from 'pg';
import { LabError } from '../lab-error.js';
import { isBank, type SystemState } from '../local-system/system-file.js';
import type { AccountName, Balances } from './truth.js';

const CONNECTION_TIMEOUT_MS = 3000;

export interface PreparedBranchIds {
  readonly transactionId: string;
  readonly branchId: string;
}

/** The ledger row of a branch that has ended. */
export interface LedgerEntry {
  readonly branchId: string;
  readonly outcome: string;
  readonly updatedAt: string;
}

/** The acceptor's row of a branch in three phases. */
export interface AcceptorEntry {
  readonly vote: string;
  readonly accepted: string | null;
  readonly decision: string | null;
}

/** The banks' databases, read directly: the truth, whatever a service answers. */
export class Databases {
  private readonly urls: ReadonlyMap<string, string>;

  constructor(private readonly system: SystemState) {
    const banks = system.processes.filter(isBank);
    this.urls = new Map(banks.map(({ name, databaseUrl }) => [name, databaseUrl ?? '']));
    if (this.urls.size === 0) throw new LabError('The running system has no banks, and the scenarios need them.');
  }

  async balances(): Promise<Balances> {
    const all = new Map<string, bigint>();
    for (const bank of this.urls.keys()) {
      const rows = await this.query<{ id: string; balance: string }>(bank, 'SELECT id, balance FROM account');
      for (const { id, balance } of rows) all.set(`${bank}/${id}`, BigInt(balance));
    }
    return all;
  }

  /** Concordat's prepared transactions in one bank's database. */
  async prepared(bank: string): Promise<string[]> {
    const rows = await this.query<{ gid: string }>(
      bank,
      'SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, $1)',
      [`concordat:${this.system.clusterName}:`],
    );
    return rows.map(({ gid }) => gid);
  }

  /** The same for all banks. Skips a database that is down. */
  async preparedAnywhere(): Promise<{ bank: string; gid: string }[]> {
    const found: { bank: string; gid: string }[] = [];
    for (const bank of this.urls.keys()) {
      const gids = await this.prepared(bank).catch(() => []);
      found.push(...gids.map((gid) => ({ bank, gid })));
    }
    return found;
  }

  /** Rolls a prepared transaction back, whatever was decided, as anybody with psql could. */
  async rollBackByHand(bank: string, gid: string): Promise<void> {
    await this.query(bank, `ROLLBACK PREPARED ${pg.escapeLiteral(gid)}`);
  }

  /** Rolls a prepared transaction back if it exists; returns whether it did. */
  async removePrepared(bank: string, gid: string): Promise<boolean> {
    const rows = await this.query(
      bank,
      'SELECT FROM pg_prepared_xacts WHERE database = current_database() AND gid = $1',
      [gid],
    );
    if (rows.length > 0) await this.rollBackByHand(bank, gid);
    return rows.length > 0;
  }

  /** All gids that are prepared in one bank's database, of any program. */
  async preparedByAnybody(bank: string): Promise<string[]> {
    const text = 'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()';
    return (await this.query<{ gid: string }>(bank, text)).map(({ gid }) => gid);
  }

  /**
   * Prepares a transaction by hand, under any gid. It opens an account with one unit of money, so that the sum of the
   * money shows whether it is ever committed. With a branch, it includes the ledger row as the SDK writes it.
   */
  async prepareByHand(bank: string, gid: string, account: string, branch?: PreparedBranchIds): Promise<void> {
    await this.connected(bank, async (client) => {
      await client.query('BEGIN');
      await client.query('INSERT INTO account (id, balance) VALUES ($1, 1)', [account]);
      if (branch) {
        const { branchId, transactionId } = branch;
        const row = 'INSERT INTO concordat_branch (branch_id, transaction_id, outcome, result)';
        await client.query(`${row} VALUES ($1, $2, 'committed', '[]')`, [branchId, transactionId]);
      }
      const { command } = await client.query(`PREPARE TRANSACTION ${pg.escapeLiteral(gid)}`);
      if (command !== 'PREPARE') throw new LabError(`"${gid}" could not be prepared at ${bank}: ${command}.`);
    });
  }

  /** Locks the row of an account, as any other transaction would, until the returned function is called. */
  async holdAccount({ bank, account }: AccountName): Promise<() => Promise<void>> {
    const client = this.client(bank);
    await client.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM account WHERE id = $1 FOR UPDATE', [account]);
    return () => client.end();
  }

  /** A bank's ledger rows of a transaction, by branch. */
  async ledger(bank: string, transactionId: string): Promise<LedgerEntry[]> {
    const text = `SELECT branch_id AS "branchId", outcome, updated_at::text AS "updatedAt" FROM concordat_branch
      WHERE transaction_id = $1 ORDER BY branch_id`;
    return await this.query<LedgerEntry>(bank, text, [transactionId]);
  }

  /** The acceptor's row of a bank's branch; undefined where it has none. */
  async acceptor(bank: string, transactionId: string): Promise<AcceptorEntry | undefined> {
    const text = `SELECT vote, accepted_value AS accepted, decision FROM concordat_acceptor WHERE transaction_id = $1`;
    return (await this.query<AcceptorEntry>(bank, text, [transactionId]))[0];
  }

  /** The timeline of a bank's database; each promotion of a standby begins a new one. */
  async timeline(bank: string): Promise<number> {
    const text = 'SELECT timeline_id AS "timelineId" FROM pg_control_checkpoint()';
    return (await this.query<{ timelineId: number }>(bank, text))[0]?.timelineId ?? 0;
  }

  /** Changes a balance by hand, outside of any transaction, as an operator who repairs data. */
  async addByHand(name: AccountName, amount: number): Promise<void> {
    const text = 'UPDATE account SET balance = balance + $2 WHERE id = $1 RETURNING id';
    const rows = await this.query(name.bank, text, [name.account, amount]);
    if (rows.length !== 1) throw new LabError(`${name.bank} has no account ${name.account} to repair.`);
  }

  async wholeLedger(): Promise<Map<string, LedgerEntry & { readonly transactionId: string }>> {
    const all = new Map<string, LedgerEntry & { readonly transactionId: string }>();
    const text = `SELECT branch_id AS "branchId", transaction_id AS "transactionId", outcome,
      updated_at::text AS "updatedAt" FROM concordat_branch`;
    for (const bank of this.urls.keys()) {
      for (const row of await this.query<LedgerEntry & { transactionId: string }>(bank, text))
        all.set(row.branchId, row);
    }
    return all;
  }

  private async query<Row>(bank: string, text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return await this.connected(bank, async (client) => (await client.query(text, [...values])).rows as Row[]);
  }

  private async connected<Result>(bank: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = this.client(bank);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  private client(bank: string): pg.Client {
    const connectionTimeoutMillis = CONNECTION_TIMEOUT_MS;
    const client = new pg.Client({ connectionString: this.urls.get(bank), connectionTimeoutMillis });
    client.on('error', () => undefined); // the server may be killed at any moment
    return client;
  }
}
