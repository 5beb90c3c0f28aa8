import { randomChance, randomInteger, type Random } from '@concordat/foundation';
import { sectorBytes } from '../binary.js';
import { hasErrorCode, type File, type FileSystem, type OpenMode } from '../file-system.js';

/** The calls at which a fault can strike. */
export type FileOperation =
  'open' | 'read' | 'write' | 'sync' | 'create' | 'rename' | 'remove' | 'list' | 'sync-directory';

/**
 * `error`: this call fails with EIO. `no-space`: with ENOSPC. `crash`: the machine stops here, and every later call
 * fails too.
 */
export type FileFault = 'error' | 'no-space' | 'crash';

/** The simulated machine has stopped; go on with `restart`. */
export class SimulatedCrashError extends Error {
  override readonly name = 'SimulatedCrashError';
}

interface Write {
  readonly position: number;
  readonly data: Buffer;
}

/** Content as programs see it, and as it would be found after a loss of power. */
interface Inode {
  content: Buffer;
  durable: Buffer;
  /** writes that are not synced yet */
  pending: Write[];
}

type NameChange = { readonly name: string; readonly inode: Inode | undefined };

function systemError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

function applied(content: Buffer, { position, data }: Write): Buffer {
  const result = Buffer.alloc(Math.max(content.length, position + data.length));
  content.copy(result);
  data.copy(result, position);
  return result;
}

/**
 * A file system in memory that fails on command, for tests and simulations of the storage.
 *
 * It knows what is durable: after `restart` a file has its synced content plus any choice of the sectors written
 * since, and the names are those of the last directory sync plus any number of the changes since, in order. A
 * failed sync loses what was pending although it can still be read, as Linux does. Directories are flat
 * and need not be created.
 */
export class MemoryFileSystem implements FileSystem {
  private names = new Map<string, Inode>();
  private durableNames = new Map<string, Inode>();
  private nameChanges: NameChange[] = [];
  private crashed = false;
  /** how many calls were made that may fail */
  calls = 0;
  /** how many bytes all files together may have; a write that would make a file grow beyond fails with ENOSPC */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** Decides on a fault for each call; the number counts from 1. */
  fault: (operation: FileOperation, path: string, call: number) => FileFault | undefined = () => undefined;

  /** The machine after a loss of power, with whatever had reached the disk. */
  restart(random: Random): MemoryFileSystem {
    const next = new MemoryFileSystem();
    next.capacityBytes = this.capacityBytes;
    const names = new Map(this.durableNames);
    const survivingChanges = randomInteger(random, 0, this.nameChanges.length);
    for (const change of this.nameChanges.slice(0, survivingChanges)) MemoryFileSystem.change(names, change);
    for (const [name, inode] of names) {
      let content = inode.durable;
      for (const write of inode.pending) content = MemoryFileSystem.tear(content, write, random);
      next.names.set(name, { content, durable: content, pending: [] });
    }
    next.durableNames = new Map(next.names);
    return next;
  }

  /** A file system with these files, all durable. */
  static of(files: ReadonlyMap<string, Buffer>): MemoryFileSystem {
    const result = new MemoryFileSystem();
    for (const [name, content] of files) result.names.set(name, { content, durable: content, pending: [] });
    result.durableNames = new Map(result.names);
    return result;
  }

  /** All files as a program sees them. */
  files(): Map<string, Buffer> {
    return new Map([...this.names].map(([name, { content }]) => [name, Buffer.from(content)]));
  }

  makeDirectory(): Promise<void> {
    return Promise.resolve();
  }

