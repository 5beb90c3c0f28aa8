import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import type { ClientBase, ClientConfig } from 'pg';
import { certificatesIn, errorMessage, readPrivateFile, type FileKind } from '@concordat/foundation';
import { ParticipantConfigurationError, ResourceManagerUnavailableError } from '../../runtime/errors.js';
import { DatabaseConnectionError } from '../errors.js';
import type { PostgresClientOptions, PostgresConnectionSettings, PostgresTls } from '../settings.js';
import { givenOptions, hostOf } from './client-options.js';
import { destroy } from './destroy.js';
import { SecureSocket, type SocketSecurity } from './secure-socket.js';
import { checkTls, takeSslFromUrl, verifiesServer } from './ssl-mode.js';

/**
 * What `pg` needs for a connection by these settings: for a `Client`, a `Pool`, or `extra` of a TypeORM `DataSource`.
 * Files of TLS and the password are read for each connection, so new ones count from the next one on.
 *
 * @throws ParticipantConfigurationError when the settings contradict themselves
 */
export function postgresConnection(settings: PostgresConnectionSettings): ClientConfig {
  const { connectionString, ssl, sslnegotiation, password: given, ...others } = givenOptions(settings);
  const ofUrl = connectionString === undefined ? undefined : takeSslFromUrl(connectionString);
  const own = ssl !== undefined && ssl !== false;
  refuseTwo('speak of TLS', [
    ['the database URL', ofUrl?.tls],
    ['the option tls', settings.tls],
    ['ssl of the connection', own || undefined],
  ]);
  const tls = settings.tls ?? ofUrl?.tls;
  if (typeof tls === 'object') checkTls(tls, 'the connection to the database');
  const asked = passwordOf(settings, given);
  const text = typeof given === 'string' ? given : undefined;
  if (!tls && !own && !asked) {
    return {
      ...others,
      ...(ofUrl && { connectionString: ofUrl.rest }),
      ...(text !== undefined && { password: text }),
      ...(ssl === false && { ssl }),
      ...(sslnegotiation && { sslnegotiation }),
    };
  }
  const { ssl: _ssl, password = text, ...target }: ClientConfig = ofUrl ? withUrl(ofUrl.rest, others) : others;
  if (asked && password) {
    throw new ParticipantConfigurationError(
      'the database URL has a password, and there is another one (password or passwordFile); give one of them',
    );
  }
  const security = own ? securityOfClient(ssl, sslnegotiation) : tls && securityOf(tls);
  const isLocal = hostOf(target).startsWith('/'); // a socket of the file system, which is never encrypted
  return {
    ...target,
    ...(asked ? { password: asked } : password && { password }),
    // TLS is made below `pg`, which takes nothing of it from the variables of PostgreSQL then
    ...(security && { ssl: false, sslnegotiation: 'postgres' }),
    ...(security && !isLocal && security !== 'plain' && { stream: () => new SecureSocket(security) }),
  };
}

/** Whether a server that is not the right one would be noticed; undefined where nobody knows. */
export function noticesImpostors(settings: PostgresConnectionSettings): boolean | undefined {
  const given = tlsOf(settings);
  if (typeof given === 'object') return verifiesServer(given);
  // options of Node.js, or what `pg` makes of PGSSLMODE
  const isSaid = given ?? settings.connection?.ssl ?? process.env['PGSSLMODE'];
  return isSaid ? undefined : false;
}

/** What option or URL say of TLS. */
export function tlsOf({
  tls,
  connectionString,
  connection,
}: PostgresConnectionSettings): PostgresConnectionSettings['tls'] {
  const url = connectionString ?? connection?.connectionString;
  return tls ?? (url === undefined ? undefined : takeSslFromUrl(url).tls);
}

/** @throws ParticipantConfigurationError */
function refuseTwo(verb: string, places: readonly (readonly [name: string, value: unknown])[]): void {
  const [first, second] = places.filter(([, value]) => value !== undefined);
  if (!first || !second) return;
  throw new ParticipantConfigurationError(`${first[0]} and ${second[0]} both ${verb}; give one of them`);
}

/** In `pg` a URL comes before the members beside it that say the same. */
function withUrl(url: string, others: PostgresClientOptions): ClientConfig {
  const { host: _host, port: _port, user: _user, database: _database, ...rest } = others;
  return { ...rest, ...targetOf(url) };
}

/**
 * The members of a URL, which `pg` takes apart in the same way; an empty password of a URL would stand before a function.
 * What is no URL stays as it is: `pg` says what is wrong when it connects.
 */
function targetOf(connectionString: string): ClientConfig {
  if (!URL.canParse(connectionString)) return { connectionString };
  const { username, password, hostname, port, pathname, searchParams } = new URL(connectionString);
  const members = {
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    host: decodeURIComponent(hostname.replace(/^\[(.+)\]$/, '$1')),
    port: port === '' ? '' : Number(port),
    database: decodeURI(pathname.slice(1)),
    ...Object.fromEntries(searchParams),
  };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== ''));
}

