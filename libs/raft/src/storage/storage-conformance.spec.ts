import { crc32 } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import { MemoryStorage } from './memory-storage.js';
import type { RaftStorage, StoredState } from '../driver/ports.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import {
  describeState,
  emptyState,
  entriesFrom,
  memoryStorage,
  piecesOf,
  receiveAndInstall,
  receivedBytes,
  sendRest,
  snapshotAt,
} from './testing/storage-model.js';

/** A storage under test on a disk that outlives it. */
interface StorageUnderTest {
  /** the storage of this life; not opened yet */
  storage(): RaftStorage;
  /** the process is killed, or the machine: the next call of `storage` gives that of the next life */
  kill(): void;
  /** whether `kill` may lose what was written without a sync */
  readonly losesUnsynced: boolean;
  /** from now on nothing can grow; a batch of `largeBatchBytes` certainly does not fit */
  fillDisk(): void;
  freeDisk(): void;
}

/** More than fits into what any storage has allocated ahead. */
const largeBatchBytes = 20_000;

/** What every implementation of the storage port must do; run it with each. */
function describeRaftStorage(name: string, create: () => StorageUnderTest): void {
  async function opened(): Promise<{ disk: StorageUnderTest; storage: RaftStorage }> {
    const disk = create();
    const storage = disk.storage();
    await storage.open();
    return { disk, storage };
  }

  async function restarted(disk: StorageUnderTest): Promise<{ storage: RaftStorage; state: StoredState }> {
    disk.kill();
    const storage = disk.storage();
    return { storage, state: await storage.open() };
  }

  describe(`${name} as a storage: the log`, () => {
    it('starts empty and finds after a kill what was acknowledged', async () => {
      const disk = create();
      const first = disk.storage();
      expect(describeState(await first.open())).toBe(describeState(emptyState));
      const hardState = { term: 3, vote: 2, commitIndex: 4 };
      await first.persist({ hardState: { term: 1, vote: 1, commitIndex: 0 }, entries: entriesFrom(1, 8, 1) });
      await first.persist({ hardState, entries: [] });
      await first.persist({ entries: entriesFrom(5, 2, 3) });
      const { state } = await restarted(disk);
      const entries = [...entriesFrom(1, 4, 1), ...entriesFrom(5, 2, 3)];
      expect(describeState(state)).toBe(describeState({ hardState, snapshot: undefined, entries }));
    });

    it('forgets what a snapshot covers, and shows nothing of it', async () => {
      const { disk, storage } = await opened();
      await storage.persist({ entries: entriesFrom(1, 30, 1) });
      expect(await storage.saveSnapshot(snapshotAt(20, 1))).toBe(true);
      await storage.compact(15);
      const { state } = await restarted(disk);
      const expected = { ...emptyState, snapshot: snapshotAt(20, 1), entries: entriesFrom(21, 10, 1) };
      expect(describeState(state)).toBe(describeState(expected));
    });
  });

  describe(`${name} as a storage: a snapshot in pieces`, () => {
    const whole = snapshotAt(20, 1, 300);
    function* inPieces(): Iterable<Uint8Array> {
      for (let at = 0; at < 300; at += 70) yield whole.data.subarray(at, at + 70);
    }

    it('is the same as one that was given as a whole', async () => {
      const { disk, storage } = await opened();
      await storage.persist({ entries: entriesFrom(1, 20, 1) });
      expect(await storage.saveSnapshot({ metadata: whole.metadata, data: inPieces() })).toBe(true);
      const read = await storage.readSnapshotChunk(undefined, 0, 1_000);
      expect(read && Buffer.from(read.data).equals(whole.data)).toBe(true);
      expect(read?.checksum).toBe(crc32(whole.data));
      const { state } = await restarted(disk);
      expect(describeState(state)).toBe(describeState({ ...emptyState, snapshot: whole }));
    });

    it('is asked for one piece at a time, and others have a turn after each', async () => {
      const { storage } = await opened();
      await storage.persist({ entries: entriesFrom(1, 20, 1) });
      const events: string[] = [];
      function* watched(): Iterable<Uint8Array> {
        for (const piece of inPieces()) {
          void Promise.resolve().then(() => events.push('turn'));
          events.push('piece');
          yield piece;
        }
      }
      await storage.saveSnapshot({ metadata: whole.metadata, data: watched() });
      expect(events).toEqual(Array.from({ length: 5 }, () => ['piece', 'turn']).flat());
    });

    it('is asked for from its beginning when it found no room', async () => {
      const { disk, storage } = await opened();
      await storage.persist({ entries: entriesFrom(1, 20, 1) });
      const large = snapshotAt(20, 1, largeBatchBytes);
      const data = {
        *[Symbol.iterator]() {
          for (let at = 0; at < largeBatchBytes; at += 3_000) yield large.data.subarray(at, at + 3_000);
        },
      };
      disk.fillDisk();
      expect(await storage.saveSnapshot({ metadata: large.metadata, data })).toBe(false);
      disk.freeDisk();
      expect(await storage.saveSnapshot({ metadata: large.metadata, data })).toBe(true);
      const { state } = await restarted(disk);
      expect(state.snapshot && Buffer.from(state.snapshot.data).equals(large.data)).toBe(true);
    });
  });

  describe(`${name} as a storage: snapshots for followers`, () => {
    it('are read in pieces, with what identifies the whole', async () => {
      const { storage } = await opened();
      expect(await storage.readSnapshotChunk(undefined, 0, 10)).toBeUndefined();
      await storage.persist({ entries: entriesFrom(1, 9, 1) });
      const snapshot = snapshotAt(9, 1, 150);
      await storage.saveSnapshot(snapshot);
      const read = [];
      for (let offset = 0; offset <= 150; offset += 60)
        read.push(await storage.readSnapshotChunk(snapshot.metadata, offset, 60));
      expect(read.map((chunk) => chunk && { ...chunk, data: Buffer.from(chunk.data).toString() })).toEqual(
        piecesOf(snapshot, 60)
          .slice(1)
          .map((chunk) => ({ ...chunk, data: Buffer.from(chunk.data).toString() })),
      );
      expect((await storage.readSnapshotChunk(undefined, 0, 0))?.data.length).toBe(0);
      expect((await storage.readSnapshotChunk(undefined, 150, 10))?.data.length).toBe(0);
      expect(await storage.readSnapshotChunk({ index: 9, term: 2 }, 0, 10)).toBeUndefined();
      expect(await storage.readSnapshotChunk({ index: 8, term: 1 }, 0, 10)).toBeUndefined();
    });

    it('are the latest: an older one is not found any more', async () => {
      const { storage } = await opened();
      await storage.persist({ entries: entriesFrom(1, 9, 1) });
      await storage.saveSnapshot(snapshotAt(5, 1));
      await storage.saveSnapshot(snapshotAt(9, 1));
      expect(await storage.readSnapshotChunk(snapshotAt(5, 1).metadata, 0, 10)).toBeUndefined();
      expect((await storage.readSnapshotChunk(undefined, 0, 10))?.metadata.index).toBe(9);
    });
  });

  describe(`${name} as a storage: the leader’s snapshot`, () => {
    it('comes in pieces and takes the place of the log', async () => {
      const { disk, storage } = await opened();
      await storage.persist({ hardState: { term: 2, vote: 1, commitIndex: 3 }, entries: entriesFrom(1, 60, 2) });
      const snapshot = snapshotAt(50, 2, 333);
      const received = [];
      for (const piece of piecesOf(snapshot, 100)) received.push(await storage.receiveSnapshotChunk(piece));
      expect(received).toEqual([
        { nextOffset: 0, complete: false },
        { nextOffset: 100, complete: false },
        { nextOffset: 200, complete: false },
        { nextOffset: 300, complete: false },
        { nextOffset: 333, complete: true },
      ]);
      const installed = await storage.installReceivedSnapshot(snapshot.metadata);
      expect(describeState({ ...emptyState, snapshot: installed })).toBe(describeState({ ...emptyState, snapshot }));
      await storage.persist({ entries: entriesFrom(51, 2, 3) });
      expect((await storage.readSnapshotChunk(undefined, 0, 10))?.metadata).toEqual(snapshot.metadata);
      const { state } = await restarted(disk);
      const hardState = { term: 2, vote: 1, commitIndex: 3 };
      expect(describeState(state)).toBe(describeState({ hardState, snapshot, entries: entriesFrom(51, 2, 3) }));
    });

    it('may be empty', async () => {
      const { storage } = await opened();
      const snapshot = { ...snapshotAt(5, 1), data: new Uint8Array() };
      const [only] = piecesOf(snapshot);
      expect(only && (await storage.receiveSnapshotChunk(only))).toEqual({ nextOffset: 0, complete: true });
      expect((await storage.installReceivedSnapshot(snapshot.metadata)).data.length).toBe(0);
    });

    it('goes on behind what is there after a kill', async () => {
      const { disk, storage } = await opened();
      const snapshot = snapshotAt(50, 2, 1000);
      for (const piece of piecesOf(snapshot, 100).slice(0, 6)) await storage.receiveSnapshotChunk(piece);
      const second = await restarted(disk);
      expect(second.state.snapshot).toBeUndefined();
      const present = await receivedBytes(second.storage, snapshot);
      if (disk.losesUnsynced) expect([0, 100, 200, 300, 400, 500]).toContain(present);
      else expect(present).toBe(500);
      await sendRest(second.storage, snapshot, 100);
      const third = await restarted(disk);
      const [question] = piecesOf(snapshot);
      const complete = { nextOffset: 1000, complete: true };
      expect(question && (await third.storage.receiveSnapshotChunk(question))).toEqual(complete);
      const { data } = await third.storage.installReceivedSnapshot(snapshot.metadata);
      expect(Buffer.from(data).equals(Buffer.from(snapshot.data))).toBe(true);
    });

    it('is not changed by a piece that does not follow, or that no snapshot can have', async () => {
      const { storage } = await opened();
      const snapshot = snapshotAt(50, 2, 300);
      const pieces = piecesOf(snapshot, 100);
      const [empty, first, second] = pieces;
      if (!empty || !first || !second) throw new Error('there are three pieces');
      const taken = { nextOffset: 100, complete: false };
      expect(await storage.receiveSnapshotChunk(second)).toEqual({ nextOffset: 0, complete: false });
      expect(await storage.receiveSnapshotChunk(first)).toEqual(taken);
      expect(await storage.receiveSnapshotChunk(first)).toEqual(taken);
      expect(await storage.receiveSnapshotChunk({ ...second, offset: 150 })).toEqual(taken);
      expect(await storage.receiveSnapshotChunk({ ...second, offset: 50 })).toEqual(taken);
      expect(await storage.receiveSnapshotChunk({ ...second, data: new Uint8Array(201) })).toEqual(taken);
      expect(await storage.receiveSnapshotChunk({ ...second, offset: 301, data: new Uint8Array() })).toEqual(taken);
      const strange = { ...second, sizeBytes: 50 };
      expect(await storage.receiveSnapshotChunk(strange)).toEqual({ nextOffset: 0, complete: false });
      expect(await receivedBytes(storage, snapshot)).toBe(100);
      await sendRest(storage, snapshot);
      expect((await storage.installReceivedSnapshot(snapshot.metadata)).data.length).toBe(300);
    });

    it('gives way to a piece of another one', async () => {
      const { storage } = await opened();
      const snapshot = snapshotAt(50, 2, 300);
      const others = [
        snapshotAt(51, 2, 300),
        snapshotAt(50, 3, 300),
        snapshotAt(50, 2, 301),
        { ...snapshot, data: Buffer.alloc(300, 'other data') },
      ];
      for (const other of others) {
        for (const piece of piecesOf(snapshot, 100).slice(0, 3)) await storage.receiveSnapshotChunk(piece);
        expect(await receivedBytes(storage, snapshot)).toBe(200);
        expect(await receivedBytes(storage, other)).toBe(0);
        expect(await receivedBytes(storage, snapshot)).toBe(0);
      }
    });

    it('is forgotten when its checksum is wrong in the end', async () => {
      const { storage } = await opened();
      const snapshot = snapshotAt(50, 2, 300);
      const pieces = piecesOf(snapshot, 100);
      const damaged = pieces.map((piece) => (piece.offset === 100 ? { ...piece, data: Buffer.alloc(100) } : piece));
      const received = [];
      for (const piece of damaged) received.push(await storage.receiveSnapshotChunk(piece));
      expect(received.at(-2)).toEqual({ nextOffset: 200, complete: false });
      expect(received.at(-1)).toEqual({ nextOffset: 0, complete: false });
      await receiveAndInstall(storage, snapshot);
      expect((await storage.readSnapshotChunk(undefined, 0, 10))?.metadata.index).toBe(50);
    });
  });

  describe(`${name} as a storage: a full disk`, () => {
    it('makes a write wait until there is room, and says so', async () => {
      const { disk, storage } = await opened();
      const told: (string | undefined)[] = [];
      const lacking = new Promise<void>((resolve) => {
        storage.onSpace((lack) => {
          told.push(lack);
          resolve();
        });
      });
      disk.fillDisk();
      const entries = entriesFrom(1, 1, 1, largeBatchBytes);
      let done = false;
      const persisted = storage.persist({ entries }).then(() => (done = true));
      await lacking;
      expect([done, told]).toEqual([false, [expect.stringContaining('room')]]);
      disk.freeDisk();
      await persisted;
      expect(told.at(-1)).toBeUndefined();
      const { state } = await restarted(disk);
      expect(describeState(state)).toBe(describeState({ ...emptyState, entries }));
    });

    it('leaves everything as it was where a snapshot has no room', async () => {
      const { disk, storage } = await opened();
      await storage.persist({ entries: entriesFrom(1, 10, 1) });
      await storage.saveSnapshot(snapshotAt(5, 1));
      for (const piece of piecesOf(snapshotAt(50, 2, 300), 100).slice(0, 3)) await storage.receiveSnapshotChunk(piece);
      disk.fillDisk();
      expect(await storage.saveSnapshot(snapshotAt(10, 1, largeBatchBytes))).toBe(false);
      const [, , , piece] = piecesOf(snapshotAt(50, 2, 300), 100);
      expect(piece && (await storage.receiveSnapshotChunk(piece))).toEqual({ nextOffset: 200, complete: false });
      expect((await storage.readSnapshotChunk(undefined, 0, 10))?.metadata.index).toBe(5);
      disk.freeDisk();
      expect(await storage.saveSnapshot(snapshotAt(10, 1, largeBatchBytes))).toBe(true);
      expect(piece && (await storage.receiveSnapshotChunk(piece))).toEqual({ nextOffset: 300, complete: true });
      const { state } = await restarted(disk);
      expect(state.snapshot?.metadata.index).toBe(10);
    });

    it('does not keep the storage from being closed', async () => {
      const { disk, storage } = await opened();
      await storage.persist({ entries: entriesFrom(1, 1, 1) });
      const lacking = new Promise<void>((resolve) => storage.onSpace(() => resolve()));
      disk.fillDisk();
      const persisted = storage.persist({ entries: entriesFrom(2, 1, 1, largeBatchBytes) });
      const rejected = expect(persisted).rejects.toMatchObject({ code: 'STORAGE_CLOSED' });
      await lacking;
      await storage.close();
      await rejected;
      disk.freeDisk();
      const { state } = await restarted(disk);
      expect(state.entries.map(({ index }) => index)).toEqual([1]);
    });
  });
}

