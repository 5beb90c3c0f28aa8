import { join } from 'node:path';
import type { DirectoryClaim, DirectoryClaims } from './directory-claim.js';
import { StorageLockedError } from './errors.js';
import { hasErrorCode, type FileSystem } from './file-system.js';
import type { ProcessTable } from './process-table.js';

interface Holder {
  readonly pid: number;
  readonly identity: string;
  /** name of its claim; missing where none could be made, and in files of earlier versions */
  readonly claim?: string;
}

/** Bounds the repetitions when other processes start and stop at the same moment. */
const maximumAttempts = 10;

/** Locks of this process: its own identity in a file may also be from a storage that did not close. */
const heldHere = new WeakMap<FileSystem, Set<string>>();

/**
 * Keeps a second process out of a directory. The claim decides (see `DirectoryClaims`), which the kernel ends with the
 * process. The file `lock` names the holder for people and tools. Where no claim can be made, the file and the table of
 * processes decide, and a holder in another container counts as alive.
 *
 * It does not protect a file system that two machines share.
 */
export class DirectoryLock {
  private readonly path: string;
  private claim: DirectoryClaim | undefined;
  private held = false;

  constructor(
    private readonly directory: string,
    private readonly fileSystem: FileSystem,
    private readonly processes: ProcessTable,
    private readonly claims: DirectoryClaims,
  ) {
    this.path = join(directory, 'lock');
  }

  /** @throws StorageLockedError when a live process, or this one, holds it */
  async acquire(): Promise<void> {
    const { ownPid } = this.processes;
    const here = heldHere.get(this.fileSystem) ?? new Set();
    heldHere.set(this.fileSystem, here);
    if (here.has(this.path)) throw new StorageLockedError(this.directory, ownPid);
    here.add(this.path); // before the first await, so that two openings at once cannot both pass
    try {
      this.claim = await this.claims.claim(this.directory);
      await this.writeFile();
      this.held = true;
    } finally {
      if (!this.held) await this.removeLockFile();
    }
  }

  private async writeFile(): Promise<void> {
    const { ownPid } = this.processes;
    const identity = this.processes.identify(ownPid) ?? String(ownPid);
    const holder: Holder = { pid: ownPid, identity, ...(this.claim && { claim: this.claim.name }) };
    for (let attempt = 1; !(await this.fileSystem.createExclusively(this.path, JSON.stringify(holder))); attempt++)
      await this.removeStale(attempt, identity);
  }

  async release(): Promise<void> {
    if (!this.held) return;
    this.held = false;
    try {
      await this.fileSystem.remove(this.path);
    } finally {
      await this.removeLockFile();
    }
  }

  private async removeLockFile(): Promise<void> {
    heldHere.get(this.fileSystem)?.delete(this.path);
    const { claim } = this;
    this.claim = undefined;
    await claim?.withdraw();
  }

  private async removeStale(attempt: number, ownIdentity: string): Promise<void> {
    const seen = await this.readLock(this.path);
    if (seen === undefined) return; // released in between
    const holder = parseHolder(seen);
    if (holder) this.refuseIfAlive(holder, ownIdentity);
    if (attempt >= maximumAttempts) throw new StorageLockedError(this.directory, holder?.pid ?? 0);
    // Moved before it is removed: if another process was quicker, its new lock would be found here and put back.
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

  private refuseIfAlive(holder: Holder, ownIdentity: string): void {
    if (holder.identity === ownIdentity) return;
    if (this.claim && holder.claim !== undefined) return; // its claim was checked, and is dead
    if (this.processes.identify(holder.pid) === holder.identity)
      throw new StorageLockedError(this.directory, holder.pid);
    if (this.processes.sees?.(holder.identity) === false)
      throw new StorageLockedError(this.directory, holder.pid, this.path);
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
 * The holder of a directory, for tools that only read; undefined when there is none. `lives` is false for a process
 * that ended without closing.
 */
export async function findLockHolder(
  directory: string,
  fileSystem: FileSystem,
  processes: ProcessTable,
  claims: DirectoryClaims,
): Promise<{ readonly pid: number; readonly lives: boolean } | undefined> {
  let text: string;
  try {
    text = (await fileSystem.readFile(join(directory, 'lock'))).toString('utf8');
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const holder = parseHolder(text);
  if (!holder) return undefined;
  const { pid, identity, claim } = holder;
  const lives = claim === undefined ? processes.identify(pid) === identity : await claims.isAlive(directory, claim);
  return { pid, lives };
}

/** Undefined for an incomplete file of a crashed process. */
function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('identity' in value)) return undefined;
    const { pid, identity } = value;
    if (!Number.isSafeInteger(pid) || Number(pid) <= 0 || typeof identity !== 'string') return undefined;
    const claim = 'claim' in value && typeof value.claim === 'string' ? { claim: value.claim } : {};
    return { pid: Number(pid), identity, ...claim };
  } catch {
    return undefined;
  }
}
