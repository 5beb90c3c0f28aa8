import { afterAll, beforeAll } from '@jest/globals';
import { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { drizzleSuite } from '../support/database-libraries/drizzle.js';
import { kyselySuite } from '../support/database-libraries/kysely.js';
import { LibrarySystem } from '../support/database-libraries/library-system.js';
import { pgSuite } from '../support/database-libraries/pg.js';
import { prismaSuite } from '../support/database-libraries/prisma.js';
import { ITEM } from '../support/database-libraries/tables.js';
import { typeormSuite } from '../support/database-libraries/typeorm.js';
import { startTestPostgres } from '../support/postgres.js';

// One file, because the libraries share one server and one service; each has its own suite beside this folder.
let system: LibrarySystem;
let pool: Pool;
let dataSource: DataSource;

beforeAll(async () => {
  const server = await startTestPostgres();
  pool = new Pool({ connectionString: server.url, max: 4 });
  pool.on('error', () => undefined);
  dataSource = new DataSource({ type: 'postgres', url: server.url, poolSize: 4, entities: [ITEM] });
  await dataSource.initialize();
  system = await LibrarySystem.start(server, { postgres: dataSource, joining: [pool] }, []);
}, 60_000);

afterAll(async () => {
  await dataSource?.destroy();
  await pool?.end();
  await system?.stop();
});

pgSuite(
  () => system,
  () => pool,
);
kyselySuite(
  () => system,
  () => pool,
);
drizzleSuite(
  () => system,
  () => pool,
);
prismaSuite(
  () => system,
  () => pool,
);
typeormSuite(
  () => system,
  () => dataSource,
);
