import type { Logger } from '@concordat/foundation';
import { GlobalConfigurationError } from '../global/index.js';
import { clientOptionsOf, limitsAmong, refusalOfOptions } from '../postgres/connections/client-options.js';
import { isSetUpByListeners } from '../postgres/joining/join-pool.js';
import type {
  PostgresClientOptions,
  PostgresResourceManagerSettings,
  joinDataSource,
  joinPool,
} from '../postgres/index.js';

type Settings = Omit<PostgresResourceManagerSettings, 'cluster' | 'participant'>;

export type DataSource = Parameters<typeof joinDataSource>[0];
export type Pool = Parameters<typeof joinPool>[0];

/** Settings, a TypeORM `DataSource`, or a `pg.Pool`. */
export type PostgresSource = Settings | DataSource | Pool;

export function isDataSource(source: PostgresSource): source is DataSource {
  return 'createQueryRunner' in source;
}

export function isPool(source: PostgresSource): source is Pool {
  return 'options' in source && 'connect' in source && !isDataSource(source);
}

/** @throws GlobalConfigurationError when the source does not say where the database is, or says what no other can do */
export function settingsOf(source: PostgresSource): Settings {
  if (isDataSource(source))
    return { connection: connectionOf(ofDataSource(source), 'the DataSource'), dataSource: source };
  if (isPool(source)) return { connection: connectionOf(source.options, 'the pool') };
  if ('connectionString' in source || 'connection' in source) return source;
  throw new GlobalConfigurationError(
    'postgres is none of: a TypeORM DataSource, a pg.Pool, { connectionString: "postgres://…" }, { connection: { host, … } }',
  );
}

/** Says what the source sets on its own connections that does not hold on the sessions of global transactions. */
export function reportDifferences(source: Pool | DataSource, logger: Pick<Logger, 'info' | 'warn'>): void {
  const what = isPool(source) ? 'the pool' : 'the DataSource';
  const names = limitsAmong(isDataSource(source) ? ofDataSource(source) : source.options);
  if (names.length > 0) {
    logger.info(
      `${names.join(', ')} of ${what} ${names.length === 1 ? 'does' : 'do'} not hold in global transactions: the deadline ` +
        '(timeoutMs) bounds their statements, and lockTimeoutMs their waiting for locks',
    );
  }
  if (!isDataSource(source) && isSetUpByListeners(source)) {
    logger.warn(
      'the pool has listeners for connect: what they set on its connections does not hold in global transactions; say ' +
        "it in the pool's options ('-c search_path=orders'), or for the role (ALTER ROLE … SET …)",
    );
  }
}

/** What TypeORM makes the pool of the DataSource with; with replication, that of the master, where work must go. */
function ofDataSource(source: DataSource): object {
  const { type } = source.options;
  if (type !== 'postgres') {
    throw new GlobalConfigurationError(`the DataSource is of the type ${type}; global transactions need PostgreSQL`);
  }
  const { replication, extra, ...own } = source.options;
  const { url, username, host, port, password, database, ssl } = replication?.master ?? own;
  return {
    connectionString: url,
    host,
    port,
    user: username,
    password,
    database,
    ssl,
    ...(extra as object | undefined),
  };
}

/** The participant's own connections are as those of the source: the same server, role, password, TLS and options. */
function connectionOf(options: object, what: string): PostgresClientOptions {
  const refusal = refusalOfOptions(options, what);
  if (refusal !== undefined) throw new GlobalConfigurationError(refusal);
  return clientOptionsOf(options);
}
