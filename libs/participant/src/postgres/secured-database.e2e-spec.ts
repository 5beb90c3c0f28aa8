import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { Client, Pool } from 'pg';
import { SystemClock, silentLogger } from '@concordat/foundation';
import { SecuredPostgres } from '../../../../test/support/secured-postgres.js';
import { describeFinding } from '../checks/check.js';
import { ResourceManagerUnavailableError } from '../runtime/errors.js';
import { postgresConnection } from './connections/connection-config.js';
import { examineDatabase } from './inspection/examine-database.js';
import { migrateLedger } from './migrations/migrate-ledger.js';
import { PostgresResourceManager } from './postgres-resource-manager.js';
import type { Work } from './session/context.js';
import type { PostgresConnectionSettings, PostgresResourceManagerSettings } from './settings.js';
import { threePhaseBranch } from './testing/three-phase-database.js';
import { branch } from './testing/two-phase-work.js';

const clock = new SystemClock();
let postgres: SecuredPostgres;
const opened: PostgresResourceManager[] = [];

beforeAll(async () => {
  postgres = await SecuredPostgres.start();
  for (const role of ['orders', 'certified', 'secure'])
    await postgres.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'first'`);
  await postgres.demand([
    'hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-ca',
    'hostssl all certified ::1/128 scram-sha-256 clientcert=verify-ca',
    'hostnossl all secure all reject',
  ]);
}, 60_000);

afterEach(() => Promise.all(opened.splice(0).map((one) => one.close())));

afterAll(() => postgres?.stop());

/** Over which protocol a statement comes to the server; or why it does not. */
async function askOver(settings: PostgresConnectionSettings): Promise<unknown> {
  const client = new Client({ ...postgresConnection(settings), connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string | null }>(
      'SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    return rows[0]?.version ?? 'plain text';
  } catch (error) {
    return error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function managerOf(change: Partial<PostgresResourceManagerSettings> & PostgresConnectionSettings) {
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (line: string) => void warnings.push(line) };
  const settings = { cluster: 'test', participant: 'orders', ...change };
  const manager = new PostgresResourceManager(settings, { clock, logger });
  opened.push(manager);
  return { manager, warnings };
}

async function startOf(change: Partial<PostgresResourceManagerSettings> & PostgresConnectionSettings) {
  const { manager, warnings } = await managerOf(change);
  await manager.start();
  return { manager, warnings };
}

describe('TLS to PostgreSQL', () => {
  const urlOf = (query: string, host?: string): string =>
    postgres.urlOf('orders', 'first', { query, ...(host !== undefined && { host }) });
  const file = (name: string): string => encodeURIComponent(postgres.path(name));

  it.each<[what: string, url: () => string, expected: string]>([
    ['disable', () => urlOf('sslmode=disable'), 'plain text'],
    ['nothing said', () => urlOf(''), 'plain text'],
    ['prefer', () => urlOf('sslmode=prefer'), 'TLSv1.3'],
    ['require, with any server', () => urlOf('sslmode=require', '127.0.0.1'), 'TLSv1.3'],
    [
      'verify-ca, by another name',
      () => urlOf(`sslmode=verify-ca&sslrootcert=${file('ca.pem')}`, '127.0.0.1'),
      'TLSv1.3',
    ],
    ['verify-full', () => urlOf(`sslmode=verify-full&sslrootcert=${file('ca.pem')}`), 'TLSv1.3'],
    [
      'verify-full without a question before it',
      () => urlOf(`sslmode=verify-full&sslnegotiation=direct&sslrootcert=${file('ca.pem')}`),
      'TLSv1.3',
    ],
  ])('is used as the URL says: %s', async (_what, url, expected) => {
    expect(await askOver({ connectionString: url() })).toBe(expected);
  });

  it.each<[what: string, url: () => string, sentence: string, fix: string]>([
    [
      'the server has a certificate of another authority',
      () => urlOf(`sslmode=verify-full&sslrootcert=${file('foreign-ca.pem')}`),
      'TLS to the server failed',
      'give the authority that signed its certificate',
    ],
    [
      'require checks the authority where one is given, as in libpq',
      () => urlOf(`sslmode=require&sslrootcert=${file('foreign-ca.pem')}`),
      'TLS to the server failed',
      'sslrootcert',
    ],
    [
      'the server has a certificate of another host',
      () => urlOf(`sslmode=verify-full&sslrootcert=${file('ca.pem')}`, '127.0.0.1'),
      'the certificate of the server is of another host',
      'connect by a name that is in its certificate',
    ],
    [
      'the authority is a file that others may write',
      () => urlOf(`sslmode=verify-full&sslrootcert=${encodeURIComponent(postgres.write('open.pem', 'x', 0o666))}`),
      'open.pem cannot be used',
      'chmod 0644',
    ],
    [
      'the authority is no certificate',
      () => urlOf(`sslmode=verify-full&sslrootcert=${encodeURIComponent(postgres.write('text.pem', 'x', 0o644))}`),
      'text.pem cannot be used',
      'a file with certificates in PEM',
    ],
    [
      'there is no such file',
      () => urlOf('sslmode=verify-full&sslrootcert=/nowhere/ca.pem'),
      '/nowhere/ca.pem cannot be used',
      'the path of a readable file',
    ],
  ])('ends the start with what to change: %s', async (_what, url, sentence, fix) => {
    const { manager } = await managerOf({ connectionString: url() });
    const error: unknown = await manager.start().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      retryable: false,
      code: expect.stringMatching(/^DATABASE_(TLS_FAILED|SECRET_UNUSABLE)$/),
    });
    expect(String(error)).toContain(sentence);
    expect(String(error)).toContain(fix);
    expect(String(error)).not.toContain('first');
    const { reports } = await examineDatabase({ connectionString: url(), clock });
    expect(reports).toMatchObject([{ name: 'connection', status: 'failure', fix: expect.stringContaining(fix) }]);
  });

  it('asks for a client certificate where the server wants one', async () => {
    const tls = { mode: 'verify-full', ca: postgres.path('ca.pem') } as const;
    const of = (name: string) => ({ certificate: postgres.path(`${name}.pem`), key: postgres.path(`${name}.key`) });
    const connectionString = postgres.urlOf('certified', 'first');
    expect(await askOver({ connectionString, tls: { ...tls, ...of('client') } })).toBe('TLSv1.3');
    const without = await managerOf({ connectionString, tls });
    await expect(without.manager.start()).rejects.toMatchObject({
      code: 'DATABASE_TLS_FAILED',
      message: expect.stringMatching(/asks for a client certificate.*sslcert and sslkey/),
    });
    const foreign = await managerOf({ connectionString, tls: { ...tls, ...of('foreign') } });
    await expect(foreign.manager.start()).rejects.toMatchObject({
      code: 'DATABASE_TLS_FAILED',
      message: expect.stringMatching(/the server refuses TLS: .*client certificate.*ssl_ca_file/),
    });
    postgres.write('open.key', readFileSync(postgres.path('client.key')), 0o644);
    const open = await managerOf({
      connectionString,
      tls: { ...tls, ...of('client'), key: postgres.path('open.key') },
    });
    await expect(open.manager.start()).rejects.toMatchObject({
      code: 'DATABASE_SECRET_UNUSABLE',
      message: expect.stringContaining('chmod 0600'),
    });
  });

  it('is that of a pool with a key, which pg hides, and with the password bound to the certificate', async () => {
    const [ca, cert, key] = ['ca.pem', 'client.pem', 'client.key'].map((name) =>
      readFileSync(postgres.path(name), 'utf8'),
    );
    const place = { host: 'localhost', port: Number(new URL(postgres.server.url).port), database: 'postgres' };
    const login = { user: 'certified', password: 'first', enableChannelBinding: true };
    const pool = new Pool({ ...place, ...login, ssl: { ca: ca!, cert: cert!, key: key! } });
    expect(await askOver({ connection: pool.options })).toBe('TLSv1.3');
    const foreign = { ca: readFileSync(postgres.path('foreign-ca.pem')) };
    expect(await askOver({ connection: { ...place, ...login, ssl: foreign } })).toMatchObject({
      code: 'DATABASE_TLS_FAILED',
    });
  });

  it('is named where the server takes nothing else', async () => {
    const { manager } = await managerOf({ connectionString: postgres.urlOf('secure', 'first') });
    await expect(manager.start()).rejects.toMatchObject({
      code: 'DATABASE_TLS_FAILED',
      message: expect.stringMatching(/only over TLS.*set sslmode=verify-full/),
    });
  });

  it('sends nothing in plain text to a server without TLS, unless it is only preferred', async () => {
    await postgres.switchTls('off');
    try {
      expect(await askOver({ connectionString: urlOf('sslmode=prefer') })).toBe('plain text');
      const { manager } = await managerOf({ connectionString: urlOf('sslmode=require') });
      await expect(manager.start()).rejects.toMatchObject({
        code: 'DATABASE_TLS_FAILED',
        message: expect.stringMatching(/does not speak TLS.*set ssl = on in its postgresql.conf/),
      });
    } finally {
      await postgres.switchTls('on');
    }
  });

  it('takes nothing that somebody has put behind the answer to its question', async () => {
    const received: Buffer[] = [];
    const impostor = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        received.push(chunk);
        socket.write('SInjected');
      });
    });
    impostor.listen(0, '127.0.0.1');
    await once(impostor, 'listening');
    const { port } = impostor.address() as AddressInfo;
    const found = await askOver({
      connectionString: `postgres://orders:first@127.0.0.1:${port}/orders?sslmode=require`,
    });
    impostor.close();
    expect(String(found)).toContain('did not answer the question for TLS as PostgreSQL does');
    expect(Buffer.concat(received)).toHaveLength(8); // the question alone
  });

  it('carries a participant, whose doctor finds nothing to say about the way', async () => {
    await postgres.sql('CREATE DATABASE carried OWNER orders');
    const query = `sslmode=verify-full&sslrootcert=${file('ca.pem')}`;
    const connectionString = postgres.urlOf('orders', 'first', { database: 'carried', query });
    const { manager, warnings } = await startOf({ connectionString });
    const write: Work = async ({ client }) => {
      const large = 'x'.repeat(300_000); // many records of TLS, in both directions
      const { rows } = await client.query<{ length: number; text: string }>(
        'SELECT pg_current_xact_id(), length($1) AS length, $1 AS text',
        [large],
      );
      return [rows[0]!.length, rows[0]!.text === large];
    };
    const branches = Array.from({ length: 40 }, () => branch());
    const votes = await Promise.all(branches.map((one) => manager.prepare(one, write)));
    expect(new Set(votes.map((vote) => JSON.stringify(vote)))).toEqual(
      new Set(['{"vote":"yes","results":[300000,true]}']),
    );
    expect(await Promise.all(branches.map((one) => manager.commit(one)))).toEqual(branches.map(() => 'committed'));
    const sessions = await postgres.sql(
      `SELECT count(*)::int AS all, count(*) FILTER (WHERE ssl)::int AS encrypted FROM pg_stat_activity
       JOIN pg_stat_ssl USING (pid) WHERE datname = 'carried'`,
    );
    expect(sessions[0]!['all']).toBeGreaterThan(15);
    expect(sessions[0]!['encrypted']).toBe(sessions[0]!['all']);
    expect(warnings).toEqual([]);
    const { reports } = await examineDatabase({ connectionString, clock });
    expect(reports.find(({ name }) => name === 'wire')).toMatchObject({ status: 'ok' });
    const unverified = postgres.urlOf('orders', 'first', { database: 'carried', query: 'sslmode=require' });
    const doubtful = await examineDatabase({ connectionString: unverified, clock });
    expect(doubtful.reports.find(({ name }) => name === 'wire')).toMatchObject({
      status: 'warning',
      sentence: expect.stringContaining('nobody checks that the server is the right one'),
    });
  });
});

