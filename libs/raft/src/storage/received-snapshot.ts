import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { invariant, type Logger } from '@concordat/foundation';
import { configurationFault } from '../core/membership/configuration-codec.js';
import { MAXIMUM_INTEGER, type SnapshotMetadata } from '../core/types.js';
import type { ReceivedSnapshot, StoredSnapshotChunk } from '../driver/ports.js';
import { LogCorruptedError, StorageFormatError, StorageOwnerError } from './errors.js';
import { isSpaceError, removeIfThere, type File, type FileSystem } from './file-system.js';
import { checkOwner, type StorageOwner } from './owner.js';
import {
  encodeReceivedSnapshotHeader,
  nothingReceived,
  readReceivedProgress,
  readReceivedSnapshotHeader,
  receivedSnapshotHeader,
  receivedSnapshotName,
  writeDurableMark,
  writeLatestMark,
  type ReceivedProgress,
} from './received-snapshot-file.js';
import {
  checksumOf,
  encodeSnapshotHeader,
  maximumSnapshotBytes,
  readSnapshotData,
  snapshotName,
  type SnapshotHeader,
  type StoredSnapshot,
} from './snapshot-file.js';
import type { SpaceWatch } from './space-watch.js';

/** Maximum bytes of data between two syncs. */
const syncAfterBytes = 4 * 1024 * 1024;

/** The received part of a snapshot, open for more. */
interface Transfer {
  readonly header: SnapshotHeader;
  readonly file: File;
  progress: ReceivedProgress;
  /** all is there, valid and durable */
  complete: boolean;
}

export interface ReceivedSnapshotOptions {
  readonly directory: string;
  readonly owner: StorageOwner;
  readonly fileSystem: FileSystem;
  readonly space: SpaceWatch;
  readonly logger: Logger;
}

/**
 * The leader's snapshot, in a file of its own until it is complete (see received-snapshot-file.ts). It survives a
 * restart. A faulty one is dropped and sent again, because no promise depends on it.
 *
 *     absent --piece--> under way --last piece, checksum right, synced--> complete --install--> absent
 *     found at the start --first piece: data checked--> under way
 *     any --piece of another snapshot--> under way, from the start        any --a later snapshot was saved, damage--> absent
 *
 * One call at a time.
 */
export class ReceivedSnapshotStore {
  private readonly path: string;
  /** left by an earlier life; its data are checked at first use */
  private found: SnapshotHeader | undefined;
  private transfer: Transfer | undefined;

  constructor(private readonly options: ReceivedSnapshotOptions) {
    this.path = join(options.directory, receivedSnapshotName);
  }

  /** Reads what an earlier life left. */
  async open(): Promise<void> {
    const { fileSystem, directory, owner } = this.options;
    if (!(await fileSystem.list(directory)).includes(receivedSnapshotName)) return;
    await this.forgetIfDamaged(async () => {
      const file = await fileSystem.open(this.path, 'read');
      try {
        const header = await readReceivedSnapshotHeader(file, this.path);
        checkOwner(this.path, header.owner, owner);
        this.found = header;
      } finally {
        await file.close();
      }
    });
  }

  async receive(chunk: StoredSnapshotChunk): Promise<ReceivedSnapshot> {
    await this.check();
    if (isSound(chunk)) {
      if (!this.isOf(chunk)) await this.begin(chunk);
      await this.take(chunk);
    }
    const { transfer } = this;
    if (!transfer || !this.isOf(chunk)) return { nextOffset: 0, complete: false };
    return { nextOffset: transfer.progress.nextOffset, complete: transfer.complete };
  }

  /**
   * Makes the complete snapshot one of the directory's own, with that reset sequence. Atomic: it takes effect with the
   * renaming. After a crash between the new header and the renaming it is sent again.
   */
  async install(metadata: SnapshotMetadata, resetSequence: number): Promise<StoredSnapshot> {
    const { fileSystem, directory, owner } = this.options;
    await this.check();
    const { transfer } = this;
    invariant(transfer?.complete, 'only a complete snapshot is installed');
    const { index, term } = transfer.header.metadata;
    invariant(index === metadata.index && term === metadata.term, 'the snapshot that was received is installed');
    const data = await readSnapshotData(transfer.file, this.path, transfer.header);
    const header = { ...transfer.header, resetSequence };
    await transfer.file.write(encodeSnapshotHeader(header, owner, 'saved'), 0);
    await transfer.file.sync();
    await fileSystem.rename(this.path, join(directory, snapshotName(index, term)));
    await fileSystem.syncDirectory(directory);
    this.transfer = undefined;
    await transfer.file.close();
    return { ...header, data };
  }

  /** Drops a snapshot that is not beyond `index`. */
  async forgetThrough(index: number): Promise<void> {
    const header = this.transfer?.header ?? this.found;
    if (header && header.metadata.index <= index) await this.forget();
  }

  async close(): Promise<void> {
    const { transfer } = this;
    this.transfer = undefined;
    await transfer?.file.close();
  }