  async list(path: string): Promise<string[]> {
    await this.meet('list', path);
    const prefix = `${path}/`;
    return [...this.names.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    await this.meet('open', path);
    let inode = this.names.get(path);
    if (mode === 'create') {
      inode = { content: Buffer.alloc(0), durable: Buffer.alloc(0), pending: [] };
      this.changeName({ name: path, inode });
    }
    if (!inode) throw systemError('ENOENT', path);
    return this.file(path, inode);
  }

  async createExclusively(path: string, content: string): Promise<boolean> {
    await this.meet('create', path);
    if (this.names.has(path)) return false;
    const data = Buffer.from(content);
    this.changeName({
      name: path,
      inode: { content: data, durable: Buffer.alloc(0), pending: [{ position: 0, data }] },
    });
    return true;
  }

  async readFile(path: string): Promise<Buffer> {
    await this.meet('read', path);
    return Buffer.from(this.inode(path).content);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.meet('rename', from);
    const inode = this.inode(from);
    // Journalled as one step; the new name first, so that no prefix of the changes loses the file.
    this.changeName({ name: to, inode });
    this.changeName({ name: from, inode: undefined });
  }

  async remove(path: string): Promise<void> {
    await this.meet('remove', path);
    this.inode(path);
    this.changeName({ name: path, inode: undefined });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.meet('sync-directory', path);
    for (const change of this.nameChanges) MemoryFileSystem.change(this.durableNames, change);
    this.nameChanges = [];
  }

  availableBytes(): Promise<number> {
    return Promise.resolve(Math.max(0, this.capacityBytes - this.usedBytes()));
  }

  /** What all files have together. */
  usedBytes(): number {
    return [...new Set(this.names.values())].reduce((sum, { content }) => sum + content.length, 0);
  }

  /** Changes a file's content behind the program's back, durably, as a rotting medium would. */
  tamper(path: string, change: (content: Buffer) => Buffer): void {
    const inode = this.inode(path);
    inode.content = change(Buffer.from(inode.content));
    inode.durable = inode.content;
    inode.pending = [];
  }

  /** All files, as a program sees them. */
  paths(): string[] {
    return [...this.names.keys()];
  }

  private file(path: string, inode: Inode): File {
    const sync = async (): Promise<void> => {
      try {
        await this.meet('sync', path);
      } catch (error) {
        if (!this.crashed) inode.pending = [];
        throw error;
      }
      for (const write of inode.pending) inode.durable = applied(inode.durable, write);
      inode.pending = [];
    };
    const write = async (data: Uint8Array, position: number): Promise<void> => {
      const copy = { position, data: Buffer.from(data) };
      const land = (): void => {
        inode.content = applied(inode.content, copy);
        inode.pending.push(copy);
      };
      try {
        await this.meet('write', path);
        this.checkRoom(inode, copy);
      } catch (error) {
        if (!hasErrorCode(error, 'ENOSPC')) land(); // a write that failed may still have written
        throw error;
      }
      land();
    };
    return {
      read: async (buffer, position) => {
        await this.meet('read', path);
        return inode.content.copy(buffer, 0, Math.min(position, inode.content.length));
      },
      write,
      writeDurably: async (data, position) => {
        await write(data, position);
        await sync();
      },
      sync,
      size: () => Promise.resolve(inode.content.length),
      close: () => Promise.resolve(),
    };
  }

  private inode(path: string): Inode {
    const inode = this.names.get(path);
    if (!inode) throw systemError('ENOENT', path);
    return inode;
  }

  private checkRoom(inode: Inode, { position, data }: Write): void {
    const growth = position + data.length - inode.content.length;
    if (growth > 0 && this.usedBytes() + growth > this.capacityBytes) throw systemError('ENOSPC', 'the disk is full');
  }

  private changeName(change: NameChange): void {
    MemoryFileSystem.change(this.names, change);
    this.nameChanges.push(change);
  }

  private async meet(operation: FileOperation, path: string): Promise<void> {
    await Promise.resolve();
    if (this.crashed) throw new SimulatedCrashError('the machine has stopped');
    const fault = this.fault(operation, path, ++this.calls);
    if (fault === 'error') throw systemError('EIO', path);
    if (fault === 'no-space') throw systemError('ENOSPC', path);
    if (fault === 'crash') {
      this.crashed = true;
      throw new SimulatedCrashError(`the machine stopped at ${operation} of ${path}`);
    }
  }

  private static change(names: Map<string, Inode>, { name, inode }: NameChange): void {
    if (inode) names.set(name, inode);
    else names.delete(name);
  }

  private static tear(content: Buffer, { position, data }: Write, random: Random): Buffer {
    const surviving: { readonly start: number; readonly end: number }[] = [];
    for (let start = position; start < position + data.length;) {
      const end = Math.min(position + data.length, (Math.floor(start / sectorBytes) + 1) * sectorBytes);
      if (randomChance(random, 0.5)) surviving.push({ start, end });
      start = end;
    }
    const result = Buffer.alloc(Math.max(content.length, surviving.at(-1)?.end ?? 0));
    content.copy(result);
    for (const { start, end } of surviving) data.copy(result, start, start - position, end - position);
    return result;
  }
}
