import { postgresConnection, type PostgresConnectionSettings } from '@concordat/nestjs';
import { DataSource } from 'typeorm';
import { Account } from './account.entity.js';
import { CreateAccounts1767225600000 } from './create-accounts.migration.js';

const HTTP_CONNECTIONS = 4;
const CONNECT_LIMIT_MS = 5_000;
const ANSWER_LIMIT_MS = 15_000;
const KEEP_ALIVE_AFTER_MS = 10_000;
const MIGRATION_LOCK = 8_091;

/** The bank's own connections for HTTP reads; branches use the participant's. */
export function createAccountDatabase(settings: PostgresConnectionSettings, participant: string): DataSource {
  return new DataSource({
    type: 'postgres',
    url: settings.connectionString,
    entities: [Account],
    migrations: [CreateAccounts1767225600000],
    applicationName: `${participant}-http`,
    poolSize: HTTP_CONNECTIONS,
    connectTimeoutMS: CONNECT_LIMIT_MS,
    extra: {
      connectionString: undefined, // instead of the URL: the same way to the server as the participant's
      ...postgresConnection(settings),
      query_timeout: ANSWER_LIMIT_MS,
      // lets `pg` close a connection that does not answer in time; otherwise the next query would wait behind it
      pipeline: true,
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    },
  });
}

/**
 * Connects and migrates; may be called again after a failure. Processes that start together migrate one after the
 * other.
 */
export async function prepareAccountDatabase(database: DataSource): Promise<void> {
  if (!database.isInitialized) await database.initialize();
  const runner = database.createQueryRunner();
  try {
    // A transaction-level lock ends with the transaction, so it never returns to the pool.
    await runner.startTransaction();
    await runner.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await database.runMigrations({ transaction: 'each' });
  } finally {
    if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
    await runner.release();
  }
}
