import { join } from 'node:path';
import { StorageLockedError } from './errors.js';
import { hasErrorCode, type FileSystem } from './file-system.js';
import type { ProcessTable } from './process-table.js';

interface Holder {
  readonly pid: number;
  readonly identity: string;
}

/** Bounds the repetitions when other processes start and stop at the same moment. */
const maxAttempts = 10;

/** Locks that this very process holds: its own number in a file may also stem from an earlier life (containers). */
const heldHere = new WeakMap<FileSystem, Set<string>>();

/**
 * Keeps a second process out of a directory by a file `lock` that names the holder. A holder that no longer
 * lives is replaced. Processes that do not see each other (two containers on one volume, two machines) are not
 * kept apart.
 */
export class DirectoryLock {
  private readonly path: string;
  private held = false;

  constructor(
    private readonly directory: string,
    private readonly fileSystem: FileSystem,
    private readonly processes: ProcessTable,
  ) {
    this.path = join(directory, 'lock');
  }

  /** @throws StorageLockedError when a living process, or this one, holds it */
  async acquire(): Promise<void> {
    const { ownPid } = this.processes;
    const here = heldHere.get(this.fileSystem) ?? new Set();
    heldHere.set(this.fileSystem, here);
    if (here.has(this.path)) throw new StorageLockedError(this.directory, ownPid);
    here.add(this.path); // before the first await, so that two openings at once cannot both pass
    try {
      const holder: Holder = { pid: ownPid, identity: this.processes.identify(ownPid) ?? String(ownPid) };
      for (let attempt = 1; !(await this.fileSystem.createExclusively(this.path, JSON.stringify(holder))); attempt++)
        await this.removeStale(attempt);
      this.held = true;
    } finally {
      if (!this.held) here.delete(this.path);
    }
  }

  async release(): Promise<void> {
    if (!this.held) return;
    this.held = false;
    try {
      await this.fileSystem.remove(this.path);
    } finally {
      heldHere.get(this.fileSystem)?.delete(this.path);
    }
  }

  private async removeStale(attempt: number): Promise<void> {
    const seen = await this.readLock(this.path);
    if (seen === undefined) return; // released in between
    const holder = parseHolder(seen);
    const lives =
      holder !== undefined &&
      holder.pid !== this.processes.ownPid &&
      this.processes.identify(holder.pid) === holder.identity;
    if (lives || attempt >= maxAttempts) throw new StorageLockedError(this.directory, holder?.pid ?? 0);
    // Moved before it is removed: were another process quicker, its fresh lock would be found here and put back.
    const aside = join(this.directory, `lock.${this.processes.ownPid}.tmp`);
    try {
      await this.fileSystem.rename(this.path, aside);
    } catch (error) {
      if (hasErrorCode(error, 'ENOENT')) return;
      throw error;
    }
    if ((await this.readLock(aside)) === seen) await this.fileSystem.remove(aside);
    else await this.fileSystem.rename(aside, this.path);
  }

  private async readLock(path: string): Promise<string | undefined> {
    try {
      return (await this.fileSystem.readFile(path)).toString('utf8');
    } catch (error) {
      if (hasErrorCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}

/**
 * Who holds a directory, for those who only look at it; undefined when nobody does. `lives` is false for a process
 * that ended without an orderly close.
 */
export async function findLockHolder(
  directory: string,
  fileSystem: FileSystem,
  processes: ProcessTable,
): Promise<{ readonly pid: number; readonly lives: boolean } | undefined> {
  let text: string;
  try {
    text = (await fileSystem.readFile(join(directory, 'lock'))).toString('utf8');
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const holder = parseHolder(text);
  return holder && { pid: holder.pid, lives: processes.identify(holder.pid) === holder.identity };
}

/** Undefined for what a process that died while it wrote the file left there. */
function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('identity' in value)) return undefined;
    const { pid, identity } = value;
    return Number.isSafeInteger(pid) && Number(pid) > 0 && typeof identity === 'string'
      ? { pid: Number(pid), identity }
      : undefined;
  } catch {
    return undefined;
  }
}
