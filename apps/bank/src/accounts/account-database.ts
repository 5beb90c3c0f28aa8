import { DataSource } from 'typeorm';
import { Account } from './account.entity.js';
import { CreateAccounts1767225600000 } from './create-accounts.migration.js';

const HTTP_CONNECTIONS = 4;
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
    connectTimeoutMS: 5_000,
  });
}

/** Connects and migrates; may be called again after a failure. Processes that start together take turns. */
export async function prepareAccountDatabase(database: DataSource): Promise<void> {
  if (!database.isInitialized) await database.initialize();
  const runner = database.createQueryRunner();
  try {
    await runner.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await database.runMigrations({ transaction: 'each' });
    await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
  } finally {
    await runner.release();
  }
}
