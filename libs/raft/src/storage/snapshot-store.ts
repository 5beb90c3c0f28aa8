import { join } from 'node:path';
import type { SnapshotMetadata } from '../core/types.js';
import type { FileSystem } from './file-system.js';
import type { StorageOwner } from './owner.js';
import {
  parseSnapshotName,
  readSnapshotFile,
  snapshotName,
  writeSnapshotFile,
  type StoredSnapshot,
} from './snapshot-file.js';

/** How many snapshots stay on disk; the older one serves when the latest is damaged and the log reaches back. */
const keptSnapshots = 2;

type Position = Pick<SnapshotMetadata, 'index' | 'term'>;

/** The snapshots in a directory. One call at a time. */
export class SnapshotStore {
  constructor(
    private readonly options: {
      readonly directory: string;
      readonly owner: StorageOwner;
      readonly fileSystem: FileSystem;
    },
  ) {}

  /** What is there, the latest first. */
  async list(): Promise<Position[]> {
    const names = await this.options.fileSystem.list(this.options.directory);
    const positions = names.map(parseSnapshotName).filter((position) => position !== undefined);
    return positions.sort((a, b) => b.index - a.index || b.term - a.term);
  }

  /** @throws LogCorruptedError when the file is not what was written */
  async read(position: Position): Promise<StoredSnapshot> {
    const path = this.path(position);
    const file = await this.options.fileSystem.open(path, 'read');
    try {
      return await readSnapshotFile(file, path, this.options.owner);
    } finally {
      await file.close();
    }
  }

  /** Atomic: the file gets its name when its content is durable. Older snapshots beyond the kept ones go. */
  async save(snapshot: StoredSnapshot): Promise<void> {
    const { directory, owner, fileSystem } = this.options;
    const temporary = join(directory, 'snapshot.tmp');
    const file = await fileSystem.open(temporary, 'create');
    try {
      await writeSnapshotFile(file, snapshot, owner);
    } finally {
      await file.close();
    }
    await fileSystem.rename(temporary, this.path(snapshot.metadata));
    await fileSystem.syncDirectory(directory);
    const superfluous = (await this.list()).slice(keptSnapshots);
    for (const position of superfluous) await fileSystem.remove(this.path(position));
  }

  /** Takes a damaged snapshot out of the way; it stays for whoever wants to look at it. */
  async setAside(position: Position): Promise<void> {
    const path = this.path(position);
    await this.options.fileSystem.rename(path, `${path}.corrupt`);
    await this.options.fileSystem.syncDirectory(this.options.directory);
  }

  path(position: Position): string {
    return join(this.options.directory, snapshotName(position.index, position.term));
  }
}
