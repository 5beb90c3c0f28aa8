import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { waitUntil } from './wait.js';

/** Whether a process runs. A zombie does not: it is dead, and only its exit code is not fetched yet. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return process.platform !== 'linux'; // without /proc this is unknown; on Linux it has just ended
  }
}

/** The command line of a process, or '' when there is none. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    if (process.platform === 'linux') return '';
    return spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
  }
}

/** Whether this process runs: ids are reused, so its command line must match, too. */
export function isRunning({ pid, marker }: { readonly pid: number; readonly marker: string }): boolean {
  return isAlive(pid) && commandLine(pid).includes(marker);
}

/**
 * Processes whose working directory is this one, such as the children of a killed PostgreSQL server, which hold its
 * shared memory for a moment.
 */
export function processesIn(directory: string): number[] {
  if (process.platform !== 'linux') return [];
  let real: string;
  try {
    real = realpathSync(directory);
  } catch {
    return [];
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && worksIn(name, real))
    .map(Number)
    .filter(isAlive);
}

function worksIn(pid: string, directory: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === directory;
  } catch {
    return false;
  }
}

/** Sends a signal; no error if the process has ended. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Waits until none of the processes runs; false after the timeout. */
export async function waitForEnd(pids: readonly number[], timeoutMs: number): Promise<boolean> {
  return await waitUntil(() => !pids.some(isAlive), { timeoutMs, pollMs: 50 });
}
