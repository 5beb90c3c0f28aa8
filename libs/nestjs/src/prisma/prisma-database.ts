import type { DatabaseLibrary } from '@concordat/participant';

/** The used part of a client that `prisma generate` has made. */
export interface PrismaClientLike {
  $queryRawUnsafe(query: string): PromiseLike<unknown>;
}

/**
 * A Prisma client for `joining` of `ConcordatModule`: the application starts only if its work joins. Clients with an
 * engine of their own, and adapters that were given settings instead of the pool, are refused.
 */
export function prismaDatabase(client: PrismaClientLike): DatabaseLibrary {
  return {
    library: 'the Prisma client',
    remedy: 'make it with that pool, from Prisma 7 on: new PrismaClient({ adapter: new PrismaPg(pool) })',
    probe: () => client.$queryRawUnsafe('SELECT 1'),
  };
}
