import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { LabError } from '../lab-error.js';
import { isAlive } from './process-table.js';

/** Far more than the work under a lock takes; a lock that is older has been left behind. */
const MAXIMUM_AGE_MS = 10_000;
const POLL_MS = 5;

/**
 * Takes a lock that lies in a file with the id of its holder. The file appears with its content, so nobody reads half
 * of it.
 *
 * @param holds whether a process with this id can be the holder: the lock of any other was left behind
 * @returns gives it back; or the id of the process that has it
 */
export function tryLock(path: string, holds: (pid: number) => boolean): (() => void) | number {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    for (;;) {
      if (linked(own, path)) return () => rmSync(path, { force: true });
      const holder = holderOf(path);
      if (holder === undefined) continue; // given back just now
      if (holds(holder)) return holder;
      removeLeftBehind(path, holder);
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/**
 * Runs work while no other process has the lock. It waits for a holder without giving up the event loop: the work of
 * each is a few file operations.
 *
 * @throws LabError when the lock cannot be had
 */
export function exclusively<Result>(path: string, work: () => Result): Result {
  const end = Date.now() + 2 * MAXIMUM_AGE_MS;
  for (;;) {
    const release = tryLock(path, (pid) => isAlive(pid) && ageMs(path) < MAXIMUM_AGE_MS);
    if (typeof release === 'function') {
      try {
        return work();
      } finally {
        release();
      }
    }
    if (Date.now() >= end) throw new LabError(`Process ${release} does not give back ${path}; end it.`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function holderOf(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Another process may do the same, and take the lock, between two of these steps; then it is put back. */
function removeLeftBehind(path: string, holder: number): void {
  const aside = `${path}.${process.pid}.left`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (holderOf(aside) !== holder) linked(aside, path);
  rmSync(aside, { force: true });
}

function ageMs(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat ? Date.now() - stat.mtimeMs : 0;
}
