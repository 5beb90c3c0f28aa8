import { GlobalConfigurationError } from '../global/index.js';
import type { PostgresResourceManagerSettings, joinDataSource, joinPool } from '../postgres/index.js';

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
  if (isPool(source)) return connectionOf(source.options, 'the pool');
  throw new GlobalConfigurationError(
    'postgres is none of: a TypeORM DataSource, a pg.Pool, { connectionString: "postgres://…" }',
  );
}

function ofDataSource(source: DataSource): Settings {
  const { type } = source.options;
  if (type !== 'postgres') {
    throw new GlobalConfigurationError(`the DataSource is of the type ${type}; global transactions need PostgreSQL`);
  }
  const { username, url, extra, ...options } = source.options as unknown as Record<string, unknown>;
  const connection = {
    ...options,
    user: username,
    ...(typeof url === 'string' && { connectionString: url }),
    ...(typeof extra === 'object' && extra !== null && connectionMembers(extra)),
  };
  return { ...connectionOf(connection, 'the DataSource'), dataSource: source };
}

const MEMBERS = ['connectionString', 'host', 'port', 'user', 'password', 'database', 'ssl', 'stream'];

/** TypeORM hands `extra` to the pool, in which it comes last. */
function connectionMembers(extra: object): object {
  return Object.fromEntries(Object.entries(extra).filter(([name]) => MEMBERS.includes(name)));
}

/** The participant's own connections are as those of the pool: the same server, password and TLS. */
function connectionOf(connection: object, what: string): Settings {
  const { connectionString, host, port, user, password, database, ssl, stream } = connection as Record<string, unknown>;
  if (stream !== undefined) {
    throw new GlobalConfigurationError(
      `${what} makes its own sockets (stream), which the participant cannot do alike; give postgres: { connectionString, …` +
        ` } with the settings of the connection, and ${what} in joining`,
    );
  }
  const guards = {
    ...(typeof password === 'function' && { password: password as () => string | Promise<string> }),
    ...tlsOf(ssl),
  };
  if (typeof connectionString === 'string') return { connectionString, ...guards };
  const text = (value: unknown, otherwise: string): string =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : otherwise;
  const login = [user, typeof password === 'function' ? undefined : password]
    .filter((part) => part !== undefined)
    .map((part) => encodeURIComponent(text(part, '')));
  const place = `${text(host, 'localhost')}:${text(port, '5432')}/${encodeURIComponent(text(database, ''))}`;
  return { connectionString: `postgres://${login.join(':')}${login.length > 0 ? '@' : ''}${place}`, ...guards };
}

/** As `pg` understands `ssl`: options of Node.js, or `true` for its own. */
function tlsOf(ssl: unknown): Pick<Settings, 'tls'> {
  if (ssl === undefined || ssl === null || ssl === false) return {};
  if (typeof ssl === 'object') return { tls: () => ({ ...ssl }) };
  return { tls: () => (ssl === 'no-verify' ? { rejectUnauthorized: false } : {}) };
}
