import type { DatabaseLibrary } from '@concordat/participant';

/** The used part of `Kysely`: its classes differ between ES modules and CommonJS. */
export interface KyselyLike {
  connection(): { execute(work: () => Promise<void>): Promise<void> };
}

/**
 * A Kysely instance for `joining` of `ConcordatModule`: the application starts only if its work joins.
 *
 * @param db made with the pool that the module has: `new PostgresDialect({ pool })`
 */
export function kyselyDatabase(db: KyselyLike): DatabaseLibrary {
  return {
    library: 'the Kysely instance',
    remedy: 'make it with that pool: new Kysely({ dialect: new PostgresDialect({ pool }) })',
    probe: () => db.connection().execute(async () => undefined),
  };
}
