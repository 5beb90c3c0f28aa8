import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, Pool } from 'pg';
import { DataSource, EntitySchema } from 'typeorm';
import { SystemClock } from '@concordat/foundation';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import {
  PostgresResourceManager,
  examineDatabase,
  migrateLedger,
  type CurrentWork,
  type PostgresContext,
} from '../postgres/index.js';
import type { TwoPhaseWork, VoteResult } from '../runtime/resource-manager.js';
import { joinSources } from './joined-sources.js';
import { settingsOf } from './postgres-source.js';

const ITEM = new EntitySchema<{ id: string }>({
  name: 'Item',
  tableName: 'item',
  columns: { id: { type: 'text', primary: true } },
});
const OPTIONS = '-c search_path=shop';

const clock = new SystemClock();
const closing: (() => Promise<unknown>)[] = [];
let server: TestPostgres;
let sockets: string;

beforeAll(async () => {
  sockets = mkdtempSync(path.join(tmpdir(), 'sockets-'));
  chmodSync(sockets, 0o777); // as root, the server runs as another user
  server = await startTestPostgres([`unix_socket_directories=${sockets}`]);
  const roles = ['orders', 'billing', 'reader'].map((role) => `CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
  await superuser('postgres', [...roles, 'CREATE DATABASE orders', 'CREATE DATABASE billing']);
  for (const name of ['orders', 'billing']) {
    await superuser(name, [
      `CREATE SCHEMA shop AUTHORIZATION ${name}`,
      'CREATE TABLE shop.item (id text PRIMARY KEY)',
      `GRANT ALL ON shop.item TO ${name}`,
      `GRANT CREATE ON SCHEMA public TO ${name}`,
    ]);
  }
}, 60_000);

afterAll(async () => {
  for (const close of closing.reverse()) await close();
  await server?.stop();
  rmSync(sockets, { recursive: true, force: true });
});

async function superuser(database: string, statements: readonly string[]): Promise<unknown[]> {
  const client = new Client({ connectionString: server.url.replace(/postgres$/, database) });
  await client.connect();
  try {
    const answers = [];
    for (const statement of statements) answers.push((await client.query(statement)).rows);
    return answers.at(-1) as unknown[];
  } finally {
    await client.end();
  }
}

function keep(pool: Pool): void {
  pool.on('error', () => undefined); // the server may end before the connections have
  closing.push(() => pool.end());
}

const portOf = (): number => Number(new URL(server.url).port);

function branch(): TwoPhaseWork {
  const limit = { deadline: clock.now() + 20_000, timeoutMs: 20_000 };
  return { protocol: '2pc', transactionId: randomUUID(), branchId: randomUUID(), ...limit, preparedByService: false };
}

/** A participant with this source, as `ParticipantService` makes it; after the doctor and the migration. */
async function participantOf(postgres: Pool | DataSource, participant: string) {
  const connection = settingsOf(postgres);
  await migrateLedger({ ...connection, clock });
  const manager = new PostgresResourceManager(
    { applicationName: participant, ...connection, cluster: 'test', participant },
    { clock },
  );
  closing.push(() => manager.close());
  await manager.start();
  const current: CurrentWork = () => manager.currentWork();
  joinSources({ postgres }, current, {});
  const commit = async (handler: (context: PostgresContext) => Promise<unknown>): Promise<void> => {
    const one = branch();
    const vote = (await manager.prepare(one, async (context) => {
      await handler(context);
      return [];
    })) as VoteResult;
    expect(vote).toMatchObject({ vote: 'yes' });
    await manager.commit(one);
  };
  const examine = () => examineDatabase({ ...connection, participant, cluster: 'test', clock });
  return { commit, examine };
}

describe('a participant has the way to the database that the service has', () => {
  it('over a socket of the file system, with the search_path in the options of the pool', async () => {
    const place = { host: sockets, port: portOf(), database: 'orders' };
    const pool = new Pool({ ...place, user: 'orders', password: () => 'orders', options: OPTIONS });
    keep(pool);
    const { commit, examine } = await participantOf(pool, 'orders');
    const seen: unknown[] = [];
    const look = async (): Promise<void> => {
      const { rows } = await pool.query("SELECT inet_server_addr() AS address, current_setting('search_path') AS path");
      seen.push(rows[0]);
    };
    await commit(async () => {
      await look();
      await pool.query("INSERT INTO item VALUES ('a')");
      await pool.query('SET LOCAL search_path = public');
    });
    await commit(async ({ client }) => {
      await look(); // the session is one that was reset
      await client.query("INSERT INTO item VALUES ('b')");
    });
    await look(); // on the pool's own connection
    expect(seen).toEqual(Array.from({ length: 3 }, () => ({ address: null, path: 'shop' })));
    expect(await superuser('orders', ['SELECT id FROM shop.item ORDER BY id'])).toEqual([{ id: 'a' }, { id: 'b' }]);
    const { where, facts, reports } = await examine();
    expect(where).toBe(`orders@[${sockets}]:${portOf()}/orders`);
    expect(facts).toMatchObject({ role: 'orders', database: 'orders', wire: 'local', isOnThisMachine: true });
    expect(reports.filter(({ status }) => status === 'failure')).toEqual([]);
  });

  it('of the master, with replication', async () => {
    const urlOf = (role: string): string => `postgres://${role}:${role}@127.0.0.1:${portOf()}/billing`;
    const dataSource = new DataSource({
      type: 'postgres',
      replication: { master: { url: urlOf('billing') }, slaves: [{ url: urlOf('reader') }] },
      extra: { options: OPTIONS },
      entities: [ITEM],
    });
    await dataSource.initialize();
    closing.push(() => dataSource.destroy());
    const { commit, examine } = await participantOf(dataSource, 'billing');
    const roles: unknown[] = [];
    await commit(async ({ manager }) => {
      await dataSource.getRepository(ITEM).save({ id: 'a' });
      await manager.save(ITEM, { id: 'b' });
      roles.push(await dataSource.query('SELECT current_user AS role'));
    });
    expect(roles).toEqual([[{ role: 'billing' }]]);
    expect(await superuser('billing', ['SELECT id FROM shop.item ORDER BY id'])).toEqual([{ id: 'a' }, { id: 'b' }]);
    expect((await examine()).facts).toMatchObject({ role: 'billing', database: 'billing' });
  });

  it('with the type parsers that the DataSource gives its pool', async () => {
    const types = { getTypeParser: () => (text: string) => `parsed ${text}` };
    const dataSource = new DataSource({ type: 'postgres', url: server.url, extra: { types } });
    const { commit } = await participantOf(dataSource, 'parsing');
    let rows: unknown;
    await dataSource.initialize();
    closing.push(() => dataSource.destroy());
    await commit(async ({ client }) => {
      await client.query('CREATE TABLE parsed (number int)');
      rows = await dataSource.query('SELECT 1 AS one');
    });
    expect(rows).toEqual([{ one: 'parsed 1' }]);
  });

  it('is told apart from another role of the same participant, whatever says where the database is', async () => {
    const pool = new Pool({
      host: '127.0.0.1',
      port: portOf(),
      user: 'reader',
      password: 'reader',
      database: 'orders',
    });
    keep(pool);
    const { reports } = await examineDatabase({ ...settingsOf(pool), participant: 'orders', cluster: 'test', clock });
    expect(reports.find(({ name }) => name === 'same-role')).toMatchObject({ status: 'warning' });
  });

  it('says in its errors where that is, and no password', async () => {
    const pool = new Pool({ host: sockets, port: portOf(), password: 's3cret', database: 'orders' });
    keep(pool);
    const env = { ...process.env };
    process.env['PGUSER'] = 'nobody';
    const { reports } = await examineDatabase({ ...settingsOf(pool), clock });
    process.env = env;
    expect(JSON.stringify(reports)).not.toContain('s3cret');
    expect(reports).toEqual([
      expect.objectContaining({
        code: 'DATABASE_AUTHENTICATION_FAILED',
        sentence: expect.stringContaining('nobody@['),
      }),
    ]);
  });
});
