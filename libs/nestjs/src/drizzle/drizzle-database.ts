import { GlobalConfigurationError, type DatabaseLibrary, type Pool } from '@concordat/participant';

/** The used part of a Drizzle database: its classes differ between ES modules and CommonJS. */
export interface DrizzleLike {
  readonly $client: unknown;
}

/**
 * The pool of a Drizzle database, for `postgres` of `ConcordatModule`; also the one that `drizzle(url)` has made.
 *
 * @throws GlobalConfigurationError for a driver without a `pg.Pool`, whose work cannot join
 */
export function poolOf({ $client }: DrizzleLike): Pool {
  const isPool = typeof $client === 'object' && $client !== null && 'totalCount' in $client && 'connect' in $client;
  if (isPool) return $client as Pool;
  throw new GlobalConfigurationError(
    'the Drizzle database has no pg.Pool, so its work cannot join: make it with drizzle-orm/node-postgres and a pool, ' +
      'drizzle({ client: new Pool(…) }); a pg.Client has one connection, and other drivers, such as postgres-js, have ' +
      'pools of their own',
  );
}

/**
 * A Drizzle database for `joining` of `ConcordatModule`: its pool joins, also the one that `drizzle(url)` has made.
 *
 * @throws GlobalConfigurationError for a driver without a `pg.Pool`, whose work cannot join
 */
export function drizzleDatabase(db: DrizzleLike): DatabaseLibrary {
  return { library: 'the Drizzle database', source: poolOf(db) };
}
