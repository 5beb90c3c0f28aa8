import { eq, sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { Pool } from 'pg';
import { conformance, type LibraryUnderTest, type TransactionUnderTest } from './conformance.js';
import type { LibrarySystem } from './library-system.js';
import { item } from './tables.js';

type Executor = Pick<NodePgDatabase, 'insert' | 'transaction'>;

const insideOf = (tx: Executor): TransactionUnderTest => ({
  insert: (id) => tx.insert(item).values({ id }),
  nested: (work) => tx.transaction((inner) => work(insideOf(inner))),
});

function libraryOf(db: NodePgDatabase): LibraryUnderTest {
  return {
    insert: (id) => db.insert(item).values({ id }),
    quantityOf: async (id) => (await db.select().from(item).where(eq(item.id, id)))[0]?.quantity,
    transaction: (work) => db.transaction((tx) => work(insideOf(tx))),
    serializable: () => db.transaction(async () => undefined, { isolationLevel: 'serializable' }),
    readOnly: (work) => db.transaction((tx) => work(insideOf(tx)), { accessMode: 'read only' }),
    send: (text) => db.execute(sql.raw(text)),
  };
}

export function drizzleSuite(system: () => LibrarySystem, pool: () => Pool): void {
  let made: LibraryUnderTest | undefined;
  conformance('Drizzle', system, () => (made ??= libraryOf(drizzle({ client: pool() }))));
}
