import { CompiledQuery, Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import type { Pool } from 'pg';
import { describe, expect, it } from '@jest/globals';
import Cursor from 'pg-cursor';
import { conformance, type LibraryUnderTest, type TransactionUnderTest } from './conformance.js';
import type { LibrarySystem } from './library-system.js';

interface Database {
  item: { id: string; quantity?: number };
}

const insideOf = (trx: Transaction<Database>): TransactionUnderTest => ({
  insert: (id) => trx.insertInto('item').values({ id }).execute(),
});

function libraryOf(db: Kysely<Database>): LibraryUnderTest {
  return {
    insert: (id) => db.insertInto('item').values({ id }).execute(),
    quantityOf: async (id) =>
      (await db.selectFrom('item').select('quantity').where('id', '=', id).executeTakeFirst())?.quantity,
    transaction: (work) => db.transaction().execute((trx) => work(insideOf(trx))),
    serializable: () =>
      db
        .transaction()
        .setIsolationLevel('serializable')
        .execute(async () => undefined),
    readOnly: (work) =>
      db
        .transaction()
        .setAccessMode('read only')
        .execute((trx) => work(insideOf(trx))),
    send: (text) => db.executeQuery(CompiledQuery.raw(text)),
  };
}

export function kyselySuite(system: () => LibrarySystem, pool: () => Pool): void {
  const make = (): Kysely<Database> => new Kysely({ dialect: new PostgresDialect({ pool: pool(), cursor: Cursor }) });
  let made: LibraryUnderTest | undefined;
  conformance('Kysely', system, () => (made ??= libraryOf(make())));

  describe('Kysely in a global transaction', () => {
    it('has controlled transactions with savepoints', async () => {
      await system().reset();
      await system().run(async () => {
        const trx = await make().startTransaction().execute();
        await trx.insertInto('item').values({ id: 'b' }).execute();
        const point = await trx.savepoint('before').execute();
        await point.insertInto('item').values({ id: 'c' }).execute();
        await point.rollbackToSavepoint('before').execute();
        await point.insertInto('item').values({ id: 'd' }).execute();
        await point.releaseSavepoint('before').execute();
        await trx.commit().execute();
      });
      expect(await system().items()).toBe('a=10 b=0 d=0');
    });

    it('refuses to stream, with a sentence', async () => {
      await system().run(async () => {
        const stream = make().selectFrom('item').selectAll().stream();
        await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow('read the rows in pages');
        await sql`SELECT 1`.execute(make());
      });
    });
  });
}