/** As `pg` understands `ssl`: options of Node.js, or `true` for its own. */
function securityOfClient(ssl: unknown, negotiation: string | undefined): SocketSecurity {
  const options = (): ConnectionOptions => {
    // `pg` hides the key from those who copy
    if (typeof ssl === 'object') return { ...ssl, ...('key' in ssl! && { key: ssl.key as ConnectionOptions['key'] }) };
    return ssl === 'no-verify' ? { rejectUnauthorized: false } : {};
  };
  const isDirect = (negotiation ?? process.env['PGSSLNEGOTIATION']) === 'direct';
  return { mayBePlain: false, isDirect, options };
}

function securityOf(tls: NonNullable<PostgresConnectionSettings['tls']>): SocketSecurity | 'plain' {
  if (typeof tls === 'function') return { mayBePlain: false, isDirect: false, options: tls };
  if (tls.mode === 'disable') return 'plain';
  return {
    mayBePlain: tls.mode === 'prefer',
    isDirect: tls.negotiation === 'direct',
    options: () => optionsOf(tls),
  };
}

function optionsOf(tls: PostgresTls): ConnectionOptions {
  const { ca, certificate, key, mode } = tls;
  const own = certificate === undefined || key === undefined ? {} : readOwn(certificate, key);
  return {
    ...(ca !== undefined && { ca: readCertificate(ca, 'trusted') }),
    ...own,
    rejectUnauthorized: verifiesServer(tls),
    ...(mode !== 'verify-full' && { checkServerIdentity: () => undefined }),
  };
}

function readOwn(certificate: string, key: string): ConnectionOptions {
  const own = { cert: readCertificate(certificate, 'public'), key: readKey(key) };
  if (new X509Certificate(own.cert).checkPrivateKey(createPrivateKey(own.key))) return own;
  throw unusable(key, `the private key of the certificate in ${certificate}`);
}

function readCertificate(path: string, kind: FileKind): string {
  const text = readFile(path, kind);
  if (certificatesIn(text)) return text;
  throw unusable(path, 'a file with certificates in PEM');
}

function readKey(path: string): string {
  const text = readFile(path, 'secret');
  try {
    createPrivateKey(text);
    return text;
  } catch (cause) {
    throw unusable(path, 'a file with a private key in PEM, without a password', cause);
  }
}

function readFile(path: string, kind: FileKind): string {
  const read = readPrivateFile(path, kind);
  if (read.ok) return read.text;
  throw unusable(path, read.expected);
}

function unusable(path: string, expected: string, cause?: unknown): DatabaseConnectionError {
  const sentence = `${path} cannot be used for the connection to the database`;
  return new DatabaseConnectionError('DATABASE_SECRET_UNUSABLE', sentence, `it must be ${expected}`, { cause });
}

/**
 * Asked by `pg` when the server asks for a password, for each connection. `pg` leaves a connection open whose password
 * could not be had, so it is closed here.
 */
function passwordOf(
  { password, passwordFile }: PostgresConnectionSettings,
  given: PostgresClientOptions['password'],
): ClientConfig['password'] {
  refuseTwo('say the password', [
    ['password', password],
    ['passwordFile', passwordFile],
    ['password of the connection', given],
  ]);
  const ofClient = typeof given === 'function' ? given : undefined;
  const ask = password ?? (passwordFile === undefined ? ofClient : () => readPassword(passwordFile));
  if (!ask) return undefined;
  return async function (this: ClientBase | undefined): Promise<string> {
    try {
      return checkPassword(await asked(ask));
    } catch (error) {
      if (this) destroy(this);
      throw error;
    }
  };
}

/** What a function of the user throws may pass: an identity service that does not answer, say. */
async function asked(ask: () => string | Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof DatabaseConnectionError) throw cause;
    const message = `the function for the password of the database failed: ${errorMessage(cause)}`;
    throw new ResourceManagerUnavailableError(message, { cause });
  }
}

/** Without the end of the line that editors write. */
function readPassword(path: string): string {
  const text = readFile(path, 'secret').replace(/\r?\n$/, '');
  if (text !== '') return text;
  throw unusable(path, 'a file with the password in it; it is empty');
}

const describeType = (value: unknown): string => (value === null ? 'null' : typeof value);

function checkPassword(password: unknown): string {
  if (typeof password === 'string' && password !== '') return password;
  const what = password === '' ? 'an empty text' : describeType(password);
  throw new DatabaseConnectionError(
    'DATABASE_SECRET_UNUSABLE',
    `the function for the password of the database returned ${what}`,
    'return the password as a text; throw when there is none now, and it is asked again',
  );
}
