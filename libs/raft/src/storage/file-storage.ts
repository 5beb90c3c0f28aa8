import { join, resolve } from 'node:path';
import { CodedError, errorMessage, invariant, silentLogger, SystemRandom } from '@concordat/foundation';
import type { Logger, Random } from '@concordat/foundation';
import type { Entry, HardState, NodeId, Snapshot, SnapshotMetadata } from '../core/types.js';
import type { RaftStorage, StoredState } from '../driver/ports.js';
import { DirectoryLock } from './directory-lock.js';
import { LogCorruptedError, StorageClosedError, StorageFailedError } from './errors.js';
import { nodeFileSystem, type FileSystem } from './file-system.js';
import { systemProcessTable, type ProcessTable } from './process-table.js';
import { coversSnapshot, replay } from './replay.js';
import type { SequencedRecord } from './segment.js';
import { SegmentedLog } from './segmented-log.js';
import type { StoredSnapshot } from './snapshot-file.js';
import { SnapshotStore } from './snapshot-store.js';

export interface FileStorageOptions {
  /** of this node alone; created when it is not there */
  readonly directory: string;
  readonly nodeId: NodeId;
  /** written into the files and compared at the start; at most 256 bytes of UTF-8. Default: none, fits any */
  readonly clusterName?: string;
  /** size of a log file in bytes, allocated at once; a larger batch gets a larger file. Default 8 MiB */
  readonly segmentSizeBytes?: number;
  readonly logger?: Logger;
  /** default: the machine's */
  readonly fileSystem?: FileSystem;
  /** default: the machine's */
  readonly processTable?: ProcessTable;
  /** for the salts of the segments. Default: the system's */
  readonly random?: Random;
}

const smallestSegmentBytes = 1024;

/**
 * A node's state in a directory: a segmented write-ahead log and snapshots, made for the Raft driver.
 *
 * States: new → open → closed, and from open to failed at the first write, sync or rename that does not
 * succeed; then every call but `close` rejects with StorageFailedError. Each `persist` is one frame, written and
 * synced in one step, so after a crash it is there whole or not at all. `persist` may run beside one of
 * `saveSnapshot`, `readSnapshot` and `compact`; calls of the same kind follow one another.
 *
 * At `open` a torn tail (damage at the end of the last segment with no valid frame behind it: a write that was
 * never acknowledged) is cut with a warning. Any other damage is a LogCorruptedError that names file and offset.
 * A flaw of the medium inside the very last frame cannot be told from a torn write and is cut too.
 */
export class FileStorage implements RaftStorage {
  private readonly directory: string;
  private readonly logger: Logger;
  private readonly fileSystem: FileSystem;
  private readonly lock: DirectoryLock;
  private readonly log: SegmentedLog;
  private readonly snapshots: SnapshotStore;
  private state: 'new' | 'opening' | 'open' | 'closed' = 'new';
  private failure: StorageFailedError | undefined;
  private lastIndex = 0;
  private latestSnapshot: SnapshotMetadata | undefined;
  private resetSequence = 0;
  /** ends of the two rows of calls: appends to the log, and work on whole files */
  private appends: Promise<unknown> = Promise.resolve();
  private fileWork: Promise<unknown> = Promise.resolve();

  constructor(options: FileStorageOptions) {
    const segmentSizeBytes = options.segmentSizeBytes ?? 8 * 1024 * 1024;
    invariant(Number.isSafeInteger(options.nodeId) && options.nodeId > 0, 'a node id is a positive integer');
    invariant(segmentSizeBytes >= smallestSegmentBytes, `a segment has at least ${smallestSegmentBytes} bytes`);
    this.directory = resolve(options.directory);
    this.logger = options.logger ?? silentLogger;
    this.fileSystem = options.fileSystem ?? nodeFileSystem;
    const common = {
      directory: this.directory,
      owner: { nodeId: options.nodeId, clusterName: options.clusterName ?? '' },
      fileSystem: this.fileSystem,
    };
    const random = options.random ?? new SystemRandom();
    this.lock = new DirectoryLock(this.directory, this.fileSystem, options.processTable ?? systemProcessTable);
    this.log = new SegmentedLog({ ...common, segmentSizeBytes, random, logger: this.logger });
    this.snapshots = new SnapshotStore(common);
  }

  /**
   * @throws StorageLockedError when another process has the directory
   * @throws StorageOwnerError when it is another node's or cluster's
   * @throws LogCorruptedError when acknowledged data are damaged
   */
  async open(): Promise<StoredState> {
    invariant(this.state === 'new', 'a storage is opened once');
    this.state = 'opening';
    try {
      await this.fileSystem.makeDirectory(this.directory);
      await this.lock.acquire();
      const stored = await this.recover();
      this.state = 'open';
      return stored;
    } catch (error) {
      await this.close();
      if (error instanceof CodedError) throw error;
      throw new StorageFailedError(`${this.directory} could not be opened: ${errorMessage(error)}`, { cause: error });
    }
  }

  persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void> {
    return this.enqueueAppend(async () => {
      const first = batch.entries[0];
      if (!first && !batch.hardState) return;
      if (first) {
        invariant(first.index > 0 && first.index <= this.lastIndex + 1, 'entries follow on what is stored');
        batch.entries.forEach((entry, position) =>
          invariant(entry.index === first.index + position, 'the entries of a batch have no gaps'),
        );
      }
      await this.log.append({ hardState: batch.hardState, entries: batch.entries });
      this.lastIndex = batch.entries.at(-1)?.index ?? this.lastIndex;
    });
  }

  saveSnapshot(snapshot: Snapshot): Promise<void> {
    return this.enqueueFileWork(() => this.save(snapshot, this.resetSequence));
  }

