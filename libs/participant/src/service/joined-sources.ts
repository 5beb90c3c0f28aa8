import { GlobalConfigurationError } from '../global/index.js';
import { joinDataSource, joinPool, type CurrentWork, type JoiningOptions, type Leave } from '../postgres/index.js';
import { isDataSource, isPool, type DataSource, type Pool, type PostgresSource } from './postgres-source.js';

export interface Sources {
  readonly postgres: PostgresSource;
  readonly joining?: readonly (Pool | DataSource)[];
}

/**
 * Lets the database libraries of a service join: its DataSource and pools work on the session of the running work, and
 * are the user's own everywhere else.
 *
 * @returns ends the joining
 * @throws GlobalConfigurationError
 */
export function joinSources({ postgres, joining = [] }: Sources, current: CurrentWork, options: JoiningOptions): Leave {
  const sources: readonly PostgresSource[] = 'connectionString' in postgres ? joining : [postgres, ...joining];
  const leaves = [...new Set(sources)].map((source) => join(source, current, options));
  return () => {
    for (const leave of leaves) leave();
  };
}

function join(source: PostgresSource, current: CurrentWork, options: JoiningOptions): Leave {
  if (isDataSource(source)) return joinDataSource(source, current, options);
  if (isPool(source)) return joinPool(source, current, options);
  throw new GlobalConfigurationError('joining has something that is neither a pg.Pool nor a TypeORM DataSource');
}
