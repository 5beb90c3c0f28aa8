import { describe, expect, it } from '@jest/globals';
import { describeFinding, runChecks } from './check.js';
import type { DatabaseCheckContext } from './database-check.js';
import { DATABASE_CHECKS } from './database-checks.js';
import { LEDGER_VERSION, databaseFacts } from './testing/sample-facts.js';

const NEEDS = { workConnections: 16, connections: 32 };

type Facts = Parameters<typeof databaseFacts>[0];
type Change = Partial<Omit<DatabaseCheckContext, 'facts'>>;

const contextOf = (facts: Facts = {}, change: Change = {}): DatabaseCheckContext => ({
  facts: databaseFacts(facts),
  ledgerVersion: LEDGER_VERSION,
  needs: NEEDS,
  migrates: false,
  isDevelopment: false,
  ...change,
});

/** What is not well, each in a line: status, name, code, sentence and fix. */
const troubles = (facts?: Facts, change?: Change): string[] =>
  runChecks(DATABASE_CHECKS, contextOf(facts, change)).flatMap((report) => {
    if (report.status === 'ok') return [];
    const code = report.status === 'failure' ? ` ${report.code ?? 'goes on'}` : '';
    return [`${report.status} ${report.name}${code}: ${describeFinding(report)}`];
  });

