import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { SystemClock, silentLogger } from '@concordat/foundation';
import { formatGid } from '@concordat/commit-protocol';
import { startTestPostgres, type TestPostgres } from '../../../../../test/support/postgres.js';
import { TransactionPooler } from '../../../../../test/support/transaction-pooler.js';
import { describeFinding, type CheckReport } from '../../checks/check.js';
import { PostgresResourceManager } from '../postgres-resource-manager.js';
import { readMigrations } from '../migrations/migrations.js';
import { LEDGER_ROUTINES, LEDGER_TABLES } from '../statements/inspection-statements.js';
import { examineDatabase, type ExaminationOptions } from './examine-database.js';

let server: TestPostgres;

beforeAll(async () => {
  server = await startTestPostgres();
}, 60_000);

afterAll(async () => {
  await server?.stop();
});

const clock = new SystemClock();
const urlOf = (database: string, from = server): string => from.url.replace(/postgres$/, database);
const as = (role: string, url: string): string => url.replace('postgres:postgres@', `${role}:secret@`);

async function sql(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** A database of its own, owned by a role of the same name without privileges elsewhere. */
async function createDatabase(name: string): Promise<string> {
  await sql(server.url, `CREATE ROLE ${name} LOGIN PASSWORD 'secret'`);
  await sql(server.url, `CREATE DATABASE ${name} OWNER ${name}`);
  return as(name, urlOf(name));
}

/** As a participant does at its start. */
async function start(connectionString: string, participant = 'orders'): Promise<string[]> {
  const logged: string[] = [];
  const note = (line: string): void => void logged.push(line);
  const logger = { ...silentLogger, warn: note, error: note };
  const manager = new PostgresResourceManager({ connectionString, cluster: 'test', participant }, { clock, logger });
  try {
    await manager.start();
    return logged;
  } finally {
    await manager.close();
  }
}

const examine = (connectionString: string, options: Partial<ExaminationOptions> = {}) =>
  examineDatabase({ connectionString, clock, ...options });

/** What is not well: status, name, sentence and fix; but for the power of the owners and superusers that are used here. */
const troubles = (reports: readonly CheckReport[]): string[] =>
  reports.flatMap((report) =>
    report.status === 'ok' || report.name === 'least-privilege'
      ? []
      : [`${report.status} ${report.name}: ${describeFinding(report)}`],
  );

describe('the examination of a database', () => {
  it('finds all well where a participant has started, and changes nothing', async () => {
    const url = await createDatabase('fine');
    expect(await start(url)).toEqual([]);
    const examination = await examine(url, { participant: 'orders', cluster: 'test' });
    expect(troubles(examination.reports)).toEqual([]);
    expect(examination).toMatchObject({
      where: expect.stringMatching(/^fine@127\.0\.0\.1:\d+\/fine$/),
      facts: { role: 'fine', isSuperuser: false, pooling: 'direct', ledger: { missing: [], lacking: [] } },
    });
    expect(JSON.stringify(examination)).not.toContain('secret');
  });

  it('knows every table of the migrations, and calls no routine that they do not make', async () => {
    const text = (await readMigrations()).map((migration) => migration.text).join('\n');
    const made = (what: string): Set<string> =>
      new Set(
        [...text.matchAll(new RegExp(`CREATE (?:OR REPLACE )?(?:${what}) :CONCORDAT_SCHEMA\\.(\\w+)`, 'g'))].map(
          ([, name]) => name!,
        ),
      );
    expect(new Set(Object.keys(LEDGER_TABLES))).toEqual(new Set([...made('TABLE'), 'concordat_migration']));
    const routines = made('FUNCTION|PROCEDURE');
    expect(LEDGER_ROUTINES.filter((name) => !routines.has(name))).toEqual([]);
  });

  it('names missing tables, and creates none', async () => {
    const url = await createDatabase('empty');
    expect(troubles((await examine(url)).reports)).toEqual([
      expect.stringMatching(/^warning migrations: .*missing in the schema "public": run npx concordat migrate/),
    ]);
    expect(await sql(url, `SELECT FROM pg_class WHERE relname LIKE 'concordat_%'`)).toEqual([]);
  });

  it('names what is missing of tables that were dropped; the start refuses them as well', async () => {
    const url = await createDatabase('torn');
    await start(url);
    await sql(url, 'DROP TABLE concordat_acceptor CASCADE; DROP FUNCTION concordat_first_vote');
    const sentence = expect.stringContaining('concordat_acceptor, concordat_first_vote are missing');
    expect((await examine(url)).reports).toContainEqual(
      expect.objectContaining({ name: 'migrations', status: 'failure', sentence }),
    );
    await expect(start(url)).rejects.toMatchObject({ code: 'LEDGER_INCOMPLETE', message: sentence });
  });

  it.each([
    ['newer', 'INSERT INTO concordat_migration (version) VALUES (1000)', 'failure', 'LEDGER_IS_NEWER'],
    ['older', 'DELETE FROM concordat_migration WHERE version > 1', 'warning', undefined],
  ])('names a schema of a %s version', async (name, change, status, code) => {
    const url = await createDatabase(`version_${name}`);
    await start(url);
    await sql(url, change);
    expect((await examine(url)).reports).toContainEqual(expect.objectContaining({ name: 'migrations', status }));
    if (code !== undefined) await expect(start(url)).rejects.toMatchObject({ code });
  });

  it('names the database of another participant', async () => {
    const url = await createDatabase('taken');
    await start(url, 'billing');
    const found = troubles((await examine(url, { participant: 'orders', cluster: 'test' })).reports);
    expect(found).toEqual([expect.stringMatching(/^failure owner: .*"billing" of the cluster "test"/)]);
    await expect(start(url)).rejects.toMatchObject({ code: 'DATABASE_OF_ANOTHER_PARTICIPANT' });
  });

  it('names lacking privileges: the right to create, the use of tables, a schema that is not there', async () => {
    const url = await createDatabase('poor');
    const owner = urlOf('poor');
    await sql(server.url, `CREATE ROLE guest LOGIN PASSWORD 'secret'`);
    const guest = as('guest', owner);
    const lacks = (what: string) => [expect.stringMatching(new RegExp(`^failure privileges: .*${what}`))];
    const troublesOf = async (options: Partial<ExaminationOptions> = {}) =>
      troubles((await examine(guest, options)).reports).filter((line) => !/ (migrations|same-role|owner):/.test(line));
    expect(await troublesOf()).toEqual(lacks('GRANT CREATE ON SCHEMA "public" TO "guest"'));
    await expect(start(guest)).rejects.toMatchObject({ code: 'LEDGER_NOT_MIGRATED' });
    expect(await troublesOf({ schema: 'own' })).toEqual(lacks('CREATE SCHEMA "own" AUTHORIZATION "guest"'));
    await start(url);
    expect(await troublesOf()).toEqual(lacks('lacks SELECT on concordat_'));
    await expect(start(guest)).rejects.toMatchObject({ code: 'DATABASE_PERMISSION_DENIED' });
    await sql(owner, 'GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO guest');
    expect(await troublesOf()).toEqual([]);
    await sql(owner, 'REVOKE ALL ON SCHEMA public FROM guest, public');
    expect(await troublesOf()).toEqual(lacks('may not use the schema "public"'));
  });

  it('names another role that works for the participant, and branches that it has prepared', async () => {
    const url = await createDatabase('shared');
    await start(url);
    await sql(server.url, `CREATE ROLE second LOGIN PASSWORD 'secret'`);
    await sql(urlOf('shared'), 'GRANT ALL ON ALL TABLES IN SCHEMA public TO second');
    const other = new Client({ connectionString: as('second', urlOf('shared')), application_name: 'orders-work' });
    await other.connect();
    const names = async (): Promise<string[]> => troubles((await examine(url)).reports);
    expect(await names()).toEqual([
      expect.stringMatching(/^warning same-role: .*connected as "second", this one as "shared"/),
    ]);
    const gid = formatGid('test', randomUUID(), randomUUID());
    await other.query('BEGIN');
    await other.query('SELECT pg_current_xact_id()');
    await other.query(`PREPARE TRANSACTION '${gid}'`);
    expect(await names()).toEqual([expect.stringMatching(/^failure same-role: "second" prepared branches/)]);
    await other.query(`ROLLBACK PREPARED '${gid}'`);
    await other.end();
  });

  it('names a process of the participant in another database of the server', async () => {
    const url = await createDatabase('here');
    await start(url);
    await createDatabase('elsewhere');
    const other = new Client({
      connectionString: as('elsewhere', urlOf('elsewhere')),
      application_name: 'orders-decision',
    });
    await other.connect();
    expect(troubles((await examine(url)).reports)).toEqual([
      expect.stringMatching(/^warning same-database: .*use the database "elsewhere" of this server, this one "here"/),
    ]);
    await other.end();
  });

  it('names settings of the role: a limit of connections and timeouts', async () => {
    const url = await createDatabase('limited');
    await start(url);
    await sql(server.url, 'ALTER ROLE limited CONNECTION LIMIT 5');
    await sql(server.url, `ALTER ROLE limited SET transaction_timeout = '5s'`);
    expect(troubles((await examine(url)).reports)).toEqual([
      expect.stringMatching(
        /^failure connections: .*up to 32 connections, and the limit of the role "limited" leaves 5/,
      ),
      expect.stringMatching(/^warning session-timeouts: transaction_timeout is 5000 ms/),
    ]);
  });

  it.each([1, 3])('finds a pooler in transaction mode, with %i sessions', async (sessions) => {
    const url = await createDatabase(`pooled_${sessions}`);
    await start(url);
    const pooler = await TransactionPooler.start(url, sessions);
    try {
      expect(troubles((await examine(pooler.url)).reports)).toEqual([
        expect.stringMatching(/^warning pooler: a pooler in transaction mode .*set pool_mode to session/),
      ]);
      await sql(url, `ALTER ROLE pooled_${sessions} SET synchronous_commit = off`);
    } finally {
      pooler.stop();
    }
    const careless = await TransactionPooler.start(url, sessions);
    try {
      expect(troubles((await examine(careless.url)).reports)).toEqual([
        expect.stringMatching(/^failure pooler: .*synchronous_commit is off/),
      ]);
    } finally {
      careless.stop();
    }
  });

  it.each([
    ['a wrong password', () => server.url.replace('postgres:postgres@', 'nobody:wrong@'), 'refuses user and password'],
    ['a missing database', () => urlOf('nowhere'), 'there is no such database'],
    ['a server that does not answer', () => 'postgres://u:secret@127.0.0.1:1/x', 'cannot be examined'],
  ])('says why it is not possible: %s', async (_what, url, sentence) => {
    const examination = await examine(url());
    expect(examination.reports).toEqual([
      expect.objectContaining({ name: 'connection', status: 'failure', sentence: expect.stringContaining(sentence) }),
    ]);
    expect(JSON.stringify(examination)).not.toMatch(/secret|wrong/);
  });

  it('names max_prepared_transactions = 0, and one that is too low', async () => {
    const bare = await startTestPostgres(['max_prepared_transactions=0', 'idle_in_transaction_session_timeout=1s']);
    try {
      expect(troubles((await examine(bare.url)).reports)[0]).toMatch(
        /^failure prepared-transactions: max_prepared_transactions is 0 .*: set it in postgresql.conf/,
      );
    } finally {
      await bare.stop();
    }
    const needs = { workConnections: 64, connections: 80 };
    expect(troubles((await examine(server.url, { needs })).reports)).toContainEqual(
      expect.stringMatching(/^warning prepared-transactions: .*at most 48 of 64 branches run at once/),
    );
  }, 60_000);
});
