import { invariant } from '@concordat/foundation';
import type { Clock } from '@concordat/foundation';
import type { Entry, HardState, Snapshot } from '../core/types.js';
import type { RaftStorage, StoredState } from './ports.js';

export interface MemoryStorageOptions {
  /** with `delayMs`: every call that writes takes that long */
  readonly clock?: Clock;
  readonly delayMs?: () => number;
}

interface Disk {
  hardState: HardState;
  snapshot: Snapshot | undefined;
  entries: Entry[];
}

/**
 * A disk in memory that outlives its node, for tests and simulations. A write is durable when its call resolves;
 * `crash` loses what is in flight, or keeps it unacknowledged, as a real disk may do either.
 */
export class MemoryStorage implements RaftStorage {
  private readonly disk: Disk = {
    hardState: { term: 0, vote: 0, commitIndex: 0 },
    snapshot: undefined,
    entries: [],
  };
  private opened = false;
  /** rises with each crash; calls of an earlier life never settle */
  private life = 0;
  /** a write of the log and one of snapshots may be under way side by side */
  private inflight: { log?: () => void; snapshots?: () => void } = {};
  private failure: Error | undefined;

  constructor(private readonly options: MemoryStorageOptions = {}) {}

  /** What is durable now; for checkers. */
  stored(): StoredState {
    const { hardState, snapshot, entries } = this.disk;
    const covered = snapshot?.metadata.index ?? 0;
    return { hardState, snapshot, entries: entries.filter((entry) => entry.index > covered) };
  }

  /**
   * The machine loses power: the writes in flight are lost, or done but never acknowledged when `survives` is set.
   * The next life begins with `open`.
   */
  crash(survives = false): void {
    if (survives) {
      this.inflight.log?.();
      this.inflight.snapshots?.();
    }
    this.inflight = {};
    this.opened = false;
    this.life++;
  }

  /** The next write rejects with this error and changes nothing. */
  failNextWrite(error: Error): void {
    this.failure = error;
  }

  open(): Promise<StoredState> {
    invariant(!this.opened, 'a storage is opened once per life');
    this.opened = true;
    return Promise.resolve(this.stored());
  }

  persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void> {
    return this.write('log', () => {
      this.disk.hardState = batch.hardState ?? this.disk.hardState;
      this.replaceFrom(batch.entries);
    });
  }

  private replaceFrom(entries: readonly Entry[]): void {
    const first = entries[0];
    if (!first) return;
    const stored = this.disk.entries;
    const start = stored[0]?.index ?? first.index;
    const position = first.index - start;
    invariant(position >= 0 && position <= stored.length, 'stored entries have no gaps');
    stored.length = position;
    for (const entry of entries) stored.push(entry);
  }

  saveSnapshot(snapshot: Snapshot): Promise<void> {
    return this.write('snapshots', () => {
      invariant((this.disk.snapshot?.metadata.index ?? 0) < snapshot.metadata.index, 'snapshots only go forward');
      this.disk.snapshot = snapshot;
    });
  }

  readSnapshot(): Promise<Snapshot | undefined> {
    return Promise.resolve(this.disk.snapshot);
  }

  compact(index: number): Promise<void> {
    return this.write('snapshots', () => {
      invariant(index <= (this.disk.snapshot?.metadata.index ?? 0), 'a snapshot covers what is forgotten');
      this.disk.entries = this.disk.entries.filter((entry) => entry.index > index);
    });
  }

  resetTo(snapshot: Snapshot): Promise<void> {
    invariant(!this.inflight.snapshots, 'a reset runs alone');
    return this.write('log', () => {
      this.disk.snapshot = snapshot;
      this.disk.entries = [];
    });
  }

  close(): Promise<void> {
    this.opened = false;
    return Promise.resolve();
  }

  private write(row: 'log' | 'snapshots', change: () => void): Promise<void> {
    invariant(this.opened, 'the storage is open');
    invariant(!this.inflight[row], 'one write at a time in a row');
    const { clock, delayMs } = this.options;
    if (this.failure) {
      const failure = this.failure;
      this.failure = undefined;
      return Promise.reject(failure);
    }
    if (!clock || !delayMs) {
      change();
      return Promise.resolve();
    }
    const { life } = this;
    this.inflight[row] = change;
    return new Promise((resolve) => {
      clock.setTimer(delayMs(), () => {
        if (life !== this.life) return;
        delete this.inflight[row];
        change();
        resolve();
      });
    });
  }
}
