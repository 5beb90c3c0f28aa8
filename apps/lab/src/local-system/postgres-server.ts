import { readFileSync } from 'node:fs';
import pg from 'pg';
import type { LocalSecurity } from './security/local-security.js';

export const SUPERUSER = 'postgres';
const HOST = '127.0.0.1';
/** A server that has just started shares the processors with all that start beside it. */
const CONNECT_TIMEOUT_MS = 20_000;

/** A database server of the local system, and how to connect to it. */
export interface PostgresServer {
  readonly port: number;
  /** the file with its authority; undefined: it speaks plain text */
  readonly caFile: string | undefined;
  readonly passwordOf: (role: string) => string;
}

/** Without security the password of a role is its name. */
export function serverAt(
  { security }: { readonly security?: LocalSecurity | undefined },
  port: number,
): PostgresServer {
  if (!security) return { port, caFile: undefined, passwordOf: (role) => role };
  const { servers } = security;
  return { port, caFile: servers.caFile, passwordOf: (role) => servers.databasePassword(role) };
}

/** The database of a role, which have the same name. The certificate of a server with TLS must be right in every point. */
export function databaseUrl({ port, caFile, passwordOf }: PostgresServer, name: string): string {
  const url = `postgres://${name}:${passwordOf(name)}@${HOST}:${port}/${name}`;
  return caFile === undefined ? url : `${url}?sslmode=verify-full&sslrootcert=${encodeURIComponent(caFile)}`;
}

/** The URL as it may be shown: those of servers with TLS without password and authority. */
export function shownUrl(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  if (!url.searchParams.has('sslmode')) return text;
  url.password = '***';
  url.search = '';
  return url.href;
}

function superuser(
  { port, caFile, passwordOf }: PostgresServer,
  database: string,
  connectionTimeoutMillis = CONNECT_TIMEOUT_MS,
): pg.Client {
  const client = new pg.Client({
    host: HOST,
    port,
    user: SUPERUSER,
    password: passwordOf(SUPERUSER),
    database,
    connectionTimeoutMillis,
    ...(caFile !== undefined && { ssl: { ca: readFileSync(caFile) } }),
  });
  client.on('error', () => undefined); // the death of the server also ends an idle client
  return client;
}

export async function withSuperuser<T>(
  server: PostgresServer,
  work: (client: pg.Client) => Promise<T>,
  connectTimeoutMs?: number,
): Promise<T> {
  const client = superuser(server, SUPERUSER, connectTimeoutMs);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** One role and one database per participant: prepared transactions belong to both. */
export async function createDatabase(server: PostgresServer, name: string): Promise<void> {
  await withSuperuser(server, async (client) => {
    const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
    const password = pg.escapeLiteral(server.passwordOf(name));
    if (role.rowCount === 0) await client.query(`CREATE ROLE ${name} LOGIN PASSWORD ${password}`);
    const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (database.rowCount === 0) await client.query(`CREATE DATABASE ${name} OWNER ${name}`);
  });
}

/** Drops both with their content, if they exist. */
export async function dropDatabase(server: PostgresServer, name: string): Promise<void> {
  const client = superuser(server, name);
  const exists = await client.connect().then(
    () => true,
    () => false,
  );
  if (exists) {
    // a database with prepared transactions cannot be dropped
    const prepared = 'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()';
    const { rows } = await client.query<{ gid: string }>(prepared);
    for (const { gid } of rows) await client.query(`ROLLBACK PREPARED ${pg.escapeLiteral(gid)}`);
    await client.end();
  }
  await withSuperuser(server, async (administrator) => {
    await administrator.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await administrator.query(`DROP ROLE IF EXISTS ${name}`);
  });
}
