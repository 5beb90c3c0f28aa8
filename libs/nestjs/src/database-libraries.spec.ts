import { PrismaPg } from '@prisma/adapter-pg';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import type { DatabaseLibrary } from '@concordat/participant';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect } from 'kysely';
import { Client, Pool } from 'pg';
import { PrismaClient } from '../../../test/support/database-libraries/prisma-client/generated/client.js';
import type { ConcordatOptions } from './index.js';
import { drizzleDatabase, poolOf } from './drizzle/index.js';
import { NestServices } from './global/testing/services.js';
import { kyselyDatabase } from './kysely/index.js';
import { prismaDatabase } from './prisma/index.js';

// Nobody listens there: what a library sends first is enough to see which pool it asks.
const connectionString = 'postgres://user:password@127.0.0.1:1/nobody-listens';
const pools: Pool[] = [];
const newPool = (): Pool => {
  const pool = new Pool({ connectionString });
  pools.push(pool);
  return pool;
};

const services = new NestServices();

afterEach(() => services.stop());

afterAll(() => Promise.all(pools.map((pool) => pool.end())));

async function start(postgres: ConcordatOptions['postgres'], joining: ConcordatOptions['joining']): Promise<void> {
  await services.start('orders', { options: { postgres, joining } });
}

const LIBRARIES: readonly (readonly [string, (pool: Pool) => DatabaseLibrary])[] = [
  ['the Kysely instance', (pool) => kyselyDatabase(new Kysely({ dialect: new PostgresDialect({ pool }) }))],
  ['the Prisma client', (pool) => prismaDatabase(new PrismaClient({ adapter: new PrismaPg(pool) }))],
];

describe.each(LIBRARIES)('%s in joining', (name, made) => {
  it('is what the application starts with when it has the pool of the module', async () => {
    const pool = newPool();
    await start(pool, [made(pool)]);
    await services.stop();
    const further = newPool();
    await start(pool, [further, made(further)]);
  });

  it('keeps the application from starting when it has another pool, with what to do', async () => {
    const refused = start(newPool(), [made(newPool())]);
    await expect(refused).rejects.toMatchObject({
      code: 'GLOBAL_CONFIGURATION',
      message: expect.stringContaining(`${name} in joining takes its connections from a pool that is neither`),
    });
  });
});

it('an adapter of Prisma that was given settings makes a pool of its own, and is refused', async () => {
  const client = new PrismaClient({ adapter: new PrismaPg({ connectionString }) });
  const refused = start(newPool(), [prismaDatabase(client)]);
  await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('new PrismaPg(pool)') });
});

describe('a Drizzle database', () => {
  it('in joining brings its pool, also the one that Drizzle has made', async () => {
    const db = drizzle(connectionString);
    pools.push(db.$client);
    await start(newPool(), [drizzleDatabase(db)]);
  });

  it('gives its pool to the module', async () => {
    const pool = newPool();
    expect(poolOf(drizzle({ client: pool }))).toBe(pool);
    await start(poolOf(drizzle({ client: pool })), []);
  });

  it('without a pool is refused, with what to do', () => {
    const db = drizzle({ client: new Client({ connectionString }) });
    expect(() => drizzleDatabase(db)).toThrow('make it with drizzle-orm/node-postgres and a pool');
  });
});
