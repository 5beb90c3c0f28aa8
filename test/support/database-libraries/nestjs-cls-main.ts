import { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { LibrarySystem } from './library-system.js';
import { clsModule, runScenarios } from './nestjs-cls.js';
import { ITEM } from './tables.js';

// A process of its own, because nestjs-cls requires Nest, and Jest on Node.js 20 cannot require ES modules.
const [url] = process.argv.slice(2);
if (url === undefined) throw new Error('usage: nestjs-cls-main <url of the database>');
const pool = new Pool({ connectionString: url, max: 4 });
pool.on('error', () => undefined);
const dataSource = new DataSource({ type: 'postgres', url, poolSize: 4, entities: [ITEM] });
await dataSource.initialize();
const stranger = new DataSource({ type: 'postgres', url, poolSize: 2, entities: [ITEM] });
await stranger.initialize();
const server = { url, directory: '', stop: async () => undefined };
const joining = { postgres: dataSource, joining: [pool] };
const system = await LibrarySystem.start(server, joining, [clsModule(dataSource, stranger, pool)]);
try {
  process.stdout.write(JSON.stringify(await runScenarios(system)));
} finally {
  await dataSource.destroy();
  await stranger.destroy();
  await pool.end();
  await system.stop();
}
