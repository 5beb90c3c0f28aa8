import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Client, Pool } from 'pg';
import { SystemClock } from '@concordat/foundation';
import { formatGid } from '@concordat/commit-protocol';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { ResourceManagerUnavailableError } from '../runtime/errors.js';
import { PostgresResourceManager } from './postgres-resource-manager.js';
import { readMigrations } from './migrations/migrations.js';
import type { Work } from './session/context.js';
import type { PostgresResourceManagerSettings } from './settings.js';

let server: TestPostgres;
let database: Pool;
const opened: PostgresResourceManager[] = [];

beforeAll(async () => {
  server = await startTestPostgres();
  database = new Pool({ connectionString: server.url, max: 1 });
  database.on('error', () => undefined);
}, 60_000);

afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()));
  await database?.end();
  await server?.stop();
});

describe('the start of a resource manager', () => {
  const create = (connectionString: string, change: Partial<PostgresResourceManagerSettings> = {}) => {
    const settings = { connectionString, cluster: 'test', participant: 'bank-a', ...change };
    const one = new PostgresResourceManager(settings, { clock: new SystemClock() });
    opened.push(one);
    return one;
  };
  const start = (...given: Parameters<typeof create>) => create(...given).start();
  const createDatabase = async (name: string): Promise<string> => {
    await database.query(`CREATE DATABASE ${name}`);
    return server.url.replace(/postgres$/, name);
  };

  it('names a URL that is none, a wrong password and a missing database', async () => {
    await expect(start('postgres://a:b/c@db:5432/x')).rejects.toMatchObject({ code: 'DATABASE_URL_INVALID' });
    const wrong = server.url.replace('postgres:postgres@', 'nobody:wrong@');
    await expect(start(wrong)).rejects.toMatchObject({ code: 'DATABASE_AUTHENTICATION_FAILED' });
    await expect(start(`${server.url}-missing`)).rejects.toMatchObject({ code: 'DATABASE_DOES_NOT_EXIST' });
  });

  it('names max_prepared_transactions = 0', async () => {
    const bare = await startTestPostgres(['max_prepared_transactions=0']);
    try {
      await expect(start(bare.url)).rejects.toMatchObject({
        code: 'PREPARED_TRANSACTIONS_DISABLED',
        message: expect.stringContaining('max_prepared_transactions'),
      });
    } finally {
      await bare.stop();
    }
  }, 60_000);

  it('keeps trying while nobody answers, until it is closed', async () => {
    const warnings: string[] = [];
    const silent = () => undefined;
    const logger = { debug: silent, info: silent, error: silent, warn: (line: string) => void warnings.push(line) };
    const unreachable = new PostgresResourceManager(
      { connectionString: 'postgres://u:secret@127.0.0.1:1/x', cluster: 'test', participant: 'bank-a' },
      { clock: new SystemClock(), logger },
    );
    const starting = expect(unreachable.start()).rejects.toBeInstanceOf(ResourceManagerUnavailableError);
    await waitFor('it has warned twice', () => warnings.length >= 2);
    expect(warnings[0]).not.toContain('secret');
    await unreachable.close();
    await starting;
  });

  it('several processes that start together make one ledger', async () => {
    const url = await createDatabase('together');
    await Promise.all([start(url), start(url), start(url)]);
    const client = new Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query('SELECT version FROM concordat_migration ORDER BY version');
    expect(rows).toEqual((await readMigrations()).map(({ version }) => ({ version })));
    await client.end();
  });

  it('a ledger that is up to date is not migrated again', async () => {
    const url = await createDatabase('again');
    const client = new Client({ connectionString: url });
    await client.connect();
    // every change of the schema changes a row of the catalogue
    const catalogue = `SELECT relname AS name, relation.xmin::text FROM pg_class AS relation WHERE relname LIKE 'concordat_%'
      UNION ALL SELECT proname, xmin::text FROM pg_proc WHERE proname LIKE 'concordat_%'
      UNION ALL SELECT version::text, xmin::text FROM concordat_migration ORDER BY name`;
    await start(url);
    const { rows: before } = await client.query(catalogue);
    expect(before.length).toBeGreaterThan(10);
    await start(url);
    expect((await client.query(catalogue)).rows).toEqual(before);
    await client.end();
  });

  it('refuses a ledger of a newer program, and says what to run', async () => {
    const url = await createDatabase('newer');
    await start(url);
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query('INSERT INTO concordat_migration (version) VALUES (999)');
    await client.end();
    await expect(start(url)).rejects.toMatchObject({
      code: 'LEDGER_IS_NEWER',
      retryable: false,
      message: expect.stringContaining('schema version 999, this program knows'),
    });
  });

  it('drops slow checks from the tables, but waits for no branch in doubt to do so', async () => {
    const checks = `SELECT conname FROM pg_constraint WHERE contype = 'c'
      AND conrelid IN ('concordat_branch'::regclass, 'concordat_acceptor'::regclass)`;
    const url = await createDatabase('checked');
    await start(url);
    const client = new Client({ connectionString: url });
    await client.connect();
    expect((await client.query(checks)).rows).toEqual([]);
    const branch = { transactionId: randomUUID(), branchId: randomUUID() };
    await client.query(`
      ALTER TABLE concordat_branch ADD CONSTRAINT concordat_branch_outcome_check
        CHECK (outcome IN ('committed', 'aborted'));
      DROP TRIGGER concordat_check_acceptor ON concordat_acceptor;
      DROP FUNCTION concordat_check_acceptor;
      DROP PROCEDURE concordat_begin_branch;
      DROP FUNCTION concordat_first_vote;
      DROP FUNCTION concordat_accept_first;
      DELETE FROM concordat_migration WHERE version >= 10`);
    await client.query(`BEGIN; INSERT INTO concordat_branch (branch_id, transaction_id, outcome)
      VALUES ('${branch.branchId}', '${branch.transactionId}', 'committed');
      PREPARE TRANSACTION '${formatGid('test', branch.transactionId, branch.branchId)}'`);
    const manager = create(url);
    await manager.start();
    expect((await client.query(checks)).rows).toEqual([{ conname: 'concordat_branch_outcome_check' }]);
    expect(await manager.commit(branch)).toBe('committed');
    await client.end();
  });

  it.each([
    [
      'another participant',
      { participant: 'bank-b' },
      ['"bank-a" of the cluster "test"', '"bank-b"', 'concordat_owner'],
    ],
    ['the same one of another cluster', { cluster: 'staging' }, ['"bank-a" of the cluster "test"', '"staging"']],
    ['another participant with tables in a schema of its own', { participant: 'bank-b', schema: 'own' }, ['"public"']],
  ])('refuses a database to %s, and says whose it is', async (what, change, told) => {
    const url = await createDatabase(`owned_${what.length}`);
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query('CREATE SCHEMA own');
    await Promise.all([start(url), start(url)]);
    const refused = expect(start(url, change)).rejects;
    await refused.toMatchObject({ code: 'DATABASE_OF_ANOTHER_PARTICIPANT', retryable: false });
    const said = String(await start(url, change).catch((error: unknown) => error));
    for (const text of told) expect(said).toContain(text);
    await start(url);
    await client.query('DELETE FROM public.concordat_owner');
    if (!('schema' in change)) await start(url, change); // it has changed hands
    await client.end();
  });

  it.each([
    ['as many connections as its settings say', { workConnections: 3, endingConnections: 2 }, 3, 2],
    ['16 connections for work and 4 to end branches by default', {}, 16, 4],
  ])('opens %s', async (what, change, work, ending) => {
    const url = await createDatabase(`connections_${what.length}`);
    const manager = create(url, change);
    await manager.start();
    const branches = Array.from({ length: 20 }, () => ({ transactionId: randomUUID(), branchId: randomUUID() }));
    const limits = { deadline: Date.now() + 20_000, timeoutMs: 20_000, preparedByService: false };
    const write: Work = async ({ client }) => {
      await client.query('SELECT pg_current_xact_id()');
      return [];
    };
    await Promise.all(branches.map((branch) => manager.prepare({ protocol: '2pc', ...branch, ...limits }, write)));
    await Promise.all(branches.map((branch) => manager.commit(branch)));
    const { rows } = await database.query<{ name: string; count: number }>(
      `SELECT application_name AS name, count(*)::int FROM pg_stat_activity
       WHERE datname = $1 AND application_name <> 'concordat-look' GROUP BY 1 ORDER BY 1`,
      [url.slice(url.lastIndexOf('/') + 1)],
    );
    expect(rows).toEqual([
      { name: 'concordat-decision', count: ending },
      { name: 'concordat-work', count: work },
    ]);
  });

  it('gives a new database to one of two that start at once', async () => {
    const url = await createDatabase('contested');
    const starts = await Promise.allSettled([start(url), start(url, { participant: 'bank-b' })]);
    expect(starts.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('sees nothing of other databases of the server, whatever is prepared there', async () => {
    const other = create(await createDatabase('neighbour'), { participant: 'bank-b' });
    await other.start();
    const manager = create(server.url);
    await manager.start();
    const mine = { transactionId: randomUUID(), branchId: randomUUID() };
    const work: Work = async ({ client }) => {
      await client.query('CREATE TABLE mine ()');
      return [];
    };
    const limits = { deadline: Date.now() + 20_000, timeoutMs: 20_000, preparedByService: false };
    await manager.prepare({ protocol: '2pc', ...mine, ...limits }, work);
    expect(await other.listPrepared()).toEqual([]);
    // it is still prepared, so nothing may be said about its end
    await expect(other.commit(mine)).rejects.toThrow('belongs to another database');
    expect((await manager.listPrepared()).map(({ gid }) => gid)).toEqual([
      formatGid('test', mine.transactionId, mine.branchId),
    ]);
    await manager.rollBack(mine);
  });
});