  private isOf(chunk: StoredSnapshotChunk): boolean {
    const header = this.transfer?.header;
    return (
      header !== undefined &&
      header.metadata.index === chunk.metadata.index &&
      header.metadata.term === chunk.metadata.term &&
      header.sizeBytes === chunk.sizeBytes &&
      header.checksum === chunk.checksum
    );
  }

  /** Continues what an earlier life left, as far as its data are valid. */
  private async check(): Promise<void> {
    const { found: header } = this;
    if (!header) return;
    this.found = undefined;
    const file = await this.options.fileSystem.open(this.path, 'update');
    this.transfer = { header, file, progress: nothingReceived, complete: false };
    await this.forgetIfDamaged(async () => {
      const progress = await readReceivedProgress(file, this.path, header);
      await this.writeAgain(file, header, progress);
      this.transfer = { header, file, progress, complete: false };
      if (progress.nextOffset === header.sizeBytes) await this.complete(this.transfer);
    });
  }

  /** A failed sync of an earlier life may have marked pages as clean that never reached the disk. */
  private async writeAgain(file: File, header: SnapshotHeader, progress: ReceivedProgress): Promise<void> {
    const { headerBytes } = header;
    const { durableOffset, nextOffset } = progress;
    await checksumOf(file, headerBytes, durableOffset, nextOffset, 0, (piece, at) =>
      file.write(piece, headerBytes + at),
    );
  }

  /** Starts a transfer; on a full disk there is none afterwards. */
  private async begin(chunk: StoredSnapshotChunk): Promise<void> {
    await this.forget();
    const header = receivedSnapshotHeader(chunk);
    await this.unlessFull(header, async () => {
      const file = await this.options.fileSystem.open(this.path, 'create');
      this.transfer = { header, file, progress: nothingReceived, complete: false };
      await this.orDrop(() => file.write(encodeReceivedSnapshotHeader(header, this.options.owner), 0));
      if (chunk.sizeBytes === 0) await this.complete(this.transfer);
    });
  }

  private async take({ data, offset }: StoredSnapshotChunk): Promise<void> {
    const { transfer } = this;
    if (!transfer || transfer.complete || data.length === 0 || offset !== transfer.progress.nextOffset) return;
    const { file, header } = transfer;
    const next = {
      nextOffset: offset + data.length,
      checksum: crc32(data, transfer.progress.checksum),
      durableOffset: transfer.progress.durableOffset,
    };
    await this.unlessFull(header, async () => {
      await file.write(data, header.headerBytes + offset);
      if (next.nextOffset - next.durableOffset >= syncAfterBytes) {
        await this.orDrop(() => file.sync());
        await writeDurableMark(file, header, next);
        await this.orDrop(() => file.sync());
        next.durableOffset = next.nextOffset;
      }
      await writeLatestMark(file, header, next);
      transfer.progress = next;
      if (next.nextOffset === header.sizeBytes) await this.complete(transfer);
    });
  }

  private async complete(transfer: Transfer): Promise<void> {
    if (transfer.progress.checksum !== transfer.header.checksum) {
      this.options.logger.warn(`${this.path}: the leader's snapshot has a wrong checksum and is discarded`);
      return this.forget();
    }
    await this.orDrop(() => transfer.file.sync());
    await this.orDrop(() => this.options.fileSystem.syncDirectory(this.options.directory)); // the name, too
    transfer.complete = true;
  }

  /** After a failed sync the content of the disk is unknown, and a file without its header is useless. */
  private async orDrop(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (isSpaceError(error)) await this.forget();
      throw error;
    }
  }

  /** On a full disk no piece is stored; stored ones stay. */
  private async unlessFull(header: SnapshotHeader, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.options.space.hasRoom('received-snapshot');
    } catch (error) {
      if (!isSpaceError(error)) throw error;
      const presentBytes = this.transfer ? header.headerBytes + this.transfer.progress.nextOffset : 0;
      const neededBytes = header.headerBytes + header.sizeBytes - presentBytes;
      this.options.space.diskFull('received-snapshot', "the leader's snapshot", neededBytes, error);
    }
  }

  private async forgetIfDamaged(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const isDamage =
        error instanceof LogCorruptedError || error instanceof StorageFormatError || error instanceof StorageOwnerError;
      if (!isDamage) throw error;
      this.options.logger.warn(`${error.message} It was part of a snapshot from the leader, which is discarded.`);
      await this.forget();
    }
  }

  private async forget(): Promise<void> {
    const { transfer } = this;
    this.transfer = this.found = undefined;
    await transfer?.file.close();
    await removeIfThere(this.options.fileSystem, this.path);
  }
}

/** Whether a piece is valid; it comes from another machine. */
function isSound({ metadata, sizeBytes, checksum, offset, data }: StoredSnapshotChunk): boolean {
  const within = (value: number, minimum: number, maximum: number): boolean =>
    Number.isSafeInteger(value) && value >= minimum && value <= maximum;
  return (
    within(metadata.index, 1, MAXIMUM_INTEGER) &&
    within(metadata.term, 0, MAXIMUM_INTEGER) &&
    within(sizeBytes, 0, maximumSnapshotBytes) &&
    within(checksum, 0, 0xffff_ffff) &&
    within(offset, 0, sizeBytes - data.length) &&
    configurationFault(metadata.configuration) === undefined
  );
}
