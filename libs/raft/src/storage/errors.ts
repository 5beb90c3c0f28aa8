import { codedError } from '@concordat/foundation';

/**
 * Acknowledged data cannot be read back: a frame in the middle of the log, a segment's header or a snapshot is not what
 * was written. The node must not start, because it could repeat votes or acknowledgements differently. Restore the
 * file, or replace the node.
 */
export class LogCorruptedError extends codedError('LOG_CORRUPTED') {
  /**
   * @param file path of the damaged file
   * @param offset first damaged byte
   * @param reason in words
   */
  constructor(
    readonly file: string,
    readonly offset: number,
    readonly reason: string,
  ) {
    super(`${file} is damaged at byte ${offset}: ${reason}. The node refuses to start with it.`, {
      details: { file, offset },
    });
  }
}

/** Another live process has the directory open. */
export class StorageLockedError extends codedError('STORAGE_LOCKED', { retryable: true }) {
  /**
   * @param holderPid in the holder's own namespace; 0 when unknown
   * @param lockFile set when only an operator can tell whether the holder is alive
   */
  constructor(
    readonly directory: string,
    readonly holderPid: number,
    lockFile?: string,
  ) {
    const holder = holderPid === 0 ? 'another process' : `process ${holderPid}`;
    super(
      lockFile === undefined
        ? `${directory} is in use by ${holder}; stop that process or use another directory.`
        : `${directory} was opened by ${holder} of another container, and its file system has no sockets to ask it by; ` +
            `if no process uses it, remove ${lockFile}.`,
      { details: { directory, holderPid } },
    );
  }
}

/** The directory was written by another node or for another cluster. */
export class StorageOwnerError extends codedError('STORAGE_OF_ANOTHER_NODE') {
  constructor(file: string, found: string, expected: string) {
    super(`${file} belongs to ${found}, not to ${expected}; give every node a directory of its own.`, {
      details: { file, found, expected },
    });
  }
}

/** The directory was written in a format that this version does not know. */
export class StorageFormatError extends codedError('STORAGE_FORMAT_UNKNOWN') {
  constructor(file: string, version: number) {
    super(
      `${file} has format version ${version}, which this version cannot read; use the version that wrote it, or begin with an empty directory.`,
      { details: { file, version } },
    );
  }
}

/**
 * A write or sync failed, and this storage does nothing more: after a failed fsync the system may have discarded the
 * data, so a second one that succeeds proves nothing (Rebello et al., "Can Applications Recover from fsync Failures?",
 * ATC 2020). Restart the node from its disk.
 */
export class StorageFailedError extends codedError('STORAGE_FAILED') {}

/** A call before `open` or after `close`. */
export class StorageClosedError extends codedError('STORAGE_CLOSED') {}
