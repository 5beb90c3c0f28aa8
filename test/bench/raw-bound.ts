import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Attempt } from './closed-loop.js';

/** How the two databases are asked: both at once, or (for rows that everybody wants) one after the other. */
export type RawOrder = 'parallel' | 'in-order';

/**
 * The bound that a coordinator cannot beat: two-phase commit over two PostgreSQL servers by the client itself,
 * with nothing durable about the decision. Two statements per server and transfer, a connection per client.
 */
export class RawBound {
  private constructor(private readonly connections: readonly (readonly [pg.Client, pg.Client])[]) {}

  static async connect(databaseUrls: readonly [string, string], clients: number): Promise<RawBound> {
    const open = async (connectionString: string): Promise<pg.Client> => {
      const client = new pg.Client({ connectionString });
      client.on('error', () => undefined); // the query that was running rejects
      await client.connect();
      await client.query("set lock_timeout = '5s'");
      return client;
    };
    const pairs = Array.from({ length: clients }, () => Promise.all([open(databaseUrls[0]), open(databaseUrls[1])]));
    return new RawBound(await Promise.all(pairs));
  }

  attempt(order: RawOrder, accounts: (client: number) => readonly [string, string]): Attempt {
    return async (client) => {
      const [source, target] = this.connections[client]!;
      const [from, to] = accounts(client);
      const gid = `bench:${randomUUID()}`;
      const prepare = (connection: pg.Client, account: string, amount: number): Promise<unknown> =>
        connection.query(
          `begin; update account set balance = balance + ${amount} where id = '${account}'; prepare transaction '${gid}'`,
        );
      if (order === 'parallel') {
        await Promise.all([prepare(source, from, -1), prepare(target, to, 1)]);
      } else {
        await prepare(source, from, -1);
        await prepare(target, to, 1);
      }
      const commit = `commit prepared '${gid}'`;
      await Promise.all([source.query(commit), target.query(commit)]);
      return undefined;
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.connections.flat().map((connection) => connection.end()));
  }
}
