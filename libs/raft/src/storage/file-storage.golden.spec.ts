import { crc32 } from 'node:zlib';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import {
  goldenIncarnation,
  goldenIncoming,
  goldenName,
  goldenOwner,
  goldenReceivedBytes,
  goldenState,
  writeGoldenFiles,
} from './testing/golden-files.js';
import { describeState, memoryDirectory, memoryStorage, receivedBytes, sendRest } from './testing/storage-model.js';

const goldenDirectory = join(import.meta.dirname, 'testing', 'golden');
/** Grows with every change of the format; none ever goes. */
const versions = ['v3'];

async function filesIn(directory: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(directory)).sort();
  const contents = await Promise.all(names.map((name) => readFile(join(directory, name))));
  return new Map(contents.map((content, position) => [`${memoryDirectory}/${names[position]}`, content]));
}

describe('the files of a released format', () => {
  it('are all there, those of this version among them', async () => {
    const directories = (await readdir(goldenDirectory)).filter((name) => !name.endsWith('.json'));
    expect(directories.sort()).toEqual(versions);
    expect(versions).toContain(goldenName);
  });

  it.each(versions)('are read to exactly the state that was written (%s)', async (version) => {
    const files = await filesIn(join(goldenDirectory, version));
    const names = [...files.keys()];
    expect(names.filter((name) => name.endsWith('.wal')).length).toBeGreaterThanOrEqual(3);
    expect(names.filter((name) => name.endsWith('.snapshot'))).toHaveLength(1);
    expect(names).toContain(`${memoryDirectory}/received.partial`);
    const fileSystem = MemoryFileSystem.of(files);
    const storage = memoryStorage(fileSystem, goldenOwner);
    const state = await storage.open();
    const expected: unknown = JSON.parse(await readFile(join(goldenDirectory, `${version}.json`), 'utf8'));
    expect(JSON.parse(describeState(state))).toEqual(expected);
    expect(state.incarnation).toBe(goldenIncarnation);
    expect([...new Set(state.entries.map(({ kind }) => kind))].sort()).toEqual(['configuration', 'no-op', 'normal']);
    expect(state.snapshot?.metadata.configuration.outgoing).not.toEqual([]);

    expect(await receivedBytes(storage, goldenIncoming)).toBe(goldenReceivedBytes);
    await sendRest(storage, goldenIncoming);
    const { data } = await storage.installReceivedSnapshot(goldenIncoming.metadata);
    expect(Buffer.from(data).equals(Buffer.from(goldenIncoming.data))).toBe(true);
    await storage.close();
  });

  it('refuse another owner', async () => {
    const files = await filesIn(join(goldenDirectory, goldenName));
    await expect(
      memoryStorage(MemoryFileSystem.of(files), { ...goldenOwner, clusterName: 'other' }).open(),
    ).rejects.toMatchObject({ code: 'STORAGE_OF_ANOTHER_NODE' });
  });

  it('refuse a file of another directory of the same node', async () => {
    const files = await filesIn(join(goldenDirectory, goldenName));
    const path = [...files.keys()].find((name) => name.endsWith('.snapshot'));
    const fileSystem = MemoryFileSystem.of(files);
    fileSystem.tamper(path ?? '', (content) => withIncarnation(content, 7));
    await expect(memoryStorage(fileSystem, goldenOwner).open()).rejects.toMatchObject({
      code: 'STORAGE_OF_ANOTHER_NODE',
      message: expect.stringContaining('incarnation 000000000007, not to node 2'),
    });
  });
});

describe('what this version writes', () => {
  let parent: string;
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'concordat-golden-'));
  });
  afterEach(() => rm(parent, { recursive: true }));

  it('is byte for byte what is kept for its format', async () => {
    await writeGoldenFiles(parent);
    expect(await filesIn(join(parent, goldenName))).toEqual(await filesIn(join(goldenDirectory, goldenName)));
    const kept: unknown = JSON.parse(await readFile(join(goldenDirectory, `${goldenName}.json`), 'utf8'));
    expect(JSON.parse(describeState(goldenState()))).toEqual(kept);
  });

  it('is never written over files that are there', async () => {
    await writeGoldenFiles(parent);
    const before = await filesIn(join(parent, goldenName));
    await expect(writeGoldenFiles(parent)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await filesIn(join(parent, goldenName))).toEqual(before);
  });

  it('says in its headers of which format it is, and refuses one it does not know', async () => {
    for (const extension of ['.wal', '.snapshot']) {
      const files = await filesIn(join(goldenDirectory, goldenName));
      const path = [...files.keys()].find((name) => name.endsWith(extension));
      const fileSystem = MemoryFileSystem.of(files);
      fileSystem.tamper(path ?? '', (content) => withVersion(content, 1));
      await expect(memoryStorage(fileSystem, goldenOwner).open()).rejects.toMatchObject({
        code: 'STORAGE_FORMAT_UNKNOWN',
        message: expect.stringContaining(`${path} has format version 1, which this version cannot read`),
      });
    }
  });
});

/** The same header with another format version, its checksum right. */
function withVersion(content: Buffer, version: number): Buffer {
  const isSegment = content.toString('latin1', 0, 8) === 'CNCDTWAL';
  content.writeUInt32LE(version, 12);
  return withChecksum(content, isSegment);
}

/** The same snapshot as another directory of the node would have it. */
function withIncarnation(content: Buffer, incarnation: number): Buffer {
  content.writeBigUInt64LE(BigInt(incarnation), 56 + 8);
  return withChecksum(content, false);
}

function withChecksum(content: Buffer, isSegment: boolean): Buffer {
  content.writeUInt32LE(crc32(content.subarray(12, isSegment ? 512 : content.readUInt32LE(16))), 8);
  return content;
}
