import type { Logger } from '@concordat/foundation';
import type { StoredState } from '../driver/ports.js';
import { LogCorruptedError } from './errors.js';
import type { FileSystem } from './file-system.js';
import { coversSnapshot, replay } from './replay.js';
import type { SequencedRecord } from './segment-scan.js';
import type { SegmentedLog } from './segmented-log.js';
import type { SnapshotHeader, StoredSnapshot } from './snapshot-file.js';
import type { SnapshotPosition, SnapshotStore } from './snapshot-store.js';

/** The content of a directory at the start. */
export interface Recovered {
  readonly state: Omit<StoredState, 'incarnation'>;
  readonly snapshot: SnapshotHeader | undefined;
}

/** Reads a directory at the start of a node. */
export class Recovery {
  constructor(
    private readonly options: {
      readonly directory: string;
      readonly fileSystem: FileSystem;
      readonly logger: Logger;
      readonly log: SegmentedLog;
      readonly snapshots: SnapshotStore;
    },
  ) {}

  /** @throws LogCorruptedError when acknowledged data are damaged or missing */
  async recover(): Promise<Recovered> {
    const { directory, fileSystem, log, snapshots, logger } = this.options;
    const positions = await snapshots.list();
    const names = await fileSystem.list(directory);
    if (positions.length > 0 && !names.some((name) => name.endsWith('.wal')))
      throw new LogCorruptedError(directory, 0, 'there are snapshots, but no segment of the log');
    const records = await log.open();
    await fileSystem.syncDirectory(directory); // names that a killed process left without a sync
    const snapshot = await this.readLatestUsable(positions, records);
    const found = replayOrRefuse(directory, records, snapshot);
    if (found.conflicting > 0)
      logger.warn(`${directory}: dropped ${found.conflicting} entries that contradict the latest snapshot`);
    const { hardState, entries } = found;
    if (!snapshot) return { state: { hardState, entries, snapshot }, snapshot };
    const { data, ...header } = snapshot; // the storage must not keep the data in memory
    return { state: { hardState, entries, snapshot: { metadata: header.metadata, data } }, snapshot: header };
  }

  /**
   * The latest snapshot; or the one before (or none) when the latest is damaged and the log still has everything in it.
   */
  private async readLatestUsable(
    positions: readonly SnapshotPosition[],
    records: readonly SequencedRecord[],
  ): Promise<StoredSnapshot | undefined> {
    const { snapshots, logger } = this.options;
    const latest = positions[0];
    if (!latest) return undefined;
    try {
      return await snapshots.read(latest);
    } catch (error) {
      if (!(error instanceof LogCorruptedError)) throw error;
      const older = positions[1] && (await snapshots.read(positions[1]));
      if (!coversSnapshot(records, older, latest)) throw error;
      logger.warn(`${error.message} An older snapshot and the log are complete; the node uses those.`);
      await snapshots.setAside(latest);
      return older;
    }
  }
}

/**
 * The log after a snapshot.
 *
 * @throws LogCorruptedError when frames or entries are missing
 */
export function replayOrRefuse(
  directory: string,
  records: readonly SequencedRecord[],
  snapshot: SnapshotHeader | undefined,
): Extract<ReturnType<typeof replay>, { type: 'complete' }> {
  const lastSequence = records.at(-1)?.sequence ?? 0;
  if (snapshot && lastSequence + 1 < snapshot.resetSequence)
    throw new LogCorruptedError(
      directory,
      0,
      `the log ends with frame ${lastSequence}, but frame ${snapshot.resetSequence - 1} was written`,
    );
  const found = replay(records, snapshot);
  if (found.type === 'complete') return found;
  throw new LogCorruptedError(
    directory,
    0,
    `entry ${found.expectedIndex} is missing, the log goes on with entry ${found.foundIndex}`,
  );
}
