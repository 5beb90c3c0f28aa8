import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import type { StoredSnapshotChunk } from '../driver/ports.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import {
  describeState,
  emptyState,
  entriesFrom,
  memoryDirectory,
  memoryStorage,
  piecesOf,
  receivedBytes,
  sendRest,
  snapshotAt,
} from './testing/storage-model.js';

const path = `${memoryDirectory}/received.partial`;
const mebibyte = 1024 * 1024;

/** A killed process's directory in which `count` pieces of a snapshot were received. */
async function received(
  snapshot: ReturnType<typeof snapshotAt>,
  count: number,
  pieceBytes = 100,
): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem();
  const storage = memoryStorage(fileSystem);
  await storage.open();
  await storage.persist({ entries: entriesFrom(1, 5, 1) });
  for (const piece of piecesOf(snapshot, pieceBytes).slice(0, count)) await storage.receiveSnapshotChunk(piece);
  return fileSystem;
}

describe('a snapshot that comes in pieces', () => {
  it.each([
    ['header', (content: Buffer) => flip(content, 40)],
    ['magic', (content: Buffer) => flip(content, 0)],
    ['configuration', (content: Buffer) => flip(content, 350)],
    ['data', (content: Buffer) => flip(content, content.length - 1)],
    ['length', (content: Buffer) => content.subarray(0, content.length - 1)],
    ['everything', () => Buffer.alloc(0)],
  ])('is forgotten when its file is damaged (%s), and nothing else is', async (_what, damage) => {
    const snapshot = snapshotAt(50, 2, 1000);
    const fileSystem = MemoryFileSystem.of((await received(snapshot, 6)).files());
    fileSystem.tamper(path, damage);
    const warnings: string[] = [];
    const quiet = { debug: () => undefined, info: () => undefined, error: () => undefined };
    const storage = memoryStorage(fileSystem, { logger: { ...quiet, warn: (text) => void warnings.push(text) } });
    expect(describeState(await storage.open())).toBe(describeState({ ...emptyState, entries: entriesFrom(1, 5, 1) }));
    expect(await receivedBytes(storage, snapshot)).toBe(0);
    expect(warnings).toEqual([
      expect.stringContaining('It was part of a snapshot from the leader, which is discarded.'),
    ]);
    await sendRest(storage, snapshot);
    await storage.installReceivedSnapshot(snapshot.metadata);
    await storage.close();
    expect((await memoryStorage(fileSystem).open()).snapshot?.metadata).toEqual(snapshot.metadata);
  });

  it('goes on behind the last sync when one of its marks is damaged', async () => {
    const snapshot = snapshotAt(50, 2, 6 * mebibyte);
    const fileSystem = MemoryFileSystem.of((await received(snapshot, 6, mebibyte)).files());
    const latestMark =
      fileSystem
        .files()
        .get(path)
        ?.indexOf(Buffer.from([0, 0, 0x50, 0, 0, 0, 0, 0])) ?? -1;
    expect(latestMark).toBeGreaterThan(0);
    fileSystem.tamper(path, (content) => flip(content, latestMark + 1));
    const storage = memoryStorage(fileSystem);
    await storage.open();
    expect(await receivedBytes(storage, snapshot)).toBe(4 * mebibyte);
    await storage.close();
  });

  it('keeps what was synced when the power goes', async () => {
    const snapshot = snapshotAt(50, 2, 7 * mebibyte);
    for (let seed = 1; seed <= 5; seed++) {
      const fileSystem = await received(snapshot, 7, mebibyte);
      await fileSystem.syncDirectory(memoryDirectory);
      const storage = memoryStorage(fileSystem.restart(new SeededRandom(seed)));
      await storage.open();
      expect(await receivedBytes(storage, snapshot)).toBeGreaterThanOrEqual(4 * mebibyte);
      await sendRest(storage, snapshot, mebibyte);
      const { data } = await storage.installReceivedSnapshot(snapshot.metadata);
      expect(Buffer.from(data).equals(Buffer.from(snapshot.data))).toBe(true);
      await storage.close();
    }
  });

  it('holds no more memory or disk than it says, whatever it says', async () => {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem);
    await storage.open();
    const usedBytes = fileSystem.usedBytes();
    const [sound] = piecesOf(snapshotAt(50, 2, 100));
    if (!sound) throw new Error('there is a piece');
    const nonsense: Partial<StoredSnapshotChunk>[] = [
      { sizeBytes: 4 * 1024 * mebibyte + 1 },
      { sizeBytes: -1 },
      { sizeBytes: 0.5 },
      { sizeBytes: Number.NaN },
      { checksum: 2 ** 32 },
      { checksum: -1 },
      { offset: -1 },
      { offset: 101 },
      { data: new Uint8Array(101) },
      { metadata: { ...sound.metadata, index: 0 } },
      { metadata: { ...sound.metadata, index: Number.POSITIVE_INFINITY } },
      { metadata: { ...sound.metadata, term: -1 } },
      {
        metadata: {
          ...sound.metadata,
          configuration: { groupId: 1, members: [], voters: [1], outgoing: [], learners: [] },
        },
      },
    ];
    for (const change of nonsense)
      expect(await storage.receiveSnapshotChunk({ ...sound, ...change })).toEqual({ nextOffset: 0, complete: false });
    expect(fileSystem.usedBytes()).toBe(usedBytes);
    await storage.receiveSnapshotChunk({ ...sound, sizeBytes: 4 * 1024 * mebibyte });
    expect(fileSystem.usedBytes()).toBeLessThan(usedBytes + 4096);
    await storage.close();
  });

  it('is not installed before it is complete', async () => {
    const snapshot = snapshotAt(50, 2, 1000);
    const storage = memoryStorage(MemoryFileSystem.of((await received(snapshot, 6)).files()));
    await storage.open();
    await expect(storage.installReceivedSnapshot(snapshot.metadata)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await storage.close();
  });
});

function flip(content: Buffer, at: number): Buffer {
  content[at] = (content[at] ?? 0) ^ 0x10;
  return content;
}