describe('a password that changes', () => {
  const write: Work = async ({ client }) => {
    await client.query('SELECT pg_current_xact_id()');
    return [];
  };
  const worksOn = async (manager: PostgresResourceManager): Promise<unknown> => {
    const one = branch();
    const vote = await manager.prepare(one, write);
    await manager.rollBack(one);
    return vote;
  };
  const cut = async (): Promise<void> => {
    await postgres.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'`);
  };

  beforeAll(async () => {
    await postgres.sql(`CREATE ROLE rotating LOGIN PASSWORD 'first'`);
    await postgres.sql('CREATE DATABASE rotating OWNER rotating');
  });
  afterEach(() => postgres.sql(`ALTER ROLE rotating PASSWORD 'first'`));

  it.each<[what: string, source: () => { settings: Partial<PostgresConnectionSettings>; rotate: () => void }]>([
    [
      'in a file',
      () => {
        const passwordFile = postgres.write('password', 'first\n');
        return { settings: { passwordFile }, rotate: () => void postgres.write('password', 'second\n') };
      },
    ],
    [
      'from a function',
      () => {
        let current = 'first';
        return { settings: { password: async () => current }, rotate: () => void (current = 'second') };
      },
    ],
  ])('is asked for each new connection, and open ones go on: %s', async (_what, source) => {
    const { settings, rotate } = source();
    const tls = { mode: 'verify-full', ca: postgres.path('ca.pem') } as const;
    const connectionString = postgres.urlOf('rotating', undefined, { database: 'rotating' });
    const { manager } = await startOf({ connectionString, tls, ...settings });
    const votedYes = { vote: 'yes', results: [] };
    expect(await worksOn(manager)).toEqual(votedYes);
    await postgres.sql(`ALTER ROLE rotating PASSWORD 'second'`);
    expect(await worksOn(manager)).toEqual(votedYes);
    await cut();
    await expect(worksOn(manager)).rejects.toBeInstanceOf(ResourceManagerUnavailableError);
    rotate();
    expect(await worksOn(manager)).toEqual(votedYes);
  });

  it('that cannot be had for now is waited for, and leaves no connection behind', async () => {
    let asked = 0;
    const password = async (): Promise<string> => {
      if (++asked < 3) throw new Error('the identity service does not answer');
      return 'first';
    };
    const connectionString = postgres.urlOf('rotating', undefined, { database: 'rotating' });
    const { manager, warnings } = await managerOf({ connectionString, password });
    await manager.start();
    expect(warnings.filter((line) => line.includes('the identity service does not answer'))).toHaveLength(2);
    // what has not shown a password yet stands in the list without a role
    const idle = `SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename IS NULL`;
    expect(await postgres.sql(idle)).toEqual([]);
  });

  it.each<[what: string, settings: () => Partial<PostgresConnectionSettings>, code: string, told: string]>([
    [
      'a file that others may read',
      () => ({ passwordFile: postgres.write('shown', 'first', 0o644) }),
      'DATABASE_SECRET_UNUSABLE',
      'chmod 0600',
    ],
    [
      'a file that is empty',
      () => ({ passwordFile: postgres.write('empty', '\n') }),
      'DATABASE_SECRET_UNUSABLE',
      'it is empty',
    ],
    [
      'no file',
      () => ({ passwordFile: '/nowhere/password' }),
      'DATABASE_SECRET_UNUSABLE',
      'the path of a readable file',
    ],
    ['a wrong one', () => ({ password: () => 'wrong' }), 'DATABASE_AUTHENTICATION_FAILED', 'what gives the password'],
    ['nothing', () => ({ password: () => undefined as never }), 'DATABASE_SECRET_UNUSABLE', 'returned undefined'],
  ])('ends the start with what to change: %s', async (_what, settings, code, told) => {
    const connectionString = postgres.urlOf('rotating', undefined, { database: 'rotating' });
    const { manager } = await managerOf({ connectionString, ...settings() });
    const error: unknown = await manager.start().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect(String(error)).toContain(told);
    expect(String(error)).not.toMatch(/first|wrong/);
  });
});

