import { join, resolve } from 'node:path';
import { CodedError, errorMessage, invariant, silentLogger, SystemClock, SystemRandom } from '@concordat/foundation';
import type { Clock, Logger, Random } from '@concordat/foundation';
import type { Entry, HardState, NodeId, Snapshot, SnapshotMetadata } from '../core/types.js';
import type {
  RaftStorage,
  ReceivedSnapshot,
  StoredSnapshotChunk,
  StoredState,
  TakenSnapshot,
} from '../driver/ports.js';
import { noClaims, socketClaims, type DirectoryClaims } from './directory-claim.js';
import { DirectoryLock } from './directory-lock.js';
import { StorageClosedError, StorageFailedError } from './errors.js';
import { nodeFileSystem, type FileSystem } from './file-system.js';
import { DirectoryOwner } from './owner.js';
import { systemProcessTable, type ProcessTable } from './process-table.js';
import { ReceivedSnapshotStore } from './received-snapshot.js';
import { Recovery } from './recovery.js';
import { SegmentedLog } from './segmented-log.js';
import type { SnapshotHeader } from './snapshot-file.js';
import { SnapshotStore, type SnapshotPosition } from './snapshot-store.js';
import { SpaceWatch } from './space-watch.js';

/** The directory, owner and file sizes of a node's storage. */
export interface FileStorageOptions {
  /** of this node alone; created if missing */
  readonly directory: string;
  readonly nodeId: NodeId;
  /** written into the files and compared at the start; at most 256 bytes of UTF-8. Default: none, matches any */
  readonly clusterName?: string;
  /** size of a log file in bytes, allocated at once; a larger batch gets a larger file. Default 8 MiB */
  readonly segmentSizeBytes?: number;
  readonly logger?: Logger;
  /** default: the machine's */
  readonly fileSystem?: FileSystem;
  /** default: the machine's */
  readonly processTable?: ProcessTable;
  /** keeps other processes out; default: sockets on the machine's file system, nothing on any other */
  readonly claims?: DirectoryClaims;
  /** for the incarnation and the salts of the segments. Default: the system's */
  readonly random?: Random;
  /** for the waits while the disk is full. Default: the machine's */
  readonly clock?: Clock;
}

const smallestSegmentBytes = 1024;

/**
 * A node's state in a directory: a segmented write-ahead log and snapshots, made for the Raft driver.
 *
 * States: new → open → closed, and from open to failed at the first failed write, sync or rename; then every call but
 * `close` rejects with StorageFailedError. Each `persist` is one frame, written and synced in one step, so after a
 * crash it is complete or missing. `persist` may run in parallel to one of the snapshot calls; calls of the same kind
 * follow one another.
 *
 * `open` cuts a torn tail with a warning: a last frame with a missing sector, whose write was never acknowledged. Any
 * other damage is a LogCorruptedError with file and offset, or harmless (an older snapshot and the log replace the
 * latest one). One kind cannot be told from a torn write and is cut, too: all bytes of the very last frame in some
 * sector turned into zeros.
 *
 * A full disk (ENOSPC, EDQUOT) is no failure where files grow, which is when segments are allocated and snapshots
 * written: `onSpace` reports it, and work continues when there is space. The log notices half a segment ahead. `close`
 * ends the wait of a `persist` with StorageClosedError.
 */
export class FileStorage implements RaftStorage {
  private readonly directory: string;
  private readonly logger: Logger;
  private readonly fileSystem: FileSystem;
  private readonly lock: DirectoryLock;
  private readonly space: SpaceWatch;
  private readonly owner: DirectoryOwner;
  private readonly log: SegmentedLog;
  private readonly snapshots: SnapshotStore;
  private readonly received: ReceivedSnapshotStore;
  private state: 'new' | 'opening' | 'open' | 'closed' = 'new';
  private failure: StorageFailedError | undefined;
  private lastIndex = 0;
  private appendCount = 0;
  private latestSnapshot: SnapshotHeader | undefined;
  private resetSequence = 0;
  /** ends of the two sequences of calls: appends to the log, and work on whole files */
  private appends: Promise<unknown> = Promise.resolve();
  private fileWork: Promise<unknown> = Promise.resolve();

  constructor(options: FileStorageOptions) {
    const segmentSizeBytes = options.segmentSizeBytes ?? 8 * 1024 * 1024;
    invariant(Number.isSafeInteger(options.nodeId) && options.nodeId > 0, 'a node id is a positive integer');
    invariant(segmentSizeBytes >= smallestSegmentBytes, `a segment has at least ${smallestSegmentBytes} bytes`);
    this.directory = resolve(options.directory);
    this.logger = options.logger ?? silentLogger;
    this.fileSystem = options.fileSystem ?? nodeFileSystem;
    const clock = options.clock ?? new SystemClock();
    this.space = new SpaceWatch({ directory: this.directory, fileSystem: this.fileSystem, clock });
    this.owner = new DirectoryOwner(options.nodeId, options.clusterName ?? '');
    const common = {
      directory: this.directory,
      owner: this.owner,
      fileSystem: this.fileSystem,
      space: this.space,
      logger: this.logger,
    };
    const random = options.random ?? new SystemRandom();
    const claims = options.claims ?? (this.fileSystem === nodeFileSystem ? socketClaims : noClaims);
    const processes = options.processTable ?? systemProcessTable;
    this.lock = new DirectoryLock(this.directory, this.fileSystem, processes, claims);
    this.log = new SegmentedLog({ ...common, segmentSizeBytes, random, clock });
    this.snapshots = new SnapshotStore(common);
    this.received = new ReceivedSnapshotStore(common);
  }

