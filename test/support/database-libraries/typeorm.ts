import { afterEach, describe, expect, it } from '@jest/globals';
import type { DataSource, EntityManager, EntitySubscriberInterface } from 'typeorm';
import { conformance, type LibraryUnderTest, type TransactionUnderTest } from './conformance.js';
import type { LibrarySystem } from './library-system.js';
import { ITEM } from './tables.js';

const insideOf = (entities: EntityManager): TransactionUnderTest => ({
  insert: (id) => entities.insert(ITEM, { id }),
  nested: (work) => entities.transaction((inner) => work(insideOf(inner))),
});

function libraryOf(dataSource: DataSource): LibraryUnderTest {
  const items = dataSource.getRepository(ITEM);
  return {
    insert: (id) => items.insert({ id }),
    quantityOf: async (id) => (await items.findOneBy({ id }))?.quantity,
    transaction: (work) => dataSource.transaction((entities) => work(insideOf(entities))),
    serializable: () => dataSource.transaction('SERIALIZABLE', async () => undefined),
    send: (text) => dataSource.query(text),
  };
}

class RecordingSubscriber implements EntitySubscriberInterface {
  readonly told: string[] = [];
  afterTransactionCommit(): void {
    this.told.push('committed');
  }
}

export function typeormSuite(system: () => LibrarySystem, dataSource: () => DataSource): void {
  conformance('TypeORM', system, () => libraryOf(dataSource()));

  describe('TypeORM in a global transaction', () => {
    afterEach(() => {
      dataSource().subscribers.length = 0;
    });

    it('has repositories, query runners and locks', async () => {
      await system().reset();
      await system().run(async () => {
        const runner = dataSource().createQueryRunner();
        await runner.startTransaction();
        const locked = await runner.manager.findOneOrFail(ITEM, {
          where: { id: 'a' },
          lock: { mode: 'pessimistic_write' },
        });
        await runner.manager.save(ITEM, { ...locked, quantity: 9 });
        await runner.commitTransaction();
        await runner.release();
        await dataSource().getRepository(ITEM).save({ id: 'b', quantity: 1 });
      });
      expect(await system().items()).toBe('a=9 b=1');
    });

    it('joins after the DataSource was initialised again', async () => {
      await system().reset();
      await dataSource().destroy();
      await dataSource().initialize();
      const aborted = system().run(async () => {
        await dataSource().getRepository(ITEM).save({ id: 'b', quantity: 1 });
        throw new Error('changed its mind');
      });
      await expect(aborted).rejects.toThrow('changed its mind');
      expect(await system().items()).toBe('a=10');
    });

    it('tells subscribers of the end of their own transaction, and nothing when the branch is prepared', async () => {
      const subscriber = new RecordingSubscriber();
      await system().run(async () => {
        dataSource().subscribers.push(subscriber);
        await dataSource().query("INSERT INTO item VALUES ('z')");
      });
      expect(subscriber.told).toEqual([]);
    });

    it('refuses to stream, with a sentence', async () => {
      await system().run(async () => {
        const stream = dataSource().createQueryBuilder(ITEM, 'item').stream();
        await expect(stream).rejects.toThrow(/read the rows in pages|pg-query-stream/);
      });
    });
  });
}
