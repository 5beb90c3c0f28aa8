import { randomChance, randomInteger, randomItem, type Random, type VirtualClock } from '@concordat/foundation';
import type { SimulatedProcess } from '@concordat/foundation/testing';
import { sectorBytes } from '../storage/binary.js';
import type { File, FileSystem, OpenMode } from '../storage/file-system.js';

interface Write {
  readonly position: number;
  readonly data: Buffer;
}

/** A file's content, for programs and after a loss of power. */
interface Inode {
  content: Buffer;
  durable: Buffer;
  pending: Write[];
}

interface NameChange {
  readonly name: string;
  readonly inode: Inode | undefined;
}

function systemError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

function grown(content: Buffer, sizeBytes: number): Buffer {
  if (content.length >= sizeBytes) return content;
  const larger = Buffer.alloc(sizeBytes);
  content.copy(larger);
  return larger;
}

function land(content: Buffer, { position, data }: Write): Buffer {
  const target = grown(content, position + data.length);
  data.copy(target, position);
  return target;
}

/**
 * The disk of one node; it outlives the node's processes. Syncs take time, and the faults of real disks are assumed: in
 * a loss of power unsynced data survives sector by sector or not at all, names as a prefix of their changes; a failed
 * sync loses what was pending although it can still be read; a full disk refuses growth.
 */
