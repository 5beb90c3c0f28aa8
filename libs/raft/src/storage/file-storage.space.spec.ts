import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import type { FileStorage } from './file-storage.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import {
  describeState,
  emptyState,
  entriesFrom,
  memoryDirectory,
  memoryStorage,
  piecesOf,
  receivedBytes,
  snapshotAt,
} from './testing/storage-model.js';

/** Lets everything that is ready run, without time going on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

interface Subject {
  readonly fileSystem: MemoryFileSystem;
  readonly clock: VirtualClock;
  readonly storage: FileStorage;
  /** everything that `onSpace` was told */
  readonly told: (string | undefined)[];
}

async function openStorage(): Promise<Subject> {
  const fileSystem = new MemoryFileSystem();
  const clock = new VirtualClock();
  const storage = memoryStorage(fileSystem, { clock });
  await storage.open();
  const told: (string | undefined)[] = [];
  storage.onSpace((lack) => told.push(lack));
  return { fileSystem, clock, storage, told };
}

/** Persists entries, a hundred bytes each, until one has to wait; returns how many did not, and the one that does. */
async function persistUntilFull(storage: FileStorage): Promise<{ done: number; waiting: Promise<void> }> {
  for (let index = 1; ; index++) {
    let finished = false;
    const waiting = storage.persist({ entries: entriesFrom(index, 1, 1, 50) }).then(() => void (finished = true));
    await settle();
    if (!finished) return { done: index - 1, waiting };
  }
}

const lackOfSegment = `no room for a new log segment of 2 KiB in ${memoryDirectory}: ENOSPC: the disk is full`;

describe('FileStorage on a full disk', () => {
  it('tells of it while half a segment is left, waits at its end, and looks again every 500 ms', async () => {
    const { fileSystem, clock, storage, told } = await openStorage();
    fileSystem.capacityBytes = fileSystem.usedBytes();
    let before = 0;
    while (told.length === 0) {
      before++;
      await storage.persist({ entries: entriesFrom(before, 1, 1, 50) });
      await settle();
    }
    expect(told).toEqual([lackOfSegment]);
    for (let index = before + 1; index <= before + 4; index++)
      await storage.persist({ entries: entriesFrom(index, 1, 1, 50) });
    let done = false;
    const waiting = storage.persist({ entries: entriesFrom(before + 5, 1, 1, 900) }).then(() => void (done = true));
    clock.advance(500);
    await settle();
    expect([done, told]).toEqual([false, [lackOfSegment]]);
    expect(fileSystem.paths()).not.toContain(`${memoryDirectory}/spare.tmp`);
    fileSystem.capacityBytes += 10_000;
    clock.advance(499);
    await settle();
    expect(done).toBe(false);
    clock.advance(1);
    await waiting;
    expect(told).toEqual([lackOfSegment, undefined]);
    await storage.close();
  });

  it.each(['EMFILE', 'ENFILE', 'ENOMEM'])('takes %s for a lack that passes, too', async (code) => {
    const { fileSystem, clock, storage, told } = await openStorage();
    const open = fileSystem.open.bind(fileSystem);
    fileSystem.open = (path, mode) =>
      mode === 'create' ? Promise.reject(Object.assign(new Error(`${code}: none left`), { code })) : open(path, mode);
    const { waiting } = await persistUntilFull(storage);
    const lack = code === 'ENOMEM' ? 'no room' : 'no file can be opened';
    expect(told).toEqual([`${lack} for a new log segment of 2 KiB in ${memoryDirectory}: ${code}: none left`]);
    fileSystem.open = open;
    clock.advance(500);
    await waiting;
    expect(told.at(-1)).toBeUndefined();
    await storage.close();
  });

  it('goes on at once when compaction makes room', async () => {
    const { fileSystem, storage, told } = await openStorage();
    for (let index = 1; index <= 40; index++) await storage.persist({ entries: entriesFrom(index, 1, 1, 100) });
    await storage.saveSnapshot(snapshotAt(30, 1));
    await settle();
    fileSystem.capacityBytes = fileSystem.usedBytes();
    const waiting = storage.persist({ entries: entriesFrom(41, 1, 1, 1400) });
    const next = storage.persist({ entries: entriesFrom(42, 1, 1, 1400) });
    await settle();
    expect(told).toEqual([lackOfSegment]);
    await storage.compact(30); // no time goes by
    await Promise.all([waiting, next]);
    expect(told).toEqual([lackOfSegment, undefined]);
    await storage.close();
  });

  it('still takes votes while it has no room for a segment', async () => {
    const { fileSystem, storage, told } = await openStorage();
    fileSystem.capacityBytes = fileSystem.usedBytes();
    await storage.persist({ entries: entriesFrom(1, 1, 1, 900) });
    await settle();
    expect(told).toEqual([lackOfSegment]);
    await storage.persist({ hardState: { term: 9, vote: 2, commitIndex: 0 }, entries: [] });
    await storage.close();
    const state = await memoryStorage(MemoryFileSystem.of(fileSystem.files())).open();
    expect(state.hardState).toEqual({ term: 9, vote: 2, commitIndex: 0 });
  });

  it('can be closed while a write waits, and loses nothing else', async () => {
    const { fileSystem, storage } = await openStorage();
    fileSystem.capacityBytes = fileSystem.usedBytes();
    const { done, waiting } = await persistUntilFull(storage);
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'STORAGE_CLOSED' });
    await storage.close();
    await rejected;
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY;
    const state = await memoryStorage(fileSystem).open();
    expect(describeState(state)).toBe(
      describeState({
        ...emptyState,
        entries: Array.from({ length: done }, (_, at) => entriesFrom(at + 1, 1, 1, 50)).flat(),
      }),
    );
  });

  it('refuses to start in an empty directory', async () => {
    const fileSystem = new MemoryFileSystem();
    fileSystem.capacityBytes = 1000;
    const storage = memoryStorage(fileSystem);
    await expect(storage.open()).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('ENOSPC'),
    });
    expect(fileSystem.paths()).toEqual([]);
  });

  it('declines a snapshot, removes what was written of it, and notices when there is room', async () => {
    const { fileSystem, clock, storage, told } = await openStorage();
    await storage.persist({ entries: entriesFrom(1, 5, 1) });
    fileSystem.capacityBytes = fileSystem.usedBytes() + 500;
    expect(await storage.saveSnapshot(snapshotAt(5, 1, 3000))).toBe(false);
    expect(told).toEqual([
      expect.stringMatching(/^no room for a snapshot of 3\.\d KiB in \/data: ENOSPC: the disk is full$/),
    ]);
    expect(fileSystem.paths().filter((path) => path.includes('snapshot'))).toEqual([]);
    clock.advance(500);
    await settle();
    expect(told).toHaveLength(1);
    fileSystem.capacityBytes += 10_000;
    clock.advance(500);
    await settle();
    expect(told).toEqual([expect.anything(), undefined]);
    expect(await storage.saveSnapshot(snapshotAt(5, 1, 3000))).toBe(true);
    await storage.close();
  });

  it('gives the snapshot before the latest for a newer one', async () => {
    const { fileSystem, storage, told } = await openStorage();
    await storage.persist({ entries: entriesFrom(1, 9, 1) });
    await storage.saveSnapshot(snapshotAt(3, 1, 2000));
    await storage.saveSnapshot(snapshotAt(6, 1, 2000));
    fileSystem.capacityBytes = fileSystem.usedBytes() + 1000;
    expect(await storage.saveSnapshot(snapshotAt(9, 1, 2000))).toBe(true);
    expect(told.at(-1)).toBeUndefined();
    expect(fileSystem.paths().filter((path) => path.endsWith('.snapshot'))).toEqual([
      `${memoryDirectory}/0000000000000006-0000000000000001.snapshot`,
      `${memoryDirectory}/0000000000000009-0000000000000001.snapshot`,
    ]);
    await storage.close();
  });

  it('keeps what was received, takes no more, and goes on when there is room', async () => {
    const { fileSystem, storage, told } = await openStorage();
    const snapshot = snapshotAt(50, 2, 4000);
    const pieces = piecesOf(snapshot, 1000);
    for (const piece of pieces.slice(0, 3)) await storage.receiveSnapshotChunk(piece);
    fileSystem.capacityBytes = fileSystem.usedBytes() + 500;
    const fourth = pieces[3];
    if (!fourth) throw new Error('there are five pieces');
    expect(await storage.receiveSnapshotChunk(fourth)).toEqual({ nextOffset: 2000, complete: false });
    expect(told).toEqual([expect.stringContaining("no room for the leader's snapshot")]);
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY;
    expect(await storage.receiveSnapshotChunk(fourth)).toEqual({ nextOffset: 3000, complete: false });
    expect(told).toEqual([expect.anything(), undefined]);
    await storage.close();
  });

  it.each(['write', 'sync', 'rename'] as const)(
    'does not take a failed %s of allocated blocks for it',
    async (kind) => {
      const { fileSystem, storage, told } = await openStorage();
      await storage.persist({ entries: entriesFrom(1, 5, 1) });
      fileSystem.fault = (operation) => (operation === kind ? 'no-space' : undefined);
      const failing =
        kind === 'rename' ? storage.saveSnapshot(snapshotAt(5, 1)) : storage.persist({ entries: entriesFrom(6, 1, 1) });
      await expect(failing).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(told).toEqual([]);
      await expect(storage.compact(0)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await storage.close();
    },
  );
});

