import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Attempt } from '../closed-loop.js';
import { amountAt, type AccountTurns, type BoundKind } from './cells.js';

/**
 * Connections to all databases together that one transaction kind may use. With two databases 64 clients have one each
 * at both, as in the workload `transfer`; with sixteen each database has eight, as many as a participant works with.
 */
const CONNECTIONS = 128;

/** The same work by plain PostgreSQL clients, in parallel over all databases, with nothing durable about the decision. */
export class Bound {
  private readonly pools: readonly pg.Pool[];

  constructor(databaseUrls: readonly string[], clients: number) {
    this.pools = databaseUrls.map((connectionString, place) => {
      const max = Math.max(1, Math.min(clients, Math.floor(CONNECTIONS / (place + 1))));
      const pool = new pg.Pool({ connectionString, max, idleTimeoutMillis: 0, options: '-c lock_timeout=5s' });
      pool.on('error', () => undefined); // the query that was running rejects
      return pool;
    });
  }

  attempt(kind: BoundKind, branches: number, accounts: AccountTurns): Attempt {
    const pools = this.pools.slice(0, branches);
    switch (kind) {
      case 'two-phase':
        return (client) => twoPhase(pools, accounts.next(client));
      case 'local-commit':
        return (client) => everywhere(pools, () => `begin; ${update(accounts.next(client), 1)}; commit`);
      case 'read':
        return (client) => {
          const account = accounts.next(client);
          const read = `begin read only; select balance from account where id = '${account}'; commit`;
          return everywhere(pools, () => read);
        };
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.pools.map((pool) => pool.end()));
  }
}

async function twoPhase(pools: readonly pg.Pool[], account: string): Promise<undefined> {
  const id = randomUUID();
  // databases of one server share the names of its prepared transactions
  const gid = (place: number): string => `bench:${id}:${place}`;
  await everywhere(
    pools,
    (place) => `begin; ${update(account, amountAt(place, pools.length))}; prepare transaction '${gid(place)}'`,
  );
  return await everywhere(pools, (place) => `commit prepared '${gid(place)}'`);
}

function update(account: string, amount: number): string {
  return `update account set balance = balance + ${amount} where id = '${account}'`;
}

async function everywhere(pools: readonly pg.Pool[], statements: (place: number) => string): Promise<undefined> {
  await Promise.all(pools.map((pool, place) => pool.query(statements(place))));
  return undefined;
}
