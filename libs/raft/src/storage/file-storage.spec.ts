import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FileStorage } from './file-storage.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import {
  describeState,
  emptyState,
  entriesFrom,
  memoryDirectory,
  memoryStorage,
  receiveAndInstall,
  snapshotAt,
  threeVoters,
} from './testing/storage-model.js';

const segmentsOf = (names: string[]): string[] => names.filter((name) => name.endsWith('.wal'));

describe('FileStorage on the machine’s file system', () => {
  let directory: string;
  const opened: FileStorage[] = [];

  function create(options: { nodeId?: number; clusterName?: string; segmentSizeBytes?: number } = {}): FileStorage {
    const storage = new FileStorage({ directory, nodeId: 1, ...options });
    opened.push(storage);
    return storage;
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'concordat-storage-'));
  });

  afterEach(async () => {
    for (const storage of opened.splice(0)) await storage.close();
    await rm(directory, { recursive: true });
  });

  it('starts empty and finds everything again', async () => {
    const first = create();
    expect(describeState(await first.open())).toBe(describeState(emptyState));
    const hardState = { term: 3, vote: 2, commitIndex: 4 };
    await first.persist({ hardState: { term: 1, vote: 1, commitIndex: 0 }, entries: entriesFrom(1, 3, 1) });
    await first.persist({ hardState, entries: entriesFrom(4, 2, 3) });
    await first.persist({ entries: [] });
    await first.close();

    const state = await create().open();
    expect(describeState(state)).toBe(
      describeState({ hardState, snapshot: undefined, entries: [...entriesFrom(1, 3, 1), ...entriesFrom(4, 2, 3)] }),
    );
  });

  it('counts its durable writes, and no empty ones', async () => {
    const storage = create();
    await storage.open();
    expect(storage.durableAppends).toBe(0);
    await storage.persist({ entries: entriesFrom(1, 10, 1) });
    await storage.persist({ entries: [] });
    await storage.persist({ hardState: { term: 1, vote: 1, commitIndex: 0 }, entries: [] });
    expect(storage.durableAppends).toBe(2);
  });

  it('replaces what is overwritten, and everything behind it', async () => {
    const first = create();
    await first.open();
    await first.persist({ entries: entriesFrom(1, 10, 1) });
    await first.persist({ entries: entriesFrom(4, 2, 2) });
    await first.persist({ entries: entriesFrom(6, 1, 2) });
    await first.close();
    const state = await create().open();
    expect(describeState({ ...emptyState, entries: state.entries })).toBe(
      describeState({ ...emptyState, entries: [...entriesFrom(1, 3, 1), ...entriesFrom(4, 3, 2)] }),
    );
  });

  it('allocates 8 MiB, goes on in new segments, and takes a batch larger than one', async () => {
    const first = create();
    await first.open();
    await first.persist({ entries: entriesFrom(1, 1, 1, 5 * 1024 * 1024) });
    await first.persist({ entries: entriesFrom(2, 1, 1, 5 * 1024 * 1024) });
    await first.persist({ entries: entriesFrom(3, 1, 1, 20 * 1024 * 1024) });
    await first.persist({ entries: entriesFrom(4, 1, 1) });
    await first.close();
    expect(segmentsOf(await readdir(directory))).toEqual([
      '0000000000000001.wal',
      '0000000000000003.wal',
      '0000000000000004.wal',
      '0000000000000005.wal',
    ]);
    const state = await create().open();
    expect(state.entries.map((entry) => entry.index)).toEqual([1, 2, 3, 4]);
    expect(state.entries[2]?.data.length).toBe(20 * 1024 * 1024 + 3);
  });

  it('drops whole segments below a snapshot and keeps the latest two snapshots', async () => {
    const first = create({ segmentSizeBytes: 4096 });
    await first.open();
    for (let index = 1; index <= 200; index++) {
      await first.persist({ hardState: { term: 1, vote: 1, commitIndex: index }, entries: entriesFrom(index, 1, 1) });
      if (index % 50 === 0) await first.saveSnapshot(snapshotAt(index, 1));
    }
    const before = segmentsOf(await readdir(directory)).length;
    await first.compact(200);
    const names = await readdir(directory);
    expect(before).toBeGreaterThan(3);
    expect(segmentsOf(names)).toHaveLength(1);
    expect(names.filter((name) => name.endsWith('.snapshot'))).toEqual([
      '0000000000000150-0000000000000001.snapshot',
      '0000000000000200-0000000000000001.snapshot',
    ]);
    await first.persist({ entries: entriesFrom(201, 2, 1) });
    expect((await first.readSnapshotChunk(undefined, 0, 0))?.metadata.index).toBe(200);
    await first.close();

    const state = await create().open();
    expect(state.hardState).toEqual({ term: 1, vote: 1, commitIndex: 200 });
    expect(state.snapshot?.metadata).toEqual({ index: 200, term: 1, configuration: threeVoters });
    expect(state.entries.map((entry) => entry.index)).toEqual([201, 202]);
  });

  it('begins anew behind an installed snapshot', async () => {
    const first = create({ segmentSizeBytes: 4096 });
    await first.open();
    for (let index = 1; index <= 100; index++) await first.persist({ entries: entriesFrom(index, 1, 1) });
    await receiveAndInstall(first, snapshotAt(50, 2));
    expect(segmentsOf(await readdir(directory))).toHaveLength(1);
    await first.persist({ entries: entriesFrom(51, 1, 2) });
    await first.close();
    const state = await create().open();
    expect(state.snapshot?.metadata.index).toBe(50);
    expect(state.entries.map(({ index, term }) => [index, term])).toEqual([[51, 2]]);
  });

  it('refuses a second opening, and gives the directory free at the end', async () => {
    const first = create();
    await first.open();
    await expect(create().open()).rejects.toMatchObject({ code: 'STORAGE_LOCKED', holderPid: process.pid });
    await first.persist({ entries: entriesFrom(1, 1, 1) });
    await first.close();
    expect((await create().open()).entries).toHaveLength(1);
  });

  it('refuses another node’s and another cluster’s directory', async () => {
    const first = create({ nodeId: 1, clusterName: 'red' });
    await first.open();
    await first.close();
    await expect(create({ nodeId: 2, clusterName: 'red' }).open()).rejects.toMatchObject({
      code: 'STORAGE_OF_ANOTHER_NODE',
      message: expect.stringContaining('belongs to node 1 of cluster "red", not to node 2 of cluster "red"'),
    });
    await expect(create({ nodeId: 1, clusterName: 'blue' }).open()).rejects.toMatchObject({
      code: 'STORAGE_OF_ANOTHER_NODE',
    });
    await expect(create({ nodeId: 1, clusterName: 'red' }).open()).resolves.toBeDefined();
  });

  it('rejects calls before the opening and after the end', async () => {
    const storage = create();
    await expect(storage.persist({ entries: [] })).rejects.toMatchObject({ code: 'STORAGE_CLOSED' });
    await storage.open();
    await storage.close();
    await expect(storage.readSnapshotChunk(undefined, 0, 0)).rejects.toMatchObject({ code: 'STORAGE_CLOSED' });
  });
});

