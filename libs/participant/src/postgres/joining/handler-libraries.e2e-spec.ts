import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { DataSource, EntitySchema, type EntityManager, type EntitySubscriberInterface, type Repository } from 'typeorm';
import { SystemClock } from '@concordat/foundation';
import { startTestPostgres, type TestPostgres } from '../../../../../test/support/postgres.js';
import { BranchRefusedError } from '../../runtime/errors.js';
import type { TwoPhaseWork, VoteResult } from '../../runtime/resource-manager.js';
import { PostgresResourceManager } from '../postgres-resource-manager.js';
import type { PostgresContext } from '../session/context.js';
import { joinPool } from './join-pool.js';

interface Item {
  id: string;
  quantity: number;
}

const ITEM = new EntitySchema<Item>({
  name: 'Item',
  tableName: 'item',
  columns: { id: { type: 'text', primary: true }, quantity: { type: 'int' } },
});

/** What TypeORM tells the application of its transactions. */
class RecordingSubscriber implements EntitySubscriberInterface {
  readonly told: string[] = [];
  afterTransactionStart(): void {
    this.told.push('started');
  }
  afterTransactionCommit(): void {
    this.told.push('committed');
  }
}

const clock = new SystemClock();
let server: TestPostgres;
let dataSource: DataSource;
let items: Repository<Item>;
let pool: Pool;
let manager: PostgresResourceManager;
let subscriber: RecordingSubscriber;

beforeAll(async () => {
  server = await startTestPostgres();
  dataSource = new DataSource({ type: 'postgres', url: server.url, poolSize: 2, entities: [ITEM] });
  pool = new Pool({ connectionString: server.url, max: 2 });
  pool.on('error', () => undefined);
  const settings = { connectionString: server.url, cluster: 'test', participant: 'bank-a', dataSource };
  manager = new PostgresResourceManager({ ...settings, workConnections: 2, handlerGraceMs: 100 }, { clock });
  await manager.start();
  await dataSource.initialize();
  joinPool(pool, manager.currentWork);
  await pool.query('CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL)');
  items = dataSource.getRepository(ITEM);
}, 60_000);

afterAll(async () => {
  await manager?.close();
  await dataSource?.destroy();
  await pool?.end();
  await server?.stop();
});

beforeEach(async () => {
  await pool.query("TRUNCATE item; INSERT INTO item VALUES ('a', 10)");
  subscriber = new RecordingSubscriber();
  dataSource.subscribers.push(subscriber);
});

afterEach(async () => {
  dataSource.subscribers.length = 0;
  for (const { gid } of await manager.listPrepared()) await pool.query(`ROLLBACK PREPARED '${gid}'`);
});

function branch(): TwoPhaseWork {
  const limit = { deadline: clock.now() + 20_000, timeoutMs: 20_000 };
  return { protocol: '2pc', transactionId: randomUUID(), branchId: randomUUID(), ...limit, preparedByService: false };
}

/** Prepares a branch with the handler, and gives its vote and its rows after the commit. */
async function run(
  handler: (context: PostgresContext) => Promise<unknown>,
): Promise<{ vote: VoteResult; rows: Item[] }> {
  const one = branch();
  const vote = (await manager.prepare(one, async (context) => {
    await handler(context);
    return [];
  })) as VoteResult;
  expect((await pool.query('SELECT id FROM item')).rows).toEqual([{ id: 'a' }]); // nothing is visible yet
  if (vote.vote === 'yes') await manager.commit(one);
  const { rows } = await pool.query<Item>('SELECT * FROM item ORDER BY id');
  return { vote, rows };
}

const quantities = (rows: readonly Item[]): string => rows.map(({ id, quantity }) => `${id}=${quantity}`).join(' ');
const fail = async (): Promise<never> => Promise.reject(new Error('changed its mind'));

