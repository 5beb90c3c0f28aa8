import { PrismaPg } from '@prisma/adapter-pg';
import type { Pool } from 'pg';
import { describe, expect, it } from '@jest/globals';
import { conformance, type LibraryUnderTest, type TransactionUnderTest } from './conformance.js';
import type { LibrarySystem } from './library-system.js';
import { PrismaClient, type Prisma } from './prisma-client/generated/client.js';

const insideOf = (transaction: Prisma.TransactionClient): TransactionUnderTest => ({
  insert: (id) => transaction.item.create({ data: { id } }),
});

function libraryOf(prisma: PrismaClient): LibraryUnderTest {
  return {
    insert: (id) => prisma.item.create({ data: { id } }),
    quantityOf: async (id) => (await prisma.item.findUnique({ where: { id } }))?.quantity,
    transaction: (work) => prisma.$transaction((transaction) => work(insideOf(transaction))),
    serializable: () => prisma.$transaction(async () => undefined, { isolationLevel: 'Serializable' }),
    send: (text) => prisma.$executeRawUnsafe(text),
  };
}

export function prismaSuite(system: () => LibrarySystem, pool: () => Pool): void {
  let made: PrismaClient | undefined;
  // a transaction of Prisma's waits for the session of the global one, and for its turn in it
  const transactionOptions = { maxWait: 30_000, timeout: 30_000 };
  const prisma = (): PrismaClient => (made ??= new PrismaClient({ adapter: new PrismaPg(pool()), transactionOptions }));
  conformance('Prisma', system, () => libraryOf(prisma()));

  describe('Prisma in a global transaction', () => {
    it('runs a list of statements as one transaction', async () => {
      await system().reset();
      await system().run(async () => {
        const { item } = prisma();
        await prisma().$transaction([item.create({ data: { id: 'b' } }), item.create({ data: { id: 'c' } })]);
        const failed = prisma().$transaction([item.create({ data: { id: 'd' } }), item.create({ data: { id: 'a' } })]);
        await expect(failed).rejects.toMatchObject({ code: 'P2002' });
      });
      expect(await system().items()).toBe('a=10 b=0 c=0');
    });

    it('undoes an interactive transaction that takes longer than its timeout, and nothing else', async () => {
      await system().reset();
      await system().run(async () => {
        await prisma().item.create({ data: { id: 'b' } });
        const late = prisma().$transaction(
          async (transaction) => {
            await transaction.item.create({ data: { id: 'c' } });
            await transaction.$queryRawUnsafe('SELECT 1 FROM pg_sleep(0.5)');
            await transaction.item.create({ data: { id: 'd' } });
          },
          { timeout: 100 },
        );
        await expect(late).rejects.toMatchObject({ code: 'P2028' });
        await prisma().item.create({ data: { id: 'e' } });
      });
      expect(await system().items()).toBe('a=10 b=0 e=0');
    });
  });
}