describe('the checks of a database', () => {
  it('each say something about a database in which all is well', () => {
    const reports = runChecks(DATABASE_CHECKS, contextOf());
    expect(reports.map(({ name }) => name)).toEqual(DATABASE_CHECKS.map(({ name }) => name));
    expect(reports.every(({ status }) => status === 'ok')).toBe(true);
    expect(new Set(DATABASE_CHECKS.map(({ name }) => name)).size).toBe(DATABASE_CHECKS.length);
  });

  it.each<[what: string, facts: Facts, expected: string, ...told: string[]]>([
    ['an old server', { serverVersion: 130_011 }, 'failure server-version DATABASE_TOO_OLD', '13.11', '14 or newer'],
    ['a server that is newer than the tests', { serverVersion: 190_000 }, 'warning server-version', '19.0', 'up to 18'],
    ['a standby', { isStandby: true }, 'failure primary goes on', 'target_session_attrs=read-write'],
    [
      'max_prepared_transactions of 0',
      { maximumPrepared: 0 },
      'failure prepared-transactions PREPARED_TRANSACTIONS_DISABLED',
      'max_prepared_transactions is 0 at orders@db:5432/orders',
      'restart the server',
    ],
    [
      'max_prepared_transactions below what the connections for work need',
      { maximumPrepared: 21 },
      'warning prepared-transactions',
      'so at most 15 of 16 branches run at once',
      'at least 22',
    ],
    [
      'places that are nearly used up',
      { prepared: 96 },
      'warning prepared-transactions',
      '96 transactions are prepared now',
      'GET /v1/in-doubt',
    ],
    [
      'tables of another participant in another schema',
      { ledger: { otherSchemas: ['sales'] } },
      'failure owner DATABASE_OF_ANOTHER_PARTICIPANT',
      'in its schema "sales"',
      'drop the tables named concordat_* in "sales"',
    ],
    [
      'missing tables',
      { ledger: { exists: false, version: undefined, mayCreateInSchema: true } },
      'warning migrations',
      'missing in the schema "public"',
      'npx concordat migrate',
      'start the participant once',
    ],
    [
      'old tables',
      { ledger: { version: 9, mayCreateInSchema: true, mayAlter: true } },
      'warning migrations',
      'version 9, this release has 11',
    ],
    ['newer tables', { ledger: { version: 12 } }, 'failure migrations LEDGER_IS_NEWER', 'run the newer program'],
    [
      'tables that were dropped',
      { ledger: { missing: ['concordat_acceptor', 'concordat_first_vote'] } },
      'failure migrations LEDGER_INCOMPLETE',
      'concordat_acceptor, concordat_first_vote are missing',
      'restore the database from a backup',
    ],
    [
      'a missing schema',
      { ledger: { schemaExists: false } },
      'failure privileges DATABASE_PERMISSION_DENIED',
      'CREATE SCHEMA "public" AUTHORIZATION "orders"',
    ],
    [
      'a schema that may not be used',
      { ledger: { mayUseSchema: false } },
      'failure privileges DATABASE_PERMISSION_DENIED',
      'GRANT USAGE ON SCHEMA "public" TO "orders"',
    ],
    [
      'a routine that may not be called',
      { ledger: { lacking: [{ privilege: 'EXECUTE', name: 'concordat_first_vote', isRoutine: true }] } },
      'failure privileges DATABASE_PERMISSION_DENIED',
      'GRANT EXECUTE ON ROUTINE "public".concordat_first_vote TO "orders"',
    ],
    [
      'a superuser',
      { isSuperuser: true, powers: ['is a superuser'] },
      'warning least-privilege',
      'the role "orders" is a superuser: more than a participant at work needs',
      'Roles in PostgreSQL',
    ],
    [
      'an owner on the same machine, in production',
      { isOnThisMachine: true, powers: ['owns the database', "owns Concordat's tables"] },
      'warning least-privilege',
      "owns the database, owns Concordat's tables",
    ],
    [
      'a connection in plain text',
      { wire: 'plain' },
      'warning wire',
      'to orders@db:5432/orders is not encrypted',
      'sslmode=verify-full',
    ],
    ['a server that nobody verifies', { wire: 'unverified' }, 'warning wire', 'nobody checks that the server'],
    [
      'a table that may not be written',
      { ledger: { lacking: [{ privilege: 'UPDATE', name: 'concordat_branch', isRoutine: false }] } },
      'failure privileges DATABASE_PERMISSION_DENIED',
      'lacks UPDATE on concordat_branch',
      'GRANT UPDATE ON "public".concordat_branch TO "orders"',
    ],
    [
      'branches that another role has prepared',
      { preparingRoles: ['admin'] },
      'failure same-role goes on',
      '"admin" prepared branches',
      'as the role "orders"',
    ],
    [
      'a process with another role',
      { otherSessions: [{ role: 'orders_2', database: 'orders' }] },
      'warning same-role',
      'connected as "orders_2", this one as "orders"',
    ],
    [
      'a process in another database',
      { otherSessions: [{ role: 'orders', database: 'orders_old' }] },
      'warning same-database',
      'use the database "orders_old" of this server, this one "orders"',
    ],
    [
      'too low a max_connections',
      { maximumConnections: 30 },
      'failure connections goes on',
      'max_connections leaves 30',
    ],
    [
      'a limit of the role',
      { roleConnectionLimit: 10 },
      'failure connections goes on',
      'ALTER ROLE "orders" CONNECTION LIMIT',
    ],
    [
      'a limit of the database',
      { databaseConnectionLimit: 10 },
      'failure connections goes on',
      'ALTER DATABASE "orders" CONNECTION LIMIT',
    ],
    ['too few free connections', { openConnections: 80 }, 'warning connections', '80 of 97 connections are open'],
    [
      'a pooler in transaction mode',
      { pooling: 'transaction' },
      'warning pooler',
      'pooler in transaction mode (pgbouncer)',
      'set pool_mode to session',
    ],
    [
      'a pooler in transaction mode before a server that loses commits',
      { pooling: 'transaction', synchronousCommit: 'off' },
      'failure pooler goes on',
      'synchronous_commit is off',
    ],
    ['a pooler that does not answer', { pooling: 'unknown' }, 'warning pooler', 'could not be found out'],
    [
      'transaction_timeout',
      { transactionTimeoutMs: 5_000 },
      'warning session-timeouts',
      'transaction_timeout is 5000 ms',
      'ALTER ROLE "orders" SET transaction_timeout = 0',
    ],
    ['idle_session_timeout', { idleSessionTimeoutMs: 5_000 }, 'warning session-timeouts', 'ends idle connections'],
    ['a clock that is ahead', { clockDifferenceMs: 3_240 }, 'warning clock', '3.2 s ahead of', 'NTP'],
    ['a clock that is behind', { clockDifferenceMs: -2_001 }, 'warning clock', '2.0 s behind'],
  ])('name %s, and say what to do', (_what, facts, expected, ...told) => {
    const [found, ...others] = troubles(facts);
    expect(found).toMatch(new RegExp(`^${expected}: `));
    for (const text of told) expect(found).toContain(text);
    expect(others).toEqual([]);
  });

  it.each<[what: string, facts: Facts, change?: Change]>([
    ['a pooler in session mode', { pooling: 'session', synchronousCommit: 'off' }],
    ['idle_in_transaction_session_timeout, which each branch replaces', { idleInTransactionTimeoutMs: 1_000 }],
    ['a superuser among other roles', { isSuperuser: true, preparingRoles: ['a'], otherSessions: [session('a')] }],
    ['a clock that differs a little', { clockDifferenceMs: 2_000 }],
    [
      'missing tables that the start creates',
      { ledger: { exists: false, version: undefined, mayCreateInSchema: true } },
      { migrates: true },
    ],
    [
      'old tables that the start migrates',
      { ledger: { version: 9, missing: ['x'], mayCreateInSchema: true, mayAlter: true } },
      { migrates: true },
    ],
    ['the owner in development', { isOnThisMachine: true, powers: ['owns the database'] }, { isDevelopment: true }],
    ['encryption by options of the pool', { wire: 'unknown' }],
    [
      'a database that belongs to nobody',
      { ledger: { owner: undefined } },
      { participant: 'orders', cluster: 'local' },
    ],
    ['up-to-date tables and no right to create others', { ledger: { mayCreateInSchema: false } }],
  ])('have nothing against %s', (...[, facts, change]) => expect(troubles(facts, change)).toEqual([]));

  it.each<[what: string, change: Change, expected: string]>([
    ['another participant', { participant: 'billing' }, 'this is "billing" of the cluster "local"'],
    ['another cluster', { cluster: 'staging' }, 'this is "orders" of the cluster "staging"'],
  ])('refuse the database to %s', (_what, change, expected) => {
    const [found] = troubles({}, change);
    expect(found).toMatch(/^failure owner DATABASE_OF_ANOTHER_PARTICIPANT: .*belongs to the participant "orders"/);
    expect(found).toContain(expected);
    expect(found).toContain('DELETE FROM "public".concordat_owner');
  });

  it('need the right to create tables where they are missing, at the start as well', () => {
    const told = (ledger: NonNullable<Facts>['ledger']): string => troubles({ ledger }, { migrates: true }).join();
    const missing = told({ exists: false, version: undefined, owner: undefined });
    expect(missing).toMatch(/^failure privileges LEDGER_NOT_MIGRATED: .*missing.*"orders" may not create them/);
    expect(missing).toContain(
      'npx concordat migrate --database postgres://<its role>@<host>/orders --grant-to orders --participant <name> --cluster <name>',
    );
    expect(missing).toContain('GRANT CREATE ON SCHEMA "public" TO "orders"');
    const old = /^failure privileges LEDGER_NOT_MIGRATED: .*version 9, this release needs 11.*may not migrate them/;
    expect(told({ version: 9 })).toMatch(old);
    // what another role owns cannot be altered by the right to create
    expect(told({ version: 9, mayCreateInSchema: true })).toMatch(old);
  });

  it.each<[what: string, change: Change, expected: string | undefined]>([
    ['half of the connections held, the default', {}, undefined],
    ['all but one', { needs: { ...NEEDS, heldBranches: 15 } }, undefined],
    ['all of them', { needs: { ...NEEDS, heldBranches: 16 } }, 'set limits.heldBranches below 16'],
    ['one connection, held', { needs: { workConnections: 1, connections: 17, heldBranches: 1 } }, undefined],
  ])('compare held sessions with the connections for work: %s', (_what, change, expected) => {
    const found = troubles({}, change);
    expect(found).toEqual(expected === undefined ? [] : [expect.stringContaining(expected)]);
  });

  it('compare limits.preparedBranches with the server', () => {
    expect(troubles({}, { needs: { ...NEEDS, preparedBranches: 129 } })).toEqual([
      expect.stringMatching(/^warning prepared-transactions: .*limits.preparedBranches of the participant is 129/),
    ]);
  });

  it('go on when one of them throws', () => {
    const broken = { name: 'broken', run: () => raise(new Error('no such fact')) };
    const reports = runChecks([broken, ...DATABASE_CHECKS.slice(0, 1)], contextOf());
    expect(reports).toEqual([
      expect.objectContaining({ name: 'broken', status: 'failure', sentence: expect.stringContaining('no such fact') }),
      expect.objectContaining({ name: 'server-version', status: 'ok' }),
    ]);
  });
});

function session(role: string): { role: string; database: string } {
  return { role, database: 'orders' };
}

function raise(error: Error): never {
  throw error;
}
