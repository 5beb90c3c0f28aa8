import { DataSource } from 'typeorm';
import { Account } from './account.entity.js';
import { CreateAccounts1767225600000 } from './create-accounts.migration.js';

const HTTP_CONNECTIONS = 4;
const CONNECT_LIMIT_MS = 5_000;
const ANSWER_LIMIT_MS = 15_000;
const KEEP_ALIVE_AFTER_MS = 10_000;
const MIGRATION_LOCK = 8_091;

/** The bank's own connections, for reading over HTTP; the work of branches has the participant's. */
export function createAccountDatabase(url: string, participant: string): DataSource {
  return new DataSource({
    type: 'postgres',
    url,
    entities: [Account],
    migrations: [CreateAccounts1767225600000],
    applicationName: `${participant}-http`,
    poolSize: HTTP_CONNECTIONS,
    connectTimeoutMS: CONNECT_LIMIT_MS,
    extra: {
      query_timeout: ANSWER_LIMIT_MS,
      pipeline: true, // then `pg` closes a connection that has not answered in time; else the next would wait behind it
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    },
  });
}

/** Connects and migrates; may be called again after a failure. Processes that start together take turns. */
export async function prepareAccountDatabase(database: DataSource): Promise<void> {
  if (!database.isInitialized) await database.initialize();
  const runner = database.createQueryRunner();
  try {
    // the transaction's lock: it is gone with the transaction, whatever happens, and never goes back to the pool
    await runner.startTransaction();
    await runner.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await database.runMigrations({ transaction: 'each' });
  } finally {
    if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
    await runner.release();
  }
}