describeRaftStorage('MemoryStorage', () => {
  const storage = new MemoryStorage();
  return {
    losesUnsynced: false,
    storage: () => storage,
    kill: () => storage.crash(),
    fillDisk: () => storage.fillDisk(),
    freeDisk: () => storage.freeDisk(),
  };
});

describeRaftStorage('FileStorage', () => {
  let fileSystem = new MemoryFileSystem();
  return {
    losesUnsynced: false,
    storage: () => memoryStorage(fileSystem),
    // only the process dies: the system still has what was not synced
    kill: () => {
      const next = MemoryFileSystem.of(fileSystem.files());
      next.capacityBytes = fileSystem.capacityBytes;
      fileSystem = next;
    },
    fillDisk: () => {
      fileSystem.capacityBytes = fileSystem.usedBytes();
    },
    freeDisk: () => {
      fileSystem.capacityBytes = Number.POSITIVE_INFINITY;
    },
  };
});

describeRaftStorage('FileStorage after a loss of power', () => {
  let fileSystem = new MemoryFileSystem();
  const random = new SeededRandom(5);
  return {
    losesUnsynced: true,
    storage: () => memoryStorage(fileSystem),
    kill: () => {
      fileSystem = fileSystem.restart(random);
    },
    fillDisk: () => {
      fileSystem.capacityBytes = fileSystem.usedBytes();
    },
    freeDisk: () => {
      fileSystem.capacityBytes = Number.POSITIVE_INFINITY;
    },
  };
});
