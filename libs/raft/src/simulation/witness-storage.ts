import type { Entry, HardState, NodeId, Snapshot, SnapshotMetadata } from '../core/types.js';
import type {
  RaftStorage,
  ReceivedSnapshot,
  StoredSnapshotChunk,
  StoredState,
  TakenSnapshot,
} from '../driver/ports.js';
import type { ClusterChecker } from './cluster-checker.js';
import type { DurableRecord } from './durable-record.js';

/** Passes all calls on to the storage of a node, and reports them to the checkers. */
export class WitnessStorage implements RaftStorage {
  constructor(
    private readonly inner: RaftStorage,
    private readonly nodeId: NodeId,
    private readonly record: DurableRecord,
    private readonly checker: ClusterChecker,
    private readonly count: (event: 'persist' | 'snapshot' | 'install') => void,
  ) {}

  async open(): Promise<StoredState> {
    const state = await this.inner.open();
    this.record.recovered(state);
    return state;
  }

  async persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void> {
    this.checker.writing(this.nodeId, this.record, batch.entries);
    this.record.writing(batch.entries);
    await this.inner.persist(batch);
    this.count('persist');
    this.record.written(batch.hardState, batch.entries);
  }

  async saveSnapshot(snapshot: TakenSnapshot): Promise<boolean> {
    this.checker.snapshotTaken(this.nodeId, snapshot.metadata);
    const saved = await this.inner.saveSnapshot(snapshot);
    if (saved) {
      this.count('snapshot');
      this.record.snapshotDurable(snapshot.metadata.index, snapshot.metadata.term, false);
    }
    return saved;
  }

  readSnapshotChunk(
    wanted: { readonly index: number; readonly term: number } | undefined,
    offset: number,
    maximumBytes: number,
  ): Promise<StoredSnapshotChunk | undefined> {
    return this.inner.readSnapshotChunk(wanted, offset, maximumBytes);
  }

  receiveSnapshotChunk(chunk: StoredSnapshotChunk): Promise<ReceivedSnapshot> {
    return this.inner.receiveSnapshotChunk(chunk);
  }

  async installReceivedSnapshot(metadata: SnapshotMetadata): Promise<Snapshot> {
    const snapshot = await this.inner.installReceivedSnapshot(metadata);
    this.checker.snapshotTaken(this.nodeId, snapshot.metadata);
    this.count('install');
    this.record.snapshotDurable(metadata.index, metadata.term, true);
    return snapshot;
  }

  async compact(index: number): Promise<void> {
    await this.inner.compact(index);
    this.record.compacted(index);
  }

  onSpace(listener: (diskFullReason: string | undefined) => void): void {
    this.inner.onSpace(listener);
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