describe('the roles of docs/security.md', () => {
  const SCHEMA = 'concordat';
  const document = readFileSync(path.resolve(import.meta.dirname, '../../../../docs/security.md'), 'utf8');
  const section = /\n### Roles in PostgreSQL\n([\s\S]*?)\n###? /.exec(document)?.[1] ?? '';
  const [asAdministrator = '', asMigrator = '', asGranted = ''] = [...section.matchAll(/```sql\n([\s\S]*?)```/g)].map(
    ([, text]) => text!,
  );
  const runtime = (): string => postgres.urlOf('orders', 'first', { database: 'orders' });
  const migrator = (): string => postgres.urlOf('orders_migrator', 'first', { database: 'orders' });
  const as = async (url: string, text: string): Promise<unknown> => {
    const pool = new Pool({ connectionString: url, max: 1 });
    pool.on('error', () => undefined); // the server may end a connection while the pool does
    try {
      return (await pool.query(text)).rows;
    } finally {
      await pool.end();
    }
  };

  beforeAll(async () => {
    await postgres.sql('DROP DATABASE IF EXISTS carried');
    await postgres.sql('DROP ROLE orders');
    // CREATE DATABASE runs in no transaction, and so not with others in one query
    for (const statement of asAdministrator.replace(/^--.*$/gm, '').split(';')) await postgres.sql(statement);
    await postgres.sql(`ALTER ROLE orders PASSWORD 'first'; ALTER ROLE orders_migrator PASSWORD 'first'`);
    await as(migrator(), asMigrator);
  });

  it('first: the runtime role may not migrate, and is told who must run what', async () => {
    const { manager } = await managerOf({ connectionString: runtime(), schema: SCHEMA });
    const error: unknown = await manager.start().catch((thrown: unknown) => thrown);
    // it may not even look into the schema yet
    expect(error).toMatchObject({ code: 'DATABASE_PERMISSION_DENIED' });
    await as(migrator(), `GRANT USAGE ON SCHEMA ${SCHEMA} TO orders`);
    const next: unknown = await (
      await managerOf({ connectionString: runtime(), schema: SCHEMA })
    ).manager
      .start()
      .catch((thrown: unknown) => thrown);
    expect(next).toMatchObject({ code: 'LEDGER_NOT_MIGRATED', retryable: false });
    expect(String(next)).toMatch(
      /missing in the schema "concordat".*"orders" may not create them: let the role that owns the schema run: npx concordat migrate --database postgres:\/\/<its role>@<host>\/orders --schema concordat --grant-to orders --participant <name> --cluster <name>/,
    );
  });

  it('then: a migration by the other role, and a participant at work that owns nothing', async () => {
    const owner = { participant: 'orders', cluster: 'test' };
    const migration = { connectionString: migrator(), clock, schema: SCHEMA, grantTo: 'orders', owner };
    const { from, to } = await migrateLedger(migration);
    expect([from, to > 10]).toEqual([0, true]);
    expect(await migrateLedger(migration)).toEqual({ from: to, to });

    const { manager, warnings } = await startOf({ connectionString: runtime(), schema: SCHEMA });
    const writes: Work = async ({ client }) => {
      await client.query('SELECT pg_current_xact_id()');
      return [];
    };
    const [committed, rolledBack] = [branch(), branch()];
    for (const one of [committed, rolledBack])
      expect(await manager.prepare(one, writes)).toMatchObject({ vote: 'yes' });
    expect(await manager.listPrepared()).toHaveLength(2);
    expect(await manager.commit(committed)).toBe('committed');
    expect(await manager.rollBack(rolledBack)).toBe('aborted');
    expect(await manager.commitOnePhase(branch(), writes)).toMatchObject({ end: 'committed' });
    const three = threePhaseBranch();
    expect(await manager.prepare(three, writes)).toMatchObject({ vote: 'yes' });
    const accept = { type: 'accept', ballot: { round: 0, proposer: 0 }, value: 'commit' } as const;
    expect(await manager.answerBallot(three, accept, three.acceptors)).not.toBe('refused');
    await manager.recordDecision(three, 'commit');
    expect(await manager.commit(three)).toBe('committed');
    expect(warnings).toEqual([]);

    const { reports } = await examineDatabase({ connectionString: runtime(), schema: SCHEMA, clock });
    const troubles = reports.flatMap((report) => (report.status === 'ok' ? [] : [describeFinding(report)]));
    expect(troubles).toEqual([]);
  });

  it('the runtime role can neither change the tables nor forget what is in them, nor end what others prepared', async () => {
    for (const forbidden of [
      `DROP TABLE ${SCHEMA}.concordat_branch`,
      `ALTER TABLE ${SCHEMA}.concordat_branch ADD COLUMN x int`,
      `DELETE FROM ${SCHEMA}.concordat_branch`,
      `TRUNCATE ${SCHEMA}.concordat_acceptor`,
      `UPDATE ${SCHEMA}.concordat_owner SET participant = 'x'`,
      `INSERT INTO ${SCHEMA}.concordat_migration (version) VALUES (99)`,
      `CREATE TABLE ${SCHEMA}.x ()`,
      'CREATE TABLE public.x ()',
      'CREATE SCHEMA x',
    ]) {
      await expect(as(runtime(), forbidden)).rejects.toMatchObject({ code: '42501' });
    }
    const client = new Client({ connectionString: migrator() });
    await client.connect();
    await client.query(`BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'of the migrator'`);
    await expect(as(runtime(), `COMMIT PREPARED 'of the migrator'`)).rejects.toMatchObject({ code: '42501' });
    await client.query(`ROLLBACK PREPARED 'of the migrator'`);
    await client.end();
  });

  it('a privilege that is missing is named with its GRANT, at the start and by the doctor', async () => {
    await as(migrator(), `REVOKE UPDATE ON ${SCHEMA}.concordat_acceptor FROM orders`);
    await as(migrator(), `REVOKE EXECUTE ON ROUTINE ${SCHEMA}.concordat_first_vote FROM orders, PUBLIC`);
    const grants =
      'GRANT UPDATE ON "concordat".concordat_acceptor TO "orders"; GRANT EXECUTE ON ROUTINE "concordat".concordat_first_vote TO "orders"';
    const { manager } = await managerOf({ connectionString: runtime(), schema: SCHEMA });
    await expect(manager.start()).rejects.toMatchObject({
      code: 'DATABASE_PERMISSION_DENIED',
      message: expect.stringContaining(grants),
    });
    const { reports } = await examineDatabase({ connectionString: runtime(), schema: SCHEMA, clock });
    expect(reports).toContainEqual(expect.objectContaining({ name: 'privileges', status: 'failure', fix: grants }));
    await as(migrator(), asGranted); // the block of the documentation gives them back
    await startOf({ connectionString: runtime(), schema: SCHEMA });
  });

  it('old tables are the business of the migrator, too, and a role that can do more is named', async () => {
    await as(
      migrator(),
      `DROP FUNCTION ${SCHEMA}.concordat_first_vote, ${SCHEMA}.concordat_accept_first;
       DELETE FROM ${SCHEMA}.concordat_migration WHERE version > 10`,
    );
    const { manager } = await managerOf({ connectionString: runtime(), schema: SCHEMA });
    await expect(manager.start()).rejects.toMatchObject({
      code: 'LEDGER_NOT_MIGRATED',
      message: expect.stringMatching(
        /have version 10, this release needs \d+, and the role "orders" may not migrate them/,
      ),
    });
    const powerOf = async (connectionString: string): Promise<unknown> => {
      const { reports } = await examineDatabase({ connectionString, schema: SCHEMA, clock });
      return reports.find(({ name }) => name === 'least-privilege');
    };
    expect(await powerOf(migrator())).toMatchObject({
      status: 'warning',
      sentence: expect.stringMatching(
        /"orders_migrator" owns the database, owns the schema .*, owns Concordat's tables/,
      ),
    });
    const superuser = postgres.server.url.replace(/postgres$/, 'orders');
    expect(await powerOf(superuser)).toMatchObject({
      status: 'warning',
      sentence: expect.stringContaining('"postgres" is a superuser'),
    });
    expect(await powerOf(runtime())).toMatchObject({ status: 'ok' });
  });

  it('a migration says what it lacks, and changes nothing then', async () => {
    const refused = (change: Partial<Parameters<typeof migrateLedger>[0]>) =>
      migrateLedger({ connectionString: migrator(), clock, schema: SCHEMA, ...change }).then(
        () => 'it migrated',
        (error: unknown) => String(error),
      );
    expect(await refused({ grantTo: 'nobody_known' })).toMatch(/there is no role "nobody_known".*CREATE ROLE it first/);
    expect(await refused({ connectionString: runtime() })).toMatch(/may not create the ledger.*GRANT CREATE/);
    expect(await refused({ schema: 'a"b' })).toContain('cannot be the schema');
    expect(await refused({ owner: { participant: 'billing', cluster: 'test' } })).toMatch(
      /belongs to the participant "orders"/,
    );
    expect(await refused({ connectionString: `${migrator()}?sslmode=verify` })).toMatch(
      /sslmode "verify"; use one of disable/,
    );
    expect(await as(migrator(), `SELECT max(version) FROM ${SCHEMA}.concordat_migration`)).toEqual([{ max: 10 }]);
  });
});