describe('context.manager', () => {
  it('works in the branch, with transactions as savepoints, and tells nobody that something is committed', async () => {
    const { vote, rows } = await run(async ({ manager: entities }) => {
      await entities.save(ITEM, { id: 'b', quantity: 1 });
      const locked = await entities.findOne(ITEM, { where: { id: 'a' }, lock: { mode: 'pessimistic_write' } });
      expect(locked).toEqual({ id: 'a', quantity: 10 });
      await entities.transaction((inner) => inner.save(ITEM, { id: 'c', quantity: 1 }));
      const undone = entities.transaction(async (inner) => {
        await inner.save(ITEM, { id: 'd', quantity: 1 });
        await fail();
      });
      await expect(undone).rejects.toThrow('changed its mind');
    });
    expect(vote).toMatchObject({ vote: 'yes' });
    expect(quantities(rows)).toBe('a=10 b=1 c=1');
    expect(subscriber.told).not.toContain('committed');
  });

  it('cannot end the transaction of the branch', async () => {
    const { vote } = await run(async ({ manager: entities }) => {
      await entities.save(ITEM, { id: 'b', quantity: 1 });
      await entities.queryRunner!.commitTransaction();
    });
    expect(vote).toMatchObject({ vote: 'no', error: { code: 'HANDLER_FAILED' } });
  });

  it('is of no use after the vote', async () => {
    let late: EntityManager | undefined;
    await run(async (context) => {
      late = context.manager;
    });
    await expect(late?.query('SELECT 1')).rejects.toThrow('released');
  });
});

describe('what a handler uses beside its context', () => {
  it('joins its branch: repositories, transactions of the DataSource, pools', async () => {
    const { rows } = await run(async () => {
      await items.save({ id: 'b', quantity: 1 });
      expect(await items.findOne({ where: { id: 'b' }, lock: { mode: 'pessimistic_write' } })).not.toBeNull();
      await dataSource.transaction((entities) => entities.update(ITEM, 'a', { quantity: 9 }));
      await pool.query("INSERT INTO item SELECT 'c', quantity FROM item WHERE id = 'a'");
    });
    expect(quantities(rows)).toBe('a=9 b=1 c=9');
    expect(subscriber.told).not.toContain('committed'); // nobody here learns the decision
  });

  it('is undone with a handler that refuses', async () => {
    const { vote, rows } = await run(async () => {
      await items.save({ id: 'b', quantity: 1 });
      throw new BranchRefusedError('SOLD_OUT', 'nothing left');
    });
    expect([vote.vote, quantities(rows)]).toEqual(['no', 'a=10']);
  });

  it('may save many at once, of which one fails', async () => {
    const { rows } = await run(async ({ client }) => {
      await client.query("INSERT INTO item VALUES ('e', 5)");
      const saves = ['b', 'c', 'd'].map((id) => items.save({ id, quantity: 1 }));
      const insert = dataSource.transaction((entities) => entities.insert(ITEM, { id: 'a', quantity: 1 }));
      const outcomes = await Promise.allSettled([...saves, insert]);
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
    });
    expect(quantities(rows)).toBe('a=10 b=1 c=1 d=1 e=5');
  });

  it('refuses the branch when a transaction is not awaited', async () => {
    const { vote } = await run(async () => {
      await items.save({ id: 'b', quantity: 1 });
      await new Promise<void>((begun) => {
        const forgotten = dataSource.transaction(async (entities) => {
          await entities.save(ITEM, { id: 'c', quantity: 1 });
          begun();
          await new Promise((resolve) => setImmediate(resolve));
        });
        forgotten.catch(() => undefined);
      });
    });
    expect(vote).toMatchObject({ vote: 'no', error: { code: 'FORBIDDEN_STATEMENT' } });
    expect(vote.error?.message).toContain('an await is missing');
  });

  it('is on its own outside of handlers', async () => {
    await items.save({ id: 'b', quantity: 1 });
    expect(subscriber.told).toEqual(['started', 'committed']);
    expect(await items.count()).toBe(2);
  });
});