describe('the size of a directory', () => {
  it('stays bounded through a long run with snapshots', async () => {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem, { segmentSizeBytes: 4096 });
    await storage.open();
    const snapshotBytes = 2000;
    let largestBytes = 0;
    for (let index = 1; index <= 4000; index++) {
      await storage.persist({ hardState: { term: 1, vote: 1, commitIndex: index }, entries: entriesFrom(index, 1, 1) });
      if (index % 100 === 0) {
        await storage.saveSnapshot(snapshotAt(index, 1, snapshotBytes));
        await storage.compact(index - 20);
      }
      largestBytes = Math.max(largestBytes, fileSystem.usedBytes());
    }
    // At most 120 entries, about 150 bytes each, in segments that are full but for one frame; one segment more is
    // written to and one ahead; two snapshots stay.
    const segments = Math.ceil((120 * 160) / (4096 - 512 - 160)) + 2;
    expect(largestBytes).toBeLessThan(segments * 4096 + 2 * (snapshotBytes + 1024) + 1024);
    await storage.close();
  });

  it('does not keep a part of the leader’s snapshot that a later one has made needless', async () => {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem);
    await storage.open();
    await storage.persist({ entries: entriesFrom(1, 20, 1) });
    for (const piece of piecesOf(snapshotAt(15, 1, 500)).slice(0, 4)) await storage.receiveSnapshotChunk(piece);
    await storage.saveSnapshot(snapshotAt(10, 1));
    expect(await receivedBytes(storage, snapshotAt(15, 1, 500))).toBe(3 * 64);
    await storage.saveSnapshot(snapshotAt(20, 1));
    expect(fileSystem.paths()).not.toContain(`${memoryDirectory}/received.partial`);
    await storage.close();
  });
});
