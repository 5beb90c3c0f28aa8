import type { Logger } from '@concordat/foundation';
import { GlobalConfigurationError } from '../global/index.js';
import { joinDataSource, joinPool, type CurrentWork, type JoiningOptions, type Leave } from '../postgres/index.js';
import { isDatabaseLibrary, type DatabaseLibrary } from './database-library.js';
import {
  isDataSource,
  isPool,
  reportDifferences,
  type DataSource,
  type Pool,
  type PostgresSource,
} from './postgres-source.js';

export interface Sources {
  readonly postgres: PostgresSource;
  readonly joining?: readonly (Pool | DataSource | DatabaseLibrary)[];
}

export interface JoiningSourcesOptions extends JoiningOptions {
  /** told what the sources set on their own connections alone */
  readonly logger?: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Lets the database libraries of a service join: its DataSource and pools work on the session of the running work, and
 * are the user's own everywhere else.
 *
 * @returns ends the joining
 * @throws GlobalConfigurationError
 */
export function joinSources(
  { postgres, joining = [] }: Sources,
  current: CurrentWork,
  { logger, ...options }: JoiningSourcesOptions,
): Leave {
  const further = joining.flatMap((one) => (isDatabaseLibrary(one) ? (one.source ?? []) : one));
  const unique = [...new Set(isDataSource(postgres) || isPool(postgres) ? [postgres, ...further] : further)];
  if (logger) for (const source of unique) reportDifferences(source, logger);
  const leaves = unique.map((source) => join(source, current, options));
  return () => {
    for (const leave of leaves) leave();
  };
}

function join(source: PostgresSource, current: CurrentWork, options: JoiningOptions): Leave {
  if (isDataSource(source)) return joinDataSource(source, current, options);
  if (isPool(source)) return joinPool(source, current, options);
  throw new GlobalConfigurationError('joining has something that is neither a pg.Pool nor a TypeORM DataSource');
}
