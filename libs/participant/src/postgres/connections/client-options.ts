import { defaults } from 'pg';
import { ParticipantConfigurationError } from '../../runtime/errors.js';
import type { PostgresClientOptions, PostgresConnectionSettings } from '../settings.js';

/** By name, because `pg` hides the password from those who copy its options. */
const TAKEN = [
  'connectionString',
  'host',
  'port',
  'user',
  'password',
  'database',
  'ssl',
  'sslnegotiation',
  'options',
  'client_encoding',
  'enableChannelBinding',
] as const satisfies readonly (keyof PostgresClientOptions)[];

/** `pg` makes something of any text: of `orders` a database on a host called base. */
const POSTGRES_URL = /^(postgres(ql)?:\/\/|socket:|\/)/i;
/** Without the URL, which may have a password in it. */
const NO_POSTGRES_URL =
  'what was given as the URL of the database does not begin with postgres://; use postgres://user:password@host:port/database';

/** Members that say how long something may take. A branch has limits of its own. */
const LIMITS = ['statement_timeout', 'query_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'];

/** The members of a configuration of `pg` that the participant's own connections have, too. */
export function clientOptionsOf(given: object): PostgresClientOptions {
  const members = given as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    TAKEN.map((name) => [name, members[name]]).filter(([, value]) => value !== undefined && value !== null),
  );
}

/**
 * What the configuration has that connections of the participant cannot have, and that their work would miss.
 *
 * @param what begins the sentence, such as `the pool` @returns a sentence that says what to do; or undefined
 */
export function refusalOfOptions(given: object, what: string): string | undefined {
  const { stream, Client, onConnect } = given as Readonly<Record<string, unknown>>;
  const instead =
    'or give postgres: { connectionString: … } or { connection: … } with what the connections of the participant need, ' +
    `and ${what} in joining`;
  if (stream !== undefined) {
    return `${what} makes its own sockets (stream), which the participant cannot do alike; leave stream out, ${instead}`;
  }
  if (Client !== undefined) {
    return `${what} has a class of its own for connections (Client), of which those of the participant cannot be; leave Client out, ${instead}`;
  }
  if (onConnect !== undefined) {
    return (
      `${what} sets up each of its connections (onConnect), which would not last in the participant's: they are reset ` +
      "after each branch; say it in options ('-c search_path=orders') or for the role (ALTER ROLE … SET …) and leave " +
      `onConnect out, ${instead}`
    );
  }
  return undefined;
}

/** The names of those members that hold on the user's own connections alone. */
export function limitsAmong(given: object): readonly string[] {
  const members = given as Readonly<Record<string, unknown>>;
  return LIMITS.filter((name) => members[name] !== undefined && members[name] !== false && members[name] !== 0);
}

/** As a configuration of `pg`. @throws ParticipantConfigurationError when the settings do not say where the database is */
export function givenOptions({ connectionString, connection }: PostgresConnectionSettings): PostgresClientOptions {
  if (connection !== undefined && connectionString !== undefined) {
    throw new ParticipantConfigurationError('connectionString and connection both say where the database is; give one');
  }
  const url = connectionString ?? (connection?.connectionString || undefined);
  if (url !== undefined && !POSTGRES_URL.test(url)) throw new ParticipantConfigurationError(NO_POSTGRES_URL);
  if (connectionString !== undefined) return { connectionString };
  if (connection === undefined) {
    throw new ParticipantConfigurationError(
      'nothing says where the database is; give connectionString: "postgres://user:password@host:port/database", or ' +
        'connection: { host, … }',
    );
  }
  const refusal = refusalOfOptions(connection, 'the connection');
  if (refusal !== undefined) throw new ParticipantConfigurationError(refusal);
  return clientOptionsOf(connection);
}

/** The host that `pg` connects to; it begins with a slash if that is a directory with sockets. */
export function hostOf(options: Pick<PostgresClientOptions, 'host'>): string {
  return options.host || process.env['PGHOST'] || defaults.host || 'localhost';
}

/** User, host and database for sentences, without the password. */
export function describeConnection(settings: PostgresConnectionSettings): string {
  const { connectionString, connection = {} } = settings;
  const url = connectionString ?? connection.connectionString;
  return url === undefined ? describeOptions(connection) : describeUrl(url);
}

/** User, host and database of a URL, without its password. */
export function describeUrl(connectionString: string): string {
  try {
    const { host, pathname, username } = new URL(connectionString);
    return `${username === '' ? '' : `${username}@`}${host}${pathname}`;
  } catch {
    return 'the given database URL';
  }
}

/** As of a URL, with what `pg` itself puts in the place of members that are missing. */
function describeOptions(options: PostgresClientOptions): string {
  const { PGUSER, PGPORT, PGDATABASE } = process.env;
  const host = hostOf(options);
  const user = options.user || PGUSER || defaults.user || '';
  const port = options.port || PGPORT || defaults.port || '';
  const database = options.database || PGDATABASE || defaults.database || user;
  const place = /^\/|:/.test(host) ? `[${host}]` : host;
  return `${encodeURIComponent(user)}@${place}:${port}/${encodeURIComponent(database)}`;
}