describe('FileStorage and snapshots', () => {
  it('goes on with the older snapshot when the latest is damaged and the log reaches back', async () => {
    const fileSystem = new MemoryFileSystem();
    const first = memoryStorage(fileSystem);
    await first.open();
    await first.persist({ entries: entriesFrom(1, 20, 1) });
    await first.saveSnapshot(snapshotAt(5, 1));
    await first.saveSnapshot(snapshotAt(15, 1));
    await first.close();
    const path = `${memoryDirectory}/0000000000000015-0000000000000001.snapshot`;
    fileSystem.tamper(path, (content) => content.fill(0xff, content.length - 3));

    const second = memoryStorage(fileSystem);
    const state = await second.open();
    expect(state.snapshot?.metadata.index).toBe(5);
    expect(state.entries.map((entry) => entry.index)).toEqual(entriesFrom(6, 15, 1).map((entry) => entry.index));
    expect(fileSystem.paths()).toContain(`${path}.corrupt`);
  });

  it.each(['data', 'header', 'length'])(
    'refuses to start when its only copy of something is damaged (%s)',
    async (what) => {
      const fileSystem = new MemoryFileSystem();
      const first = memoryStorage(fileSystem);
      await first.open();
      await first.persist({ entries: entriesFrom(1, 3, 1) });
      await receiveAndInstall(first, snapshotAt(15, 1));
      await first.close();
      const path = `${memoryDirectory}/0000000000000015-0000000000000001.snapshot`;
      fileSystem.tamper(path, (content) => {
        if (what === 'length') return content.subarray(0, content.length - 1);
        const at = what === 'data' ? content.length - 1 : 40;
        content[at] = (content[at] ?? 0) ^ 1;
        return content;
      });
      await expect(memoryStorage(fileSystem).open()).rejects.toMatchObject({ code: 'LOG_CORRUPTED', file: path });
    },
  );

  it('drops entries that contradict a saved snapshot', async () => {
    const fileSystem = new MemoryFileSystem();
    const first = memoryStorage(fileSystem);
    await first.open();
    await first.persist({ entries: entriesFrom(1, 20, 1) });
    await first.saveSnapshot(snapshotAt(15, 3));
    await first.close();
    const state = await memoryStorage(fileSystem).open();
    expect(state.snapshot?.metadata.index).toBe(15);
    expect(state.entries).toEqual([]);
  });

  it('refuses to start with snapshots but no log', async () => {
    const fileSystem = new MemoryFileSystem();
    const first = memoryStorage(fileSystem);
    await first.open();
    await first.persist({ entries: entriesFrom(1, 3, 1) });
    await first.saveSnapshot(snapshotAt(2, 1));
    await first.close();
    for (const path of fileSystem.paths()) if (path.endsWith('.wal')) await fileSystem.remove(path);
    await expect(memoryStorage(fileSystem).open()).rejects.toMatchObject({ code: 'LOG_CORRUPTED' });
  });
});
