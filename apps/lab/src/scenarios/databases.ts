import pg from 'pg';
import { LabError } from '../lab-error.js';
import type { SystemState } from '../local-system/system-file.js';

/** Balances of all banks: `bank-a/acc-0` to minor units. */
export type Balances = ReadonlyMap<string, bigint>;

const CONNECTION_TIMEOUT_MS = 3000;

/** The banks' databases, asked directly: what is true, whatever any service says. */
export class Databases {
  private readonly urls: ReadonlyMap<string, string>;

  constructor(private readonly system: SystemState) {
    const banks = system.processes.filter(({ role }) => role === 'participant');
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

  /** The prepared transactions of ours in one bank's database. */
  async prepared(bank: string): Promise<string[]> {
    const rows = await this.query<{ gid: string }>(
      bank,
      'SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, $1)',
      [`concordat:${this.system.clusterName}:`],
    );
    return rows.map(({ gid }) => gid);
  }

  /** The same for all banks, as `bank gid`. A database that is down is left out. */
  async preparedAnywhere(): Promise<{ bank: string; gid: string }[]> {
    const found: { bank: string; gid: string }[] = [];
    for (const bank of this.urls.keys()) {
      const gids = await this.prepared(bank).catch(() => []);
      found.push(...gids.map((gid) => ({ bank, gid })));
    }
    return found;
  }

  /** What somebody with psql could do: rolls a prepared transaction back, whatever was decided. */
  async rollBackByHand(bank: string, gid: string): Promise<void> {
    await this.query(bank, `ROLLBACK PREPARED ${pg.escapeLiteral(gid)}`);
  }

  private async query<Row>(bank: string, text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({
      connectionString: this.urls.get(bank),
      connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
    });
    client.on('error', () => undefined); // the server may be killed at any moment here
    await client.connect();
    try {
      return (await client.query(text, [...values])).rows as Row[];
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
