import type { RaftCore } from '../core/raft-core.js';
import type { SnapshotRead } from '../core/ready.js';
import type { Entry, Snapshot, SnapshotChunk, SnapshotMetadata } from '../core/types.js';
import type {
  RaftStorage,
  ReceivedSnapshot,
  SnapshotPieces,
  StateMachine,
  StoredSnapshotChunk,
  TakenSnapshot,
} from './ports.js';
import { SnapshotSchedule, type SnapshotThresholds } from './snapshot-schedule.js';
import { StorageLane } from './storage-lane.js';

/** Entries kept after a snapshot for slightly slower followers; in bytes a quarter of `afterBytes`. */
const TAIL_ENTRIES = 5_000;

export interface SnapshotKeeperOptions {
  readonly storage: RaftStorage;
  readonly stateMachine: StateMachine;
  readonly thresholds: SnapshotThresholds;
  /** runs a storage call and its continuation while the node lives */
  readonly follow: <T>(job: Promise<T>, then: (value: T) => void) => void;
}

/**
 * A node's work with snapshots: takes its own when one is due and compacts the log, reads pieces for followers, stores
 * the leader's pieces, and installs a complete snapshot. Its storage calls follow one another and run in parallel to
 * the log's.
 */
export class SnapshotKeeper {
  readonly lane = new StorageLane();
  private readonly schedule: SnapshotSchedule;
  /** index of the newest snapshot that is durable or being written */
  private newestIndex = 0;

  constructor(private readonly options: SnapshotKeeperOptions) {
    this.schedule = new SnapshotSchedule(options.thresholds);
  }

  applied(entry: Entry): void {
    this.schedule.applied(entry);
  }

  tick(): void {
    this.schedule.tick();
  }

  /** The state machine has restored this snapshot. */
  restored(snapshot: Snapshot): void {
    this.newestIndex = snapshot.metadata.index;
    this.schedule.restarted(snapshot.data.length);
  }

  takeIfDue(core: RaftCore, appliedIndex: number): void {
    // During the installation of a snapshot the log no longer has what is applied here.
    if (
      !this.schedule.isDue(core.needsLog) ||
      core.termAt(appliedIndex) === undefined ||
      core.commitIndex < appliedIndex
    )
      return;
    const { stateMachine, thresholds, follow } = this.options;
    const metadata = core.snapshotMetadata(appliedIndex);
    const taken = stateMachine.takeSnapshot();
    const data = taken instanceof Uint8Array ? taken : new CountedPieces(taken);
    const compactTo = core.compactionIndex(appliedIndex, TAIL_ENTRIES, thresholds.afterBytes / 4);
    this.schedule.started();
    follow(
      this.lane.run(() =>
        data instanceof Uint8Array
          ? this.save({ metadata, data }, compactTo)
          : this.save({ metadata, data }, compactTo).finally(() => data.release()),
      ),
      (outcome) => {
        if (outcome === 'no-room') return this.schedule.postponed();
        this.schedule.finished(data instanceof Uint8Array ? data.length : data.sizeBytes);
        if (outcome === 'saved') core.compact(compactTo);
      },
    );
  }

  /** `superseded`: a later snapshot of the leader has replaced it in between. */
  private async save(snapshot: TakenSnapshot, compactTo: number): Promise<'saved' | 'superseded' | 'no-room'> {
    const { index } = snapshot.metadata;
    if (index <= this.newestIndex) return 'superseded';
    if (!(await this.options.storage.saveSnapshot(snapshot))) return 'no-room';
    this.newestIndex = index;
    await this.options.storage.compact(compactTo);
    return 'saved';
  }

  read({ snapshot, offset, maximumBytes }: SnapshotRead): Promise<StoredSnapshotChunk | undefined> {
    return this.lane.run(() => this.options.storage.readSnapshotChunk(snapshot, offset, maximumBytes));
  }

  receive({ metadata, sizeBytes, checksum, offset, data }: SnapshotChunk): Promise<ReceivedSnapshot> {
    return this.lane.run(() =>
      this.options.storage.receiveSnapshotChunk({ metadata, sizeBytes, checksum, offset, data }),
    );
  }

  /** Installs the received snapshot; runs alone, as the storage requires. */
  install(metadata: SnapshotMetadata): Promise<Snapshot> {
    return this.lane.run(() => {
      this.newestIndex = metadata.index;
      return this.options.storage.installReceivedSnapshot(metadata);
    });
  }
}

/** Passes pieces on, and counts their bytes. */
class CountedPieces implements SnapshotPieces {
  sizeBytes = 0;

  constructor(private readonly pieces: SnapshotPieces) {}

  *[Symbol.iterator](): Iterator<Uint8Array> {
    this.sizeBytes = 0;
    for (const piece of this.pieces) {
      this.sizeBytes += piece.length;
      yield piece;
    }
  }

  release(): void {
    this.pieces.release();
  }
}
