import { sql, type Kysely } from 'kysely';
import type { DatabaseLibrary } from '@concordat/participant';

/**
 * A Kysely instance for `joining` of `ConcordatModule`: the application starts only if its work joins.
 *
 * @param db made with the pool that the module has: `new PostgresDialect({ pool })`
 */
export function kyselyDatabase<Database>(db: Kysely<Database>): DatabaseLibrary {
  return {
    library: 'the Kysely instance',
    remedy: 'make it with that pool: new Kysely({ dialect: new PostgresDialect({ pool }) })',
    probe: () => sql`SELECT 1`.execute(db),
  };
}