  readSnapshot(): Promise<Snapshot | undefined> {
    return this.enqueueFileWork(async () => {
      if (!this.latestSnapshot) return undefined;
      const { metadata, data } = await this.snapshots.read(this.latestSnapshot);
      return { metadata, data };
    });
  }

  compact(index: number): Promise<void> {
    return this.enqueueFileWork(async () => {
      invariant(index <= (this.latestSnapshot?.index ?? 0), 'only what a durable snapshot covers is forgotten');
      await this.log.removeThrough(index);
    });
  }

  resetTo(snapshot: Snapshot): Promise<void> {
    const { index } = snapshot.metadata;
    return this.enqueueAppend(() =>
      this.enqueueFileWork(async () => {
        invariant(index >= (this.latestSnapshot?.index ?? 0), 'a log is never reset to an older snapshot');
        const resetSequence = this.log.nextSequence;
        await this.save(snapshot, resetSequence);
        this.resetSequence = resetSequence;
        this.lastIndex = index;
        this.log.voidEntries();
        await this.log.removeThrough(index);
      }),
    );
  }

  /** Waits for calls under way, closes all files and gives the directory free. Repeated calls do nothing. */
  async close(): Promise<void> {
    if (this.state === 'closed') return;
    this.state = 'closed';
    await Promise.all([this.appends, this.fileWork]);
    try {
      await this.log.close();
    } catch (error) {
      this.logger.error(`${this.directory}: closing the log failed`, error);
    }
    try {
      await this.lock.release();
    } catch (error) {
      this.logger.error(`${this.directory}: the lock file could not be removed`, error);
    }
  }

  private async recover(): Promise<StoredState> {
    await this.removeTemporaries();
    const positions = await this.snapshots.list();
    const names = await this.fileSystem.list(this.directory);
    const latest = positions[0];
    if (latest && !names.some((name) => name.endsWith('.wal')))
      throw new LogCorruptedError(this.directory, 0, 'there are snapshots, but no segment of the log');
    const records = await this.log.open();
    await this.fileSystem.syncDirectory(this.directory); // names that a killed process left without a sync
    const snapshot = await this.readLatestUsable(positions, records);
    if (snapshot && this.log.nextSequence < snapshot.resetSequence)
      throw new LogCorruptedError(
        this.directory,
        0,
        `the log ends with frame ${this.log.nextSequence - 1}, but frame ${snapshot.resetSequence - 1} was written`,
      );
    const found = replay(records, snapshot);
    if (found.type === 'gap')
      throw new LogCorruptedError(
        this.directory,
        0,
        `entry ${found.expectedIndex} is missing, the log goes on with entry ${found.foundIndex}`,
      );
    if (found.conflicting > 0)
      this.logger.warn(`${this.directory}: dropped ${found.conflicting} entries that contradict the latest snapshot`);
    this.latestSnapshot = snapshot?.metadata;
    this.resetSequence = snapshot?.resetSequence ?? 0;
    this.lastIndex = found.entries.at(-1)?.index ?? snapshot?.metadata.index ?? 0;
    return {
      hardState: found.hardState,
      snapshot: snapshot && { metadata: snapshot.metadata, data: snapshot.data },
      entries: found.entries,
    };
  }

  /**
   * The latest snapshot; or the one before (or none) when the latest is damaged and the log still holds all that
   * the latest one stood for.
   */
  private async readLatestUsable(
    positions: readonly Pick<SnapshotMetadata, 'index' | 'term'>[],
    records: readonly SequencedRecord[],
  ): Promise<StoredSnapshot | undefined> {
    const latest = positions[0];
    if (!latest) return undefined;
    try {
      return await this.snapshots.read(latest);
    } catch (error) {
      if (!(error instanceof LogCorruptedError)) throw error;
      const older = positions[1] && (await this.snapshots.read(positions[1]));
      if (!coversSnapshot(records, older, latest)) throw error;
      this.logger.warn(`${error.message} An older snapshot and the log hold everything, so it goes on with those.`);
      await this.snapshots.setAside(latest);
      return older;
    }
  }

  private async removeTemporaries(): Promise<void> {
    for (const name of await this.fileSystem.list(this.directory)) {
      if (name.endsWith('.tmp')) await this.fileSystem.remove(join(this.directory, name));
    }
  }

  private async save(snapshot: Snapshot, resetSequence: number): Promise<void> {
    const { index } = snapshot.metadata;
    if (this.latestSnapshot && index < this.latestSnapshot.index) return; // a later one is durable already
    await this.snapshots.save({ ...snapshot, resetSequence });
    this.latestSnapshot = snapshot.metadata;
    this.lastIndex = Math.max(this.lastIndex, index);
  }

  private enqueueAppend<T>(work: () => Promise<T>): Promise<T> {
    const done = this.run(this.appends, work);
    this.appends = done.catch(() => undefined);
    return done;
  }

  private enqueueFileWork<T>(work: () => Promise<T>): Promise<T> {
    const done = this.run(this.fileWork, work);
    this.fileWork = done.catch(() => undefined);
    return done;
  }

  private async run<T>(previous: Promise<unknown>, work: () => Promise<T>): Promise<T> {
    if (this.state !== 'open') throw new StorageClosedError(`the storage in ${this.directory} is not open`);
    await previous;
    if (this.failure) throw this.failure;
    try {
      return await work();
    } catch (error) {
      this.failure ??= new StorageFailedError(
        `the storage in ${this.directory} failed and does nothing more until a restart: ${errorMessage(error)}`,
        { cause: error },
      );
      throw error instanceof CodedError ? error : this.failure;
    }
  }
}
