import { constants, write, type PathLike } from 'node:fs';
import * as fs from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';

/** An open file. Offsets and sizes are in bytes. */
export interface File {
  /** Reads until `buffer` is full or the file ends; returns the number of bytes read. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** Writes all of `data`; durable only after `sync`. */
  write(data: Uint8Array, position: number): Promise<void>;
  /** Writes all of `data` and makes it durable: `write` and fdatasync as one step. */
  writeDurably(data: Uint8Array, position: number): Promise<void>;
  /** Makes everything written so far durable, including the size. */
  sync(): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** `read`: must exist; `update`: must exist, read and write; `create`: new or emptied, read and write. */
export type OpenMode = 'read' | 'update' | 'create';

/**
 * The file system for the storage; tests inject failures and crashes here. A new, renamed or removed name is durable
 * only after `syncDirectory`.
 */
export interface FileSystem {
  makeDirectory(path: string): Promise<void>;
  /** Names in a directory, in any order. */
  list(path: string): Promise<string[]>;
  open(path: string, mode: OpenMode): Promise<File>;
  /** Creates a file with this content, or returns false when the name exists. */
  createExclusively(path: string, content: string): Promise<boolean>;
  readFile(path: string): Promise<Buffer>;
  /** Renames atomically, replacing `to`. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Bytes that an unprivileged process can still write there. Quotas may allow less. */
  availableBytes(path: string): Promise<number>;
}

export function hasErrorCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

export async function removeIfThere(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.remove(path);
  } catch (error) {
    if (!hasErrorCode(error, 'ENOENT')) throw error;
  }
}

/**
 * Whether an error says that a resource is used up that may become free: the disk or the user's quota, open files,
 * memory.
 */
export function isSpaceError(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'ENOMEM'].some((code) => hasErrorCode(error, code)) || isOutOfFiles(error);
}

/** Whether an error says that the process, or the machine, is at its limit on open files. */
export function isOutOfFiles(error: unknown): boolean {
  return hasErrorCode(error, 'EMFILE') || hasErrorCode(error, 'ENFILE');
}

/** The log holds the data of others: only the user of the process may read it. */
const directoryMode = 0o700;
const fileMode = 0o600;
const fileRetryMs = 50;
const filePatienceMs = 60_000;

/** Opens an existing file, and waits while the limit on open files is reached, for a minute at most. */
export async function whenFilesAllow<Result>(open: () => Promise<Result>): Promise<Result> {
  for (let waitedMs = 0; ; waitedMs += fileRetryMs) {
    try {
      return await open();
    } catch (error) {
      if (!isOutOfFiles(error) || waitedMs >= filePatienceMs) throw error;
    }
    await setTimeout(fileRetryMs);
  }
}

/**
 * On Linux, writing to an O_DSYNC descriptor is one system call and one trip through the thread pool instead of two.
 * Not used elsewhere: macOS needs F_FULLFSYNC, which only libuv's fsync calls.
 */
const synchronousWrites = process.platform === 'linux' && typeof constants.O_DSYNC === 'number';

/**
 * Writes by `fs.write` with a callback, because that of `FileHandle` makes several more promises and objects per call.
 * A descriptor must not be closed, and perhaps reused, during such a write, so `close` waits for it.
 */
class NodeFile implements File {
  private writesUnderWay = 0;
  private whenWritten: (() => void) | undefined;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly handle: fs.FileHandle,
    private readonly writesAreDurable: boolean,
  ) {}

  async read(buffer: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await this.handle.read(buffer, done, buffer.length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  write(data: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.writesUnderWay++;
      this.writeFrom(data, 0, position, (error) => {
        if (--this.writesUnderWay === 0) this.whenWritten?.();
        if (error) reject(error);
        else resolve();
      });
    });
  }

  writeDurably(data: Uint8Array, position: number): Promise<void> {
    if (this.writesAreDurable) return this.write(data, position);
    return this.write(data, position).then(() => this.handle.datasync());
  }

  sync(): Promise<void> {
    return this.handle.sync();
  }

  async size(): Promise<number> {
    return (await this.handle.stat()).size;
  }

  close(): Promise<void> {
    return (this.closing ??= this.closeWhenWritten());
  }

  private async closeWhenWritten(): Promise<void> {
    if (this.writesUnderWay > 0) await new Promise<void>((resolve) => (this.whenWritten = resolve));
    await this.handle.close();
  }

  /** The system may write less than requested, so this repeats until nothing is left. */
  private writeFrom(data: Uint8Array, done: number, position: number, end: (error: Error | null) => void): void {
    if (done === data.length) return end(null);
    write(this.handle.fd, data, done, data.length - done, position + done, (error, written) => {
      if (error) end(error);
      else this.writeFrom(data, done + written, position, end);
    });
  }
}

async function openNodeFile(path: PathLike, mode: OpenMode): Promise<File> {
  if (mode === 'read') return new NodeFile(await whenFilesAllow(() => fs.open(path, 'r')), false);
  if (mode === 'create') return new NodeFile(await fs.open(path, 'w+', fileMode), false);
  const flags = synchronousWrites ? constants.O_RDWR | constants.O_DSYNC : constants.O_RDWR;
  return new NodeFile(await whenFilesAllow(() => fs.open(path, flags)), synchronousWrites);
}

/** The machine's file system. */
export const nodeFileSystem: FileSystem = {
  makeDirectory: async (path) => {
    await fs.mkdir(path, { recursive: true, mode: directoryMode });
  },
  list: (path) => fs.readdir(path),
  open: openNodeFile,
  createExclusively: async (path, content) => {
    try {
      await fs.writeFile(path, content, { flag: 'wx', mode: fileMode });
      return true;
    } catch (error) {
      if (hasErrorCode(error, 'EEXIST')) return false;
      throw error;
    }
  },
  readFile: (path) => fs.readFile(path),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.unlink(path),
  syncDirectory: async (path) => {
    if (process.platform === 'win32') return; // directories cannot be opened there, and NTFS journals names
    const handle = await whenFilesAllow(() => fs.open(path, 'r'));
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  availableBytes: async (path) => {
    const { bavail, bsize } = await fs.statfs(path);
    return bavail * bsize;
  },
};
