import {
  GlobalConfigurationError,
  type PostgresResourceManagerSettings,
  type joinDataSource,
  type joinPool,
} from '@concordat/participant';

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

/** @throws GlobalConfigurationError when the source does not say where the database is */
export function settingsOf(source: PostgresSource): Settings {
  if ('connectionString' in source) return source;
  if (isDataSource(source)) return ofDataSource(source);
  if (isPool(source)) return { connectionString: urlOf(source.options, 'the pool') };
  throw new GlobalConfigurationError(
    'postgres is none of: a TypeORM DataSource, a pg.Pool, { connectionString: "postgres://…" }',
  );
}

function ofDataSource(source: DataSource): Settings {
  const { type } = source.options;
  if (type !== 'postgres') {
    throw new GlobalConfigurationError(`the DataSource is of the type ${type}; global transactions need PostgreSQL`);
  }
  const { username, url, ...options } = source.options as unknown as Record<string, unknown>;
  const connection = { ...options, user: username, ...(typeof url === 'string' && { connectionString: url }) };
  return {
    connectionString: urlOf(connection, 'the DataSource'),
    dataSource: source,
  };
}

function urlOf(connection: object, what: string): string {
  const { connectionString, host, port, user, password, database, ssl } = connection as Record<string, unknown>;
  if (typeof connectionString === 'string') return connectionString;
  if (typeof password === 'function' || (ssl !== undefined && ssl !== false)) {
    throw new GlobalConfigurationError(
      `${what} has a password function or TLS settings, which no URL can carry; give postgres: { connectionString } instead`,
    );
  }
  const text = (value: unknown, otherwise: string): string =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : otherwise;
  const login = [user, password].filter((part) => part !== undefined).map((part) => encodeURIComponent(text(part, '')));
  const place = `${text(host, 'localhost')}:${text(port, '5432')}/${encodeURIComponent(text(database, ''))}`;
  return `postgres://${login.join(':')}${login.length > 0 ? '@' : ''}${place}`;
}