export class SimulatedDisk {
  private names = new Map<string, Inode>();
  private durableNames = new Map<string, Inode>();
  private nameChanges: NameChange[] = [];
  /** maximum bytes of all files together */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** the longest time that a sync takes */
  syncMs = 0;
  /** this many of the next syncs fail */
  failingSyncs = 0;
  /** syncs do not return until the disk answers again */
  private hung: Promise<void> | undefined;
  private answer: () => void = () => undefined;
  /** a fault that may stop the node has been injected since the last start */
  hasFailed = false;
  /** bits were changed without the node */
  isRotten = false;

  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
  ) {}

  /** The file system of one process; no call returns once the process has ended. */
  mount(process: SimulatedProcess): FileSystem {
    return {
      makeDirectory: () => Promise.resolve(),
      list: (path) => Promise.resolve(this.list(path)),
      open: (path, mode) => this.attempt(() => this.open(path, mode, process)),
      createExclusively: (path, content) => this.attempt(() => this.createExclusively(path, content)),
      readFile: (path) => this.attempt(() => Buffer.from(this.inode(path).content)),
      rename: (from, to) => this.attempt(() => this.rename(from, to)),
      remove: (path) =>
        this.attempt(() => {
          this.inode(path);
          this.changeName({ name: path, inode: undefined });
        }),
      syncDirectory: async () => {
        await this.syncTime(process);
        for (const change of this.nameChanges) SimulatedDisk.change(this.durableNames, change);
        this.nameChanges = [];
      },
      availableBytes: () => Promise.resolve(Math.max(0, this.capacityBytes - this.usedBytes())),
    };
  }

  get isHung(): boolean {
    return this.hung !== undefined;
  }

  /** Whether it is as in the profile, without a pending fault. */
  isWell(syncMs: number): boolean {
    const hasRoom = this.capacityBytes === Number.POSITIVE_INFINITY;
    return !this.isHung && hasRoom && this.syncMs === syncMs && this.failingSyncs === 0;
  }

  /** From now on no sync returns, and none fails. */
  hang(): void {
    this.hung ??= new Promise((resolve) => (this.answer = resolve));
  }

  /** All waiting calls continue. */
  recover(): void {
    this.hung = undefined;
    this.answer();
  }

  usedBytes(): number {
    return [...new Set(this.names.values())].reduce((sum, { content }) => sum + content.length, 0);
  }

  /** A disk with the same files, as programs see them now. */
  copy(): SimulatedDisk {
    const copy = new SimulatedDisk(this.clock, this.random);
    for (const [name, { content }] of this.names)
      copy.names.set(name, { content: Buffer.from(content), durable: Buffer.from(content), pending: [] });
    copy.durableNames = new Map(copy.names);
    copy.syncMs = this.syncMs;
    return copy;
  }

  /** The power fails: of unsynced data any sectors survive. */
  losePower(): void {
    const names = new Map(this.durableNames);
    const survivingChanges = randomInteger(this.random, 0, this.nameChanges.length);
    for (const change of this.nameChanges.slice(0, survivingChanges)) SimulatedDisk.change(names, change);
    for (const inode of new Set(names.values())) {
      for (const write of inode.pending) this.tear(inode, write);
      inode.content = Buffer.from(inode.durable);
      inode.pending = [];
    }
    this.names = names;
    this.durableNames = new Map(names);
    this.nameChanges = [];
  }

  /**
   * One bit of the log or of a snapshot changes. Never so that a byte becomes zero, the one kind of damage to the last
   * frame that the storage cannot tell from a torn write (see FileStorage).
   *
   * @returns the file's name, or undefined when there is no data to damage
   */
  rot(): string | undefined {
    const paths = [...this.names.keys()].filter((path) => /\.(wal|snapshot)$/.test(path));
    if (paths.length === 0) return undefined;
    const path = randomItem(this.random, paths);
    const inode = this.inode(path);
    const used = [...inode.content.keys()].filter((position) => inode.content[position] !== 0);
    const position = randomItem(this.random, used);
    const byte = inode.content[position]!;
    const changed = byte ^ (1 << randomInteger(this.random, 0, 7));
    for (const content of [inode.content, inode.durable])
      if (position < content.length) content[position] = changed === 0 ? byte ^ 0xff : changed;
    this.isRotten = true;
    return `${path} at ${position}`;
  }

  private list(path: string): string[] {
    const prefix = `${path}/`;
    return [...this.names.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  private open(path: string, mode: OpenMode, process: SimulatedProcess): File {
    let inode = this.names.get(path);
    if (mode === 'create') {
      inode = { content: Buffer.alloc(0), durable: Buffer.alloc(0), pending: [] };
      this.changeName({ name: path, inode });
    }
    if (!inode) throw systemError('ENOENT', path);
    return this.file(path, inode, process);
  }

  private file(path: string, inode: Inode, process: SimulatedProcess): File {
    const write = (data: Uint8Array, position: number): void => {
      const growth = position + data.length - inode.content.length;
      if (growth > 0 && this.usedBytes() + growth > this.capacityBytes) throw systemError('ENOSPC', path);
      const copy = { position, data: Buffer.from(data) };
      inode.content = land(inode.content, copy);
      inode.pending.push(copy);
    };
    const sync = async (): Promise<void> => {
      await this.syncTime(process);
      if (this.failingSyncs > 0) {
        this.failingSyncs--;
        this.hasFailed = true;
        inode.pending = [];
        throw systemError('EIO', path);
      }
      for (const pending of inode.pending) inode.durable = land(inode.durable, pending);
      inode.pending = [];
    };
    return {
      read: (buffer, position) =>
        this.attempt(() => inode.content.copy(buffer, 0, Math.min(position, inode.content.length))),
      write: (data, position) => this.attempt(() => write(data, position)),
      writeDurably: async (data, position) => {
        write(data, position);
        await sync();
      },
      sync,
      size: () => Promise.resolve(inode.content.length),
      close: () => Promise.resolve(),
    };
  }

  private createExclusively(path: string, content: string): boolean {
    if (this.names.has(path)) return false;
    const data = Buffer.from(content);
    const inode = { content: Buffer.from(data), durable: Buffer.alloc(0), pending: [{ position: 0, data }] };
    this.changeName({ name: path, inode });
    return true;
  }

  private rename(from: string, to: string): void {
    const inode = this.inode(from);
    // Journalled as one step; the new name first, so that no prefix of the changes loses the file.
    this.changeName({ name: to, inode });
    this.changeName({ name: from, inode: undefined });
  }

  private inode(path: string): Inode {
    const inode = this.names.get(path);
    if (!inode) throw systemError('ENOENT', path);
    return inode;
  }

  private changeName(change: NameChange): void {
    SimulatedDisk.change(this.names, change);
    this.nameChanges.push(change);
  }

  private async syncTime(process: SimulatedProcess): Promise<void> {
    if (this.hung) await this.hung;
    const durationMs = randomInteger(this.random, 0, Math.ceil(this.syncMs * 8)) / 8;
    await new Promise<void>((resolve) => this.clock.setTimer(durationMs, () => process.enter(resolve)));
  }

  /** A call that takes no time; an exception becomes a rejection. */
  private async attempt<T>(call: () => T): Promise<T> {
    await Promise.resolve();
    return call();
  }

  private tear(inode: Inode, { position, data }: Write): void {
    for (let at = position; at < position + data.length;) {
      const end = Math.min(position + data.length, (Math.floor(at / sectorBytes) + 1) * sectorBytes);
      if (randomChance(this.random, 0.5))
        inode.durable = land(inode.durable, { position: at, data: data.subarray(at - position, end - position) });
      at = end;
    }
  }

  private static change(names: Map<string, Inode>, { name, inode }: NameChange): void {
    if (inode) names.set(name, inode);
    else names.delete(name);
  }
}
