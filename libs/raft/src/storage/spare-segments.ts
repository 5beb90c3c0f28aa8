import { join } from 'node:path';
import { invariant, type Clock, type Timer } from '@concordat/foundation';
import { StorageClosedError } from './errors.js';
import { isSpaceError, removeIfThere, type File, type FileSystem } from './file-system.js';
import { spaceRetryMs, type SpaceWatch } from './space-watch.js';

/** A file of zeros whose blocks are on disk. */
export interface Spare {
  readonly path: string;
  readonly file: File;
  readonly sizeBytes: number;
}

export interface SpareSegmentsOptions {
  readonly directory: string;
  readonly segmentSizeBytes: number;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly space: SpaceWatch;
}

const zeroChunk = Buffer.alloc(1024 * 1024);

/**
 * Allocates files for the segments of a log, one ahead. A log can run out of space only here and with snapshots: an
 * allocated file has its blocks.
 *
 *     none --prepare--> allocating --> ready --take--> none
 *                       allocating --disk full--> lacking --after 500 ms, or retryNow--> allocating
 *     any --another error--> failed        any --close--> closed
 *
 * A partly written file is removed at once, so that others can use its space.
 */
export class SpareSegments {
  private spare: Spare | undefined;
  private allocation: Promise<void> | undefined;
  private failure: { readonly error: unknown } | undefined;
  /** set while the disk is full */
  private lack: { readonly sizeBytes: number; readonly error: unknown; readonly timer: Timer } | undefined;
  private wakeTaker: (() => void) | undefined;
  private patient = true;

  constructor(private readonly options: SpareSegmentsOptions) {}

  /** Begins to allocate a segment in the background, unless one exists or is being allocated. */
  prepare(): void {
    if (!this.spare && !this.allocation && !this.lack) this.allocate(this.options.segmentSizeBytes);
  }

  /**
   * A file with at least this many bytes; waits while the disk is full.
   *
   * @param waits whether to wait; if not, a full disk is an error like any other
   * @throws StorageClosedError when `stopWaiting` was called meanwhile
   */
  async take(neededBytes: number, waits: boolean): Promise<Spare> {
    const sizeBytes = Math.max(neededBytes, this.options.segmentSizeBytes);
    for (;;) {
      await this.allocation;
      if (this.failure) throw this.failure.error;
      if (this.lack?.sizeBytes === sizeBytes) {
        if (!waits) throw this.lack.error;
        await this.waitForRoom();
      } else if (this.spare && this.spare.sizeBytes >= sizeBytes) {
        const { spare } = this;
        this.spare = undefined;
        return spare;
      } else {
        await this.dropSpare(); // too small, and it has the same name
        this.allocate(sizeBytes);
      }
    }
  }

  /** Something was removed: a full disk may have space now. */
  retryNow(): void {
    if (this.lack) this.allocate(this.lack.sizeBytes);
  }

  /** Present and future waits end with StorageClosedError. */
  stopWaiting(): void {
    this.patient = false;
    this.lack?.timer.cancel();
    this.wakeTaker?.();
  }

  async close(): Promise<void> {
    this.stopWaiting();
    await this.allocation;
    await this.dropSpare();
  }

  private async waitForRoom(): Promise<void> {
    if (this.patient) {
      invariant(!this.wakeTaker, 'one append at a time');
      await new Promise<void>((resolve) => (this.wakeTaker = resolve));
      this.wakeTaker = undefined;
    }
    if (!this.patient)
      throw new StorageClosedError(`the storage in ${this.options.directory} was closed while it waited for room`);
  }

  private async dropSpare(): Promise<void> {
    const { spare } = this;
    this.spare = undefined;
    await spare?.file.close();
  }

  private allocate(sizeBytes: number): void {
    this.lack?.timer.cancel();
    this.lack = undefined;
    this.allocation = this.tryToAllocate(sizeBytes).then(
      () => this.settle(),
      (error: unknown) => {
        this.failure = { error };
        this.settle();
      },
    );
  }

  private settle(): void {
    this.allocation = undefined;
    this.wakeTaker?.();
  }

  private async tryToAllocate(sizeBytes: number): Promise<void> {
    const { fileSystem, directory, clock, space } = this.options;
    const path = join(directory, 'spare.tmp');
    try {
      await this.writeZeros(path, sizeBytes);
      this.spare = { path, file: await fileSystem.open(path, 'update'), sizeBytes };
      space.hasRoom('log');
    } catch (error) {
      if (!isSpaceError(error)) throw error;
      await removeIfThere(fileSystem, path);
      space.diskFull('log', 'a new log segment', sizeBytes, error);
      const timer = clock.setTimer(spaceRetryMs, () => this.allocate(sizeBytes));
      if (!this.patient) timer.cancel();
      this.lack = { sizeBytes, error, timer };
    }
  }

  /** Over the whole length, so that later syncs find the blocks allocated and the size fixed. */
  private async writeZeros(path: string, sizeBytes: number): Promise<void> {
    const file = await this.options.fileSystem.open(path, 'create');
    try {
      for (let at = 0; at < sizeBytes; at += zeroChunk.length)
        await file.write(zeroChunk.subarray(0, Math.min(zeroChunk.length, sizeBytes - at)), at);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
