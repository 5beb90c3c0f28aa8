import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import type { ClientBase, ClientConfig } from 'pg';
import { certificatesIn, errorMessage, readPrivateFile, type FileKind } from '@concordat/foundation';
import { ParticipantConfigurationError, ResourceManagerUnavailableError } from '../../runtime/errors.js';
import { DatabaseConnectionError } from '../errors.js';
import type { PostgresConnectionSettings, PostgresTls } from '../settings.js';
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
  const { tls: ofUrl, rest } = takeSslFromUrl(settings.connectionString);
  if (ofUrl && settings.tls) {
    throw new ParticipantConfigurationError('the database URL and the option tls both speak of TLS; give one of them');
  }
  const tls = settings.tls ?? ofUrl;
  if (typeof tls === 'object') checkTls(tls, 'the connection to the database');
  const password = passwordOf(settings);
  if (!tls && !password) return { connectionString: rest };
  const { ssl: _ssl, password: inUrl, ...target } = targetOf(rest);
  if (password && inUrl) {
    throw new ParticipantConfigurationError(
      'the database URL has a password, and there is another one (password or passwordFile); give one of them',
    );
  }
  const isLocal = target.host?.startsWith('/') === true; // a socket of the file system, which is never encrypted
  return {
    ...target,
    ...(password ? { password } : inUrl && { password: inUrl }),
    ...(tls && { ssl: false }),
    ...(tls && !isLocal && !isPlain(tls) && { stream: () => new SecureSocket(securityOf(tls)) }),
  };
}

/** Whether a server that is not the right one would be noticed; undefined where nobody knows. */
export function noticesImpostors({ connectionString, tls }: PostgresConnectionSettings): boolean | undefined {
  const given = tls ?? takeSslFromUrl(connectionString).tls;
  return typeof given === 'function' ? undefined : given !== undefined && verifiesServer(given);
}

function isPlain(tls: NonNullable<PostgresConnectionSettings['tls']>): boolean {
  return typeof tls === 'object' && tls.mode === 'disable';
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

function securityOf(tls: NonNullable<PostgresConnectionSettings['tls']>): SocketSecurity {
  if (typeof tls === 'function') return { mayBePlain: false, isDirect: false, options: tls };
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
function passwordOf({ password, passwordFile }: PostgresConnectionSettings): ClientConfig['password'] {
  if (password && passwordFile !== undefined) {
    throw new ParticipantConfigurationError('password and passwordFile both say the password; give one of them');
  }
  const ask = password ?? (passwordFile === undefined ? undefined : () => readPassword(passwordFile));
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
