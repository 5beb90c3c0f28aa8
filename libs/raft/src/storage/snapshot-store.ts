import { join } from 'node:path';
import type { SnapshotMetadata } from '../core/types.js';
import type { StoredSnapshotChunk, TakenSnapshot } from '../driver/ports.js';
import { LogCorruptedError } from './errors.js';
import { isSpaceError, removeIfThere, type FileSystem } from './file-system.js';
import { checkOwner, type StorageOwner } from './owner.js';
import {
  leastHeaderBytes,
  pieceBytes,
  parseSnapshotName,
  readSnapshotData,
  readSnapshotHeader,
  snapshotName,
  writeSnapshotFile,
  type SnapshotHeader,
  type StoredSnapshot,
} from './snapshot-file.js';
import type { SpaceWatch } from './space-watch.js';

/** Snapshots kept on disk; the older one is used when the latest is damaged and the log reaches back. */
const keptSnapshots = 2;

export type SnapshotPosition = Pick<SnapshotMetadata, 'index' | 'term'>;

/** The snapshots in a directory. One call at a time. */
export class SnapshotStore {
  constructor(
    private readonly options: {
      readonly directory: string;
      readonly owner: StorageOwner;
      readonly fileSystem: FileSystem;
      readonly space: SpaceWatch;
    },
  ) {}

  /** The latest first. */
  async list(): Promise<SnapshotPosition[]> {
    const names = await this.options.fileSystem.list(this.options.directory);
    const positions = names.map(parseSnapshotName).filter((position) => position !== undefined);
    return positions.sort((a, b) => b.index - a.index || b.term - a.term);
  }

  /** @throws LogCorruptedError when the file is not what was written */
  async read(position: SnapshotPosition): Promise<StoredSnapshot> {
    const path = this.path(position);
    const file = await this.options.fileSystem.open(path, 'read');
    try {
      const { owner, ...header } = await readSnapshotHeader(file, path, 'saved');
      checkOwner(path, owner, this.options.owner);
      if (this.path(header.metadata) !== path)
        throw new LogCorruptedError(path, 32, `its header says that it ends with entry ${header.metadata.index}`);
      return { ...header, data: await readSnapshotData(file, path, header) };
    } finally {
      await file.close();
    }
  }

  /** Part of a snapshot's data; the receiver compares the checksum of the whole. */
  async readChunk(header: SnapshotHeader, offset: number, maximumBytes: number): Promise<StoredSnapshotChunk> {
    const { metadata, headerBytes, sizeBytes, checksum } = header;
    const data = Buffer.alloc(Math.max(0, Math.min(maximumBytes, sizeBytes - offset)));
    if (data.length > 0) {
      const path = this.path(metadata);
      const file = await this.options.fileSystem.open(path, 'read');
      try {
        const readBytes = await file.read(data, headerBytes + offset);
        if (readBytes < data.length)
          throw new LogCorruptedError(path, headerBytes + offset + readBytes, 'it ends there');
      } finally {
        await file.close();
      }
    }
    return { metadata, sizeBytes, checksum, offset, data };
  }

  /**
   * Atomic: the file gets its name when its content is durable. Then removes older snapshots.
   *
   * @returns undefined when the disk is full, even without the older snapshots
   */
  async save(snapshot: TakenSnapshot, resetSequence: number): Promise<SnapshotHeader | undefined> {
    const { fileSystem, directory } = this.options;
    const temporary = join(directory, 'snapshot.tmp');
    const header =
      (await this.write(temporary, snapshot, resetSequence)) ??
      ((await this.keepLatest(1)) > 0 ? await this.write(temporary, snapshot, resetSequence) : undefined);
    if (!header) return undefined;
    this.options.space.hasRoom('snapshot');
    await fileSystem.rename(temporary, this.path(snapshot.metadata));
    await fileSystem.syncDirectory(directory);
    await this.keepLatest(keptSnapshots);
    return header;
  }

  /** Removes all but the latest ones; returns the number of removed ones. */
  async keepLatest(count = keptSnapshots): Promise<number> {
    const superfluous = (await this.list()).slice(count);
    for (const position of superfluous) await this.options.fileSystem.remove(this.path(position));
    return superfluous.length;
  }

  /** Renames a damaged snapshot, which stays for inspection. */
  async setAside(position: SnapshotPosition): Promise<void> {
    const path = this.path(position);
    await this.options.fileSystem.rename(path, `${path}.corrupt`);
    await this.options.fileSystem.syncDirectory(this.options.directory);
  }

  path(position: SnapshotPosition): string {
    return join(this.options.directory, snapshotName(position.index, position.term));
  }

  /** Undefined when the disk was full: then nothing is left. */
  private async write(
    path: string,
    snapshot: TakenSnapshot,
    resetSequence: number,
  ): Promise<SnapshotHeader | undefined> {
    const { fileSystem, owner, space } = this.options;
    const { metadata, data } = snapshot;
    // the total length is known after the last piece; until then, what there was space for and more
    let neededBytes = leastHeaderBytes(metadata) + (data instanceof Uint8Array ? data.length : pieceBytes);
    const onWritten = (sizeBytes: number): void => {
      if (!(data instanceof Uint8Array)) neededBytes += sizeBytes;
    };
    try {
      const file = await fileSystem.open(path, 'create');
      try {
        return await writeSnapshotFile(file, snapshot, resetSequence, owner, onWritten);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isSpaceError(error)) throw error;
      await removeIfThere(fileSystem, path);
      space.diskFull('snapshot', 'a snapshot', neededBytes, error);
      return undefined;
    }
  }
}
