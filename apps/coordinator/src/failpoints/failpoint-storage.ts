import { noFailpoints, type Failpoints } from '@concordat/foundation';
import { FileStorage, type FileStorageOptions } from '@concordat/raft';
import { DISK_FAILPOINT } from './failpoints.js';

/** The storage of the log. With failpoints switched on, each write passes one first. */
export function storageWithFailpoints(options: FileStorageOptions, failpoints: Failpoints): FileStorage {
  return failpoints === noFailpoints ? new FileStorage(options) : new FailpointStorage(options, failpoints);
}

/** A paused write is a disk that hangs; an error is a disk that fails. */
class FailpointStorage extends FileStorage {
  constructor(
    options: FileStorageOptions,
    private readonly failpoints: Failpoints,
  ) {
    super(options);
  }

  override async persist(batch: Parameters<FileStorage['persist']>[0]): Promise<void> {
    await this.failpoints.hit(DISK_FAILPOINT);
    await super.persist(batch);
  }
}
