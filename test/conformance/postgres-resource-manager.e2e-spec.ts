import { SystemClock } from '@concordat/foundation';
import { PostgresResourceManager, type PostgresContext } from '@concordat/participant';
import { startTestDatabases } from '@concordat/testing/databases';
import { Client } from 'pg';
import { resourceManagerSuite } from './resource-manager-suite.js';

resourceManagerSuite('PostgreSQL', async () => {
  const databases = await startTestDatabases(['stock']);
  const reader = new Client({ connectionString: databases.urls.stock });
  await reader.connect();
  await reader.query('CREATE TABLE item (key text PRIMARY KEY, value integer NOT NULL)');
  const settings = { connectionString: databases.urls.stock, cluster: 'suite', participant: 'stock' };
  const manager = new PostgresResourceManager(settings, { clock: new SystemClock() });
  await manager.start();
  return {
    manager,
    write: async ({ client }: PostgresContext, key, value) => {
      const upsert = 'INSERT INTO item VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value';
      await client.query(upsert, [key, value]);
    },
    read: async (key) => {
      const { rows } = await reader.query<{ value: number }>('SELECT value FROM item WHERE key = $1', [key]);
      return rows[0]?.value;
    },
    stop: async () => {
      await manager.close();
      await reader.end();
      await databases.stop();
    },
  };
});
