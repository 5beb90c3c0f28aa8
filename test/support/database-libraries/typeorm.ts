import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type {
  DataSource,
  EntityManager,
  EntitySubscriberInterface,
  TransactionCommitEvent,
  TransactionRollbackEvent,
  TransactionStartEvent,
} from 'typeorm';
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

/** Keeps what TypeORM tells of transactions, with what can be read then. */
class RecordingSubscriber implements EntitySubscriberInterface {
  readonly told: string[] = [];

  afterTransactionStart({ queryRunner }: TransactionStartEvent): void {
    queryRunner.data['from'] ??= 'its transaction';
  }

  async afterTransactionCommit(event: TransactionCommitEvent): Promise<void> {
    await this.tell('committed', event);
  }

  async afterTransactionRollback(event: TransactionRollbackEvent): Promise<void> {
    await this.tell('rolled back', event);
  }

  private async tell(what: string, { manager, queryRunner }: TransactionCommitEvent): Promise<void> {
    this.told.push(`${what}, data from ${queryRunner.data['from']}, ${await manager.countBy(ITEM, { id: 'b' })} b`);
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

    it('locks the rows that repositories read, which TypeORM refuses outside of transactions', async () => {
      await system().reset();
      const repository = dataSource().getRepository(ITEM);
      const lockA = () => repository.findOneOrFail({ where: { id: 'a' }, lock: { mode: 'pessimistic_write' } });
      await system().run(async () => {
        const locked = await lockA();
        await repository.save({ ...locked, quantity: locked.quantity - 1 });
        const another = repository.createQueryBuilder('item').setLock('pessimistic_write').getMany();
        expect(await another).toHaveLength(1);
      });
      expect(await system().items()).toBe('a=9');
      await expect(lockA()).rejects.toThrow('transaction is required');
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

    describe('tells its subscribers', () => {
      let subscriber: RecordingSubscriber;

      beforeEach(async () => {
        await system().reset();
        subscriber = new RecordingSubscriber();
        dataSource().subscribers.push(subscriber);
      });

      const insertB = (): Promise<unknown> =>
        dataSource().transaction((entities) => entities.insert(ITEM, { id: 'b', quantity: 1 }));

      it('that a transaction is committed when the global one is, and not before', async () => {
        await system().run(async () => {
          await insertB();
          await dataSource().getRepository(ITEM).save({ id: 'c', quantity: 1 });
          expect(subscriber.told).toEqual([]);
        });
        expect(subscriber.told).toEqual(Array(2).fill('committed, data from its transaction, 1 b'));
      });

      it('that it was rolled back when the global one aborts', async () => {
        const aborted = system().run(async () => {
          await insertB();
          throw new Error('changed its mind');
        });
        await expect(aborted).rejects.toThrow('changed its mind');
        expect(subscriber.told).toEqual(['rolled back, data from its transaction, 0 b']);
      });

      it('the same of a part that was undone, whatever becomes of the rest', async () => {
        await system().run(async () => {
          const undone = system().run(async () => {
            await insertB();
            throw new Error('changed its mind');
          });
          await expect(undone).rejects.toThrow('changed its mind');
          expect(subscriber.told).toEqual([]);
        });
        expect(subscriber.told).toEqual(['rolled back, data from its transaction, 0 b']);
      });

      it('of transactions inside of another one only with that one', async () => {
        const nested = (fails: boolean): Promise<unknown> =>
          dataSource().transaction(async (entities) => {
            await entities.transaction((inner) => inner.insert(ITEM, { id: 'b', quantity: 1 }));
            if (fails) throw new Error('changed its mind');
          });
        await system().run(async () => {
          await expect(nested(true)).rejects.toThrow('changed its mind');
          expect(subscriber.told).toEqual(['rolled back, data from its transaction, 0 b']);
          subscriber.told.length = 0;
          await nested(false);
          expect(subscriber.told).toEqual([]);
        });
        expect(subscriber.told).toEqual(Array(2).fill('committed, data from its transaction, 1 b'));
      });

      it('at once outside of global transactions', async () => {
        await insertB();
        expect(subscriber.told).toEqual(['committed, data from its transaction, 1 b']);
      });

      it('nothing when the branch is prepared', async () => {
        await system().run(async () => void (await dataSource().query("INSERT INTO item VALUES ('z')")));
        expect(subscriber.told).toEqual([]);
      });
    });

    it('refuses to stream, with a sentence', async () => {
      await system().run(async () => {
        const stream = dataSource().createQueryBuilder(ITEM, 'item').stream();
        await expect(stream).rejects.toThrow(/read the rows in pages|pg-query-stream/);
      });
    });
  });
}
