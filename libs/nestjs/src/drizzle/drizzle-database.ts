import { sql } from 'drizzle-orm';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import { GlobalConfigurationError, type DatabaseLibrary, type Pool } from '@concordat/participant';

type Schema = Record<string, unknown>;

/**
 * The pool of a Drizzle database, for `postgres` of `ConcordatModule`; also the one that `drizzle(url)` has made.
 *
 * @throws GlobalConfigurationError for a driver without a `pg.Pool`, whose work cannot join
 */
export function poolOf<S extends Schema>({ $client }: NodePgDatabase<S> & { readonly $client: unknown }): Pool {
  const isPool = typeof $client === 'object' && $client !== null && 'totalCount' in $client && 'connect' in $client;
  if (isPool) return $client as Pool;
  throw new GlobalConfigurationError(
    'the Drizzle database has no pg.Pool, so its work cannot join: make it with drizzle-orm/node-postgres and a pool, ' +
      'drizzle({ client: new Pool(…) }); a pg.Client and other drivers, such as postgres-js, have one connection or pools of their own',
  );
}

/**
 * A Drizzle database for `joining` of `ConcordatModule`: its pool joins, also the one that `drizzle(url)` has made.
 *
 * @throws GlobalConfigurationError for a driver without a `pg.Pool`, whose work cannot join
 */
export function drizzleDatabase<S extends Schema>(
  db: NodePgDatabase<S> & { readonly $client: unknown },
): DatabaseLibrary {
  return {
    library: 'the Drizzle database',
    remedy: 'make it with that pool: drizzle({ client: pool })',
    source: poolOf(db),
    probe: () => db.execute(sql`SELECT 1`),
  };
}