  /**
   * @throws StorageLockedError when another process has the directory
   * @throws StorageOwnerError when it is another node's or cluster's
   * @throws StorageFormatError when another version wrote it
   * @throws LogCorruptedError when acknowledged data are damaged
   * @throws StorageFailedError when the file system fails; here a full disk is a failure, too
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

  /** Durable writes to the log since it was opened, each with one fsync. */
  get durableAppends(): number {
    return this.appendCount;
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
      this.appendCount++;
      this.lastIndex = batch.entries.at(-1)?.index ?? this.lastIndex;
    });
  }

  saveSnapshot(snapshot: TakenSnapshot): Promise<boolean> {
    return this.enqueueFileWork(async () => {
      const { index } = snapshot.metadata;
      if (this.latestSnapshot && index < this.latestSnapshot.metadata.index) return true; // a later one is durable
      const saved = await this.snapshots.save(snapshot, this.resetSequence);
      if (!saved) return false;
      this.latestSnapshot = saved;
      this.lastIndex = Math.max(this.lastIndex, index);
      await this.received.forgetThrough(index);
      return true;
    });
  }

  readSnapshotChunk(
    wanted: SnapshotPosition | undefined,
    offset: number,
    maximumBytes: number,
  ): Promise<StoredSnapshotChunk | undefined> {
    return this.enqueueFileWork(async () => {
      const latest = this.latestSnapshot;
      const { index, term } = wanted ?? latest?.metadata ?? {};
      if (!latest || latest.metadata.index !== index || latest.metadata.term !== term) return undefined;
      return this.snapshots.readChunk(latest, offset, maximumBytes);
    });
  }

  receiveSnapshotChunk(chunk: StoredSnapshotChunk): Promise<ReceivedSnapshot> {
    return this.enqueueFileWork(() => this.received.receive(chunk));
  }

  installReceivedSnapshot(metadata: SnapshotMetadata): Promise<Snapshot> {
    return this.enqueueAppend(() =>
      this.enqueueFileWork(async () => {
        const { index } = metadata;
        invariant(index >= (this.latestSnapshot?.metadata.index ?? 0), 'a log is never reset to an older snapshot');
        const { data, ...header } = await this.received.install(metadata, this.log.nextSequence);
        this.latestSnapshot = header;
        this.resetSequence = header.resetSequence;
        this.lastIndex = index;
        this.log.voidEntries();
        await this.snapshots.keepLatest();
        await this.log.removeThrough(index);
        return { metadata: header.metadata, data };
      }),
    );
  }

  compact(index: number): Promise<void> {
    return this.enqueueFileWork(async () => {
      invariant(
        index <= (this.latestSnapshot?.metadata.index ?? 0),
        'only what a durable snapshot covers is forgotten',
      );
      await this.log.removeThrough(index);
    });
  }

  /** One listener; called at once when the disk is full already. */
  onSpace(listener: (diskFullReason: string | undefined) => void): void {
    this.space.onSpace(listener);
  }

  /**
   * Waits for running calls, but rejects one that waits for disk space. Closes all files and releases the directory.
   * Repeated calls do nothing.
   */
  async close(): Promise<void> {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.space.close();
    this.log.stopWaiting();
    await Promise.all([this.appends, this.fileWork]);
    for (const part of [this.log, this.received]) {
      try {
        await part.close();
      } catch (error) {
        this.logger.error(`${this.directory}: closing a file failed`, error);
      }
    }
    try {
      await this.lock.release();
    } catch (error) {
      this.logger.error(`${this.directory}: the lock file could not be removed`, error);
    }
  }

  private async recover(): Promise<StoredState> {
    const { directory, fileSystem, logger, log, snapshots } = this;
    await this.removeTemporaries();
    const { state, snapshot } = await new Recovery({ directory, fileSystem, logger, log, snapshots }).recover();
    await this.received.open();
    await this.received.forgetThrough(snapshot?.metadata.index ?? 0);
    this.latestSnapshot = snapshot;
    this.resetSequence = snapshot?.resetSequence ?? 0;
    this.lastIndex = state.entries.at(-1)?.index ?? snapshot?.metadata.index ?? 0;
    return { ...state, incarnation: this.owner.incarnation };
  }

  private async removeTemporaries(): Promise<void> {
    for (const name of await this.fileSystem.list(this.directory)) {
      if (name.endsWith('.tmp')) await this.fileSystem.remove(join(this.directory, name));
    }
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
