import { crc32 } from 'node:zlib';
import { codedError, invariant } from '@concordat/foundation';
import type { Clock } from '@concordat/foundation';
import type { Entry, HardState, Incarnation, Snapshot, SnapshotMetadata } from '../core/types.js';
import type {
  RaftStorage,
  ReceivedSnapshot,
  StoredSnapshotChunk,
  StoredState,
  TakenSnapshot,
} from '../driver/ports.js';

/** How slow the disk is; without options it is immediate. */
export interface MemoryStorageOptions {
  /** with `delayMs`: every call that writes takes that long */
  readonly clock?: Clock;
  readonly delayMs?: () => number;
  /** which of the disks of its node this is; default 1 */
  readonly incarnation?: Incarnation;
}

/** The storage was closed while a write waited for room; it was not done. */
class MemoryStorageClosedError extends codedError('STORAGE_CLOSED') {}

interface ReceivedPieces {
  readonly metadata: SnapshotMetadata;
  readonly sizeBytes: number;
  readonly checksum: number;
  readonly pieces: Uint8Array[];
  nextOffset: number;
}

interface Disk {
  hardState: HardState;
  snapshot: Snapshot | undefined;
  entries: Entry[];
  received: ReceivedPieces | undefined;
}

interface WriteInFlight {
  readonly change: () => void;
  readonly done: Promise<unknown>;
}

interface WaitingWrite {
  readonly start: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * A disk in memory that outlives its node, but not its process: for tests, simulations, and coordinators that keep
 * nothing. A write is durable when its call resolves; `crash` loses what is in flight, or keeps it unacknowledged, as a
 * real disk may do either.
 */
export class MemoryStorage implements RaftStorage {
  private readonly disk: Disk = {
    hardState: { term: 0, vote: 0, commitIndex: 0 },
    snapshot: undefined,
    entries: [],
    received: undefined,
  };
  private opened = false;
  /** rises with each crash and each close; calls of an earlier life never settle */
  private life = 0;
  /** a write of the log and one of snapshots may be under way side by side */
  private inflight: { log?: WriteInFlight; snapshots?: WriteInFlight } = {};
  private failure: Error | undefined;
  private lack: string | undefined;
  private waiting: WaitingWrite | undefined;
  private spaceListener: ((diskFullReason: string | undefined) => void) | undefined;

  constructor(private readonly options: MemoryStorageOptions = {}) {}

  /** What is durable now; for checkers. */
  stored(): StoredState {
    const { hardState, snapshot, entries } = this.disk;
    const covered = snapshot?.metadata.index ?? 0;
    return {
      incarnation: this.options.incarnation ?? 1,
      hardState,
      snapshot,
      entries: entries.filter((entry) => entry.index > covered),
    };
  }

  /**
   * The machine loses power: the writes in flight are lost, or done but never acknowledged when `survives` is set.
   * The next life begins with `open`.
   */
  crash(survives = false): void {
    if (survives) {
      this.inflight.log?.change();
      this.inflight.snapshots?.change();
    }
    this.inflight = {};
    this.waiting = undefined;
    this.spaceListener = undefined;
    this.opened = false;
    this.life++;
  }

  /** The next write rejects with this error and changes nothing. */
  failNextWrite(error: Error): void {
    this.failure = error;
  }

  /** From now on, over crashes too, the disk has no room: whatever would grow on it waits or is declined. */
  fillDisk(lack = 'the disk in memory has no room'): void {
    this.lack = lack;
    this.spaceListener?.(lack);
  }

  /** There is room again. */
  freeDisk(): void {
    if (this.lack === undefined) return;
    this.lack = undefined;
    const { waiting } = this;
    this.waiting = undefined;
    this.spaceListener?.(undefined);
    waiting?.start();
  }

  open(): Promise<StoredState> {
    invariant(!this.opened, 'a storage is opened once per life');
    this.opened = true;
    return Promise.resolve(this.stored());
  }

  persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void> {
    const write = (): Promise<void> =>
      this.write('log', () => {
        this.disk.hardState = batch.hardState ?? this.disk.hardState;
        this.replaceFrom(batch.entries);
      });
    return this.lack === undefined ? write() : this.waitForRoom(write);
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

  saveSnapshot({ metadata, data }: TakenSnapshot): Promise<boolean> {
    if (data instanceof Uint8Array) return this.storeSnapshot({ metadata, data });
    return this.gather(data).then((whole) => this.storeSnapshot({ metadata, data: whole }));
  }

  /** As from a real disk, others have a turn after each piece. */
  private async gather(data: Iterable<Uint8Array>): Promise<Uint8Array> {
    const { life } = this;
    const pieces: Uint8Array[] = [];
    for (const piece of data) {
      pieces.push(Uint8Array.from(piece));
      await this.turn();
      if (life !== this.life) return new Promise(() => undefined);
    }
    return Buffer.concat(pieces);
  }

  private turn(): Promise<void> {
    const { clock } = this.options;
    return clock ? new Promise((resolve) => clock.setTimer(0, resolve)) : Promise.resolve();
  }

  private storeSnapshot(snapshot: Snapshot): Promise<boolean> {
    return this.write('snapshots', () => {
      if (this.lack !== undefined) return false;
      invariant((this.disk.snapshot?.metadata.index ?? 0) < snapshot.metadata.index, 'snapshots only go forward');
      this.disk.snapshot = snapshot;
      return true;
    });
  }

  readSnapshotChunk(
    wanted: { readonly index: number; readonly term: number } | undefined,
    offset: number,
    maximumBytes: number,
  ): Promise<StoredSnapshotChunk | undefined> {
    const { snapshot } = this.disk;
    if (!snapshot || (wanted && !isSamePosition(snapshot.metadata, wanted))) return Promise.resolve(undefined);
    const { metadata, data } = snapshot;
    return Promise.resolve({
      metadata,
      sizeBytes: data.length,
      checksum: crc32(data),
      offset,
      data: data.slice(offset, offset + maximumBytes),
    });
  }

  receiveSnapshotChunk(chunk: StoredSnapshotChunk): Promise<ReceivedSnapshot> {
    return this.write('snapshots', () => {
      const known = this.disk.received;
      const same = known && isSamePosition(known.metadata, chunk.metadata) && isSameWhole(known, chunk);
      if (this.lack !== undefined || chunk.offset + chunk.data.length > chunk.sizeBytes)
        return describeReceived(same ? known : undefined);
      const { metadata, sizeBytes, checksum } = chunk;
      const received = same ? known : { metadata, sizeBytes, checksum, pieces: [], nextOffset: 0 };
      this.disk.received = received;
      if (chunk.offset !== received.nextOffset) return describeReceived(received);
      received.pieces.push(Uint8Array.from(chunk.data));
      received.nextOffset += chunk.data.length;
      if (received.nextOffset === sizeBytes && crc32(Buffer.concat(received.pieces)) !== checksum)
        this.disk.received = undefined;
      return describeReceived(this.disk.received);
    });
  }

  installReceivedSnapshot(metadata: SnapshotMetadata): Promise<Snapshot> {
    invariant(!this.inflight.snapshots, 'an installation runs alone');
    return this.write('log', () => {
      const { received } = this.disk;
      invariant(received && isSamePosition(received.metadata, metadata), 'the snapshot was received');
      invariant(received.nextOffset === received.sizeBytes, 'the snapshot is complete');
      invariant((this.disk.snapshot?.metadata.index ?? 0) <= metadata.index, 'snapshots only go forward');
      const snapshot = { metadata: received.metadata, data: Buffer.concat(received.pieces) };
      this.disk.snapshot = snapshot;
      this.disk.entries = [];
      this.disk.received = undefined;
      return snapshot;
    });
  }

  compact(index: number): Promise<void> {
    return this.write('snapshots', () => {
      invariant(index <= (this.disk.snapshot?.metadata.index ?? 0), 'a snapshot covers what is forgotten');
      this.disk.entries = this.disk.entries.filter((entry) => entry.index > index);
    });
  }

  onSpace(listener: (diskFullReason: string | undefined) => void): void {
    this.spaceListener = listener;
    if (this.lack !== undefined) listener(this.lack);
  }

  /** What is under way is finished first, as on a real disk: the next life finds nothing of this one. */
  async close(): Promise<void> {
    this.opened = false;
    this.spaceListener = undefined;
    this.waiting?.reject(new MemoryStorageClosedError('the storage was closed while a write waited for room'));
    this.waiting = undefined;
    await Promise.all([this.inflight.log?.done, this.inflight.snapshots?.done]);
    this.life++;
  }

  private waitForRoom(write: () => Promise<void>): Promise<void> {
    invariant(this.opened && !this.waiting, 'one write at a time in a row');
    return new Promise((resolve, reject) => {
      this.waiting = { start: () => resolve(write()), reject };
    });
  }

  private write<T>(row: 'log' | 'snapshots', change: () => T): Promise<T> {
    invariant(this.opened, 'the storage is open');
    invariant(!this.inflight[row] && !(row === 'log' && this.waiting), 'one write at a time in a row');
    const { clock, delayMs } = this.options;
    if (this.failure) {
      const failure = this.failure;
      this.failure = undefined;
      return Promise.reject(failure);
    }
    if (!clock || !delayMs) return Promise.resolve(change());
    const { life } = this;
    const done = new Promise<T>((resolve) => {
      clock.setTimer(delayMs(), () => {
        if (life !== this.life) return;
        delete this.inflight[row];
        resolve(change());
      });
    });
    this.inflight[row] = { change, done };
    return done;
  }
}

function isSamePosition(
  left: Pick<SnapshotMetadata, 'index' | 'term'>,
  right: Pick<SnapshotMetadata, 'index' | 'term'>,
): boolean {
  return left.index === right.index && left.term === right.term;
}

function isSameWhole(left: ReceivedPieces, right: StoredSnapshotChunk): boolean {
  return left.sizeBytes === right.sizeBytes && left.checksum === right.checksum;
}

function describeReceived(received: ReceivedPieces | undefined): ReceivedSnapshot {
  const nextOffset = received?.nextOffset ?? 0;
  return { nextOffset, complete: received !== undefined && nextOffset === received.sizeBytes };
}
