import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { SystemClock } from '@concordat/foundation';
import { formatGid } from '@concordat/commit-protocol';
import { startTestPostgres, type TestPostgres } from '../../../../../test/support/postgres.js';
import type { BranchIdentity, ThreePhaseWork, TwoPhaseWork } from '../../runtime/resource-manager.js';
import { PostgresResourceManager } from '../postgres-resource-manager.js';
import type { Work } from '../session/context.js';
import type { PostgresResourceManagerSettings } from '../settings.js';
import type { HeldFailpoints } from './held-failpoints.js';

export const PARTICIPANT = 'bank-a';
const CLUSTER = 'test';

/** A branch of a transaction with three; its proposer number is 2. */
export function threePhaseBranch(change: Partial<ThreePhaseWork> = {}): ThreePhaseWork {
  const branchId = change.branchId ?? randomUUID();
  return {
    protocol: '3pc',
    transactionId: randomUUID(),
    branchId,
    deadline: Date.now() + 20_000,
    timeoutMs: 20_000,
    preparedByService: false,
    isFirstSending: false,
    acceptors: [
      { branchId: randomUUID(), participant: 'bank-b' },
      { branchId, participant: PARTICIPANT },
      { branchId: randomUUID(), participant: 'bank-c' },
    ],
    ...change,
  };
}

/** The same work in two phases: it is prepared, and no vote goes on record. */
export function inTwoPhases({
  transactionId,
  branchId,
  deadline,
  timeoutMs,
  preparedByService,
}: ThreePhaseWork): TwoPhaseWork {
  return { protocol: '2pc', transactionId, branchId, deadline, timeoutMs, preparedByService };
}

export const gidOf = ({ transactionId, branchId }: BranchIdentity): string =>
  formatGid(CLUSTER, transactionId, branchId);

export const take: Work = async ({ client }) => {
  const text = "UPDATE item SET quantity = quantity - 1 WHERE id = 'i0' RETURNING quantity";
  return [(await client.query<{ quantity: number }>(text)).rows[0]?.quantity ?? null];
};

/** A branch's own row, so that branches do not wait for each other. */
export const add: Work = async ({ client, branch }) => {
  await client.query('INSERT INTO item VALUES ($1, 1)', [branch.branchId]);
  return ['added'];
};

export const read: Work = async ({ client }) =>
  (await client.query<{ quantity: number }>("SELECT quantity FROM item WHERE id = 'i0'")).rows.map(
    (row) => row.quantity,
  );

export const mustNotRun: Work = () => Promise.reject(new Error('the handler was run again'));

/** A server of the test's own, with a table for its handlers, and what the library has written. */
export class ThreePhaseDatabase {
  private readonly opened: PostgresResourceManager[] = [];

  private constructor(
    private readonly server: TestPostgres,
    readonly pool: Pool,
  ) {}

  static async start(): Promise<ThreePhaseDatabase> {
    // Nothing is flushed by itself within a test: what is flushed was flushed on purpose.
    const server = await startTestPostgres(['wal_writer_delay=10000ms']);
    const pool = new Pool({ connectionString: server.url, max: 4 });
    pool.on('error', () => undefined);
    const database = new ThreePhaseDatabase(server, pool);
    await database.sql('CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL)');
    return database;
  }

  /** A process of the participant. @param options settings of its sessions: `-c name=value` */
  async open(
    failpoints?: HeldFailpoints,
    change: Partial<PostgresResourceManagerSettings> = {},
    options?: string,
  ): Promise<PostgresResourceManager> {
    const connectionString =
      options === undefined ? this.server.url : `${this.server.url}?options=${encodeURIComponent(options)}`;
    const one = new PostgresResourceManager(
      { connectionString, cluster: CLUSTER, participant: 'bank-a', ...change },
      { clock: new SystemClock(), ...(failpoints && { failpoints }) },
    );
    this.opened.push(one);
    await one.start();
    return one;
  }

  async sql<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, [...values])).rows;
  }

  async clear(): Promise<void> {
    for (const { gid } of await this.sql<{ gid: string }>(
      'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()',
    )) {
      await this.sql(`ROLLBACK PREPARED '${gid}'`);
    }
    await this.sql('TRUNCATE item, concordat_branch, concordat_acceptor');
    await this.sql("INSERT INTO item VALUES ('i0', 10)");
  }

  async quantity(): Promise<number | undefined> {
    return (await this.sql<{ quantity: number }>("SELECT quantity FROM item WHERE id = 'i0'"))[0]?.quantity;
  }

  async outcomeOf({ branchId }: BranchIdentity): Promise<string | undefined> {
    const text = 'SELECT outcome FROM concordat_branch WHERE branch_id = $1';
    return (await this.sql<{ outcome: string }>(text, [branchId]))[0]?.outcome;
  }

  async voteOf({ branchId }: BranchIdentity): Promise<string | undefined> {
    const text = 'SELECT vote FROM concordat_acceptor WHERE branch_id = $1';
    return (await this.sql<{ vote: string }>(text, [branchId]))[0]?.vote;
  }

  /** A row that this library did not write. */
  async insertAcceptor(branch: ThreePhaseWork, change: Record<string, unknown>): Promise<void> {
    const row: Record<string, unknown> = {
      branch_id: branch.branchId,
      transaction_id: branch.transactionId,
      vote: 'yes',
      acceptors: JSON.stringify(branch.acceptors),
      ...change,
    };
    const places = Object.keys(row).map((_, place) => `$${place + 1}`);
    await this.sql(
      `INSERT INTO concordat_acceptor (${Object.keys(row).join(', ')}) VALUES (${places.join(', ')})`,
      Object.values(row),
    );
  }

  async isPrepared(branch: BranchIdentity): Promise<boolean> {
    return (
      (
        await this.sql('SELECT FROM pg_prepared_xacts WHERE database = current_database() AND gid = $1', [
          gidOf(branch),
        ])
      ).length > 0
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.opened.map((one) => one.close()));
    await this.pool.end();
    await this.server.stop();
  }
}
