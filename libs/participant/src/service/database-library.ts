import { GlobalConfigurationError } from '../global/index.js';
import { Asking } from '../postgres/index.js';
import type { DataSource, Pool } from './postgres-source.js';

/** A database library of the service, for `joining`. `@concordat/nestjs` makes them, by a sub-path for each library. */
export interface DatabaseLibrary {
  /** for sentences, such as `the Kysely instance` */
  readonly library: string;
  /** how it is made so that it joins, as the end of a sentence */
  readonly remedy?: string;
  /** the pool that it has, where it says so; it joins, too */
  readonly source?: Pool | DataSource;
  /** Takes a connection, where nobody knows its pool. */
  probe?(): PromiseLike<unknown>;
}

export function isDatabaseLibrary(value: object): value is DatabaseLibrary {
  return 'library' in value;
}

/**
 * Lets each library take a connection, and looks whether it is that of a pool that joins. It does not wait
 * for the database.
 *
 * @throws GlobalConfigurationError for one that works on connections of its own, which would commit by themselves
 */
export async function checkLibraries(joining: readonly object[] = []): Promise<void> {
  await Promise.all(joining.filter(isDatabaseLibrary).map(check));
}

async function check(one: DatabaseLibrary): Promise<void> {
  if (!one.probe) return;
  const asking = new Asking();
  let cause: unknown;
  const answered = asking
    .during(async () => one.probe?.())
    .then(
      () => undefined,
      (error: unknown) => void (cause = error),
    );
  await Promise.race([asking.happened, answered]);
  if (asking.isSeen) return;
  throw new GlobalConfigurationError(
    `${one.library} in joining takes its connections from a pool that is neither postgres nor in joining, so its work ` +
      `would commit by itself; ${one.remedy ?? 'give it that pool'}`,
    { cause },
  );
}
