import { describe, expect, it, jest } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import type { Entry } from '../core/types.js';
import { LogCorruptedError } from './errors.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import { entriesFrom, memoryDirectory, memoryStorage } from './testing/storage-model.js';

interface Written {
  readonly fileSystem: MemoryFileSystem;
  /** per batch: the segment it went to, its first byte there and the one behind it */
  readonly frames: readonly { readonly path: string; readonly start: number; readonly end: number }[];
  readonly entries: readonly Entry[];
}

/** Writes entries 1..count, one per batch, and notes where each frame went. */
async function write(count: number, segmentSizeBytes = 2048, dataBytes = 40): Promise<Written> {
  const fileSystem = new MemoryFileSystem();
  const storage = memoryStorage(fileSystem, { segmentSizeBytes });
  await storage.open();
  const frames: { path: string; start: number; end: number }[] = [];
  const entries = entriesFrom(1, count, 1, dataBytes);
  for (const entry of entries) {
    await storage.persist({ entries: [entry] });
    const path = lastSegment(fileSystem);
    const content = await fileSystem.readFile(path);
    const previous = frames.at(-1);
    let end = content.length;
    while (content[end - 1] === 0) end--;
    const start = previous?.path === path ? previous.end : 0;
    frames.push({ path, start, end });
  }
  await storage.close();
  return { fileSystem, frames, entries };
}

function lastSegment(fileSystem: MemoryFileSystem): string {
  const path = fileSystem
    .paths()
    .filter((name) => name.endsWith('.wal'))
    .sort()
    .at(-1);
  if (path === undefined) throw new Error('there is no segment');
  return path;
}

async function reopen(fileSystem: MemoryFileSystem): Promise<readonly Entry[] | LogCorruptedError> {
  const storage = memoryStorage(fileSystem);
  try {
    return (await storage.open()).entries;
  } catch (error) {
    if (error instanceof LogCorruptedError) return error;
    throw error;
  } finally {
    await storage.close();
  }
}

const indexes = (entries: readonly Entry[]): number[] => entries.map((entry) => entry.index);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, position) => position + 1);
const sameData = (found: readonly Entry[], expected: readonly Entry[]): boolean =>
  found.every((entry, at) => Buffer.compare(entry.data, expected[at]?.data ?? Buffer.alloc(0)) === 0);

/** The last sectors that a frame lies in: where its part of each begins. */
function sectorStarts({ start, end }: { readonly start: number; readonly end: number }): number[] {
  const starts = [start];
  for (let at = (Math.floor(start / 512) + 1) * 512; at < end; at += 512) starts.push(at);
  return starts;
}

jest.setTimeout(60_000); // busy machines take long for so many cases

describe('a log that ends at any byte of its last three records', () => {
  it('is cut where sectors are missing, and refused where a disk cannot have left it so', async () => {
    const { fileSystem, frames, entries } = await write(12, 16_384, 700);
    const lastThree = frames.slice(-3);
    const path = lastThree[0]?.path ?? '';
    expect(lastThree.every((frame) => frame.path === path)).toBe(true);
    const original = await fileSystem.readFile(path);
    const end = lastThree[2]?.end ?? 0;
    const outcomes = { cut: 0, refused: 0 };
    for (let at = lastThree[0]?.start ?? 0; at < end; at++) {
      fileSystem.tamper(path, () => Buffer.from(original).fill(0, at, end));
      const broken = frames.findIndex((frame) => frame.start <= at && at < frame.end && frame.path === path);
      const frame = frames[broken] ?? { start: 0, end: 0 };
      const found = await reopen(fileSystem);
      if (found instanceof LogCorruptedError) {
        outcomes.refused++;
        expect(found).toMatchObject({ file: path, offset: frame.start });
        expect(sectorStarts(frame)).not.toContain(at);
      } else {
        outcomes.cut++;
        expect(at).toBeLessThanOrEqual(sectorStarts(frame).at(-1) ?? 0);
        expect(indexes(found)).toEqual(upTo(broken));
        expect(sameData(found, entries)).toBe(true);
      }
    }
    expect(outcomes.cut).toBeGreaterThan(500);
    expect(outcomes.refused).toBeGreaterThan(500);
  });

  it.each(['cut', 'rubbish'])('is refused when the file was damaged from there on (%s)', async (how) => {
    const { fileSystem, frames } = await write(12, 4096);
    const lastThree = frames.slice(-3);
    const path = lastThree[0]?.path ?? '';
    const original = await fileSystem.readFile(path);
    const end = lastThree[2]?.end ?? 0;
    for (let at = lastThree[0]?.start ?? 0; at < end; at++) {
      fileSystem.tamper(path, () =>
        how === 'cut' ? original.subarray(0, at) : Buffer.from(original).fill(0xa5, at, end),
      );
      const broken = frames.find((frame) => frame.path === path && frame.start <= at && at < frame.end);
      expect(await reopen(fileSystem)).toMatchObject({ file: path, offset: how === 'cut' ? at : broken?.start });
    }
  });
});

describe('a torn tail', () => {
  it('is cut whichever sectors of the last record are missing', async () => {
    const { fileSystem, frames } = await write(8, 16_384, 1200);
    const last = frames.at(-1) ?? { path: '', start: 0, end: 0 };
    const original = await fileSystem.readFile(last.path);
    const starts = sectorStarts(last);
    expect(starts.length).toBeGreaterThanOrEqual(3);
    for (let missing = 1; missing < 2 ** starts.length; missing++) {
      fileSystem.tamper(last.path, () => {
        const content = Buffer.from(original);
        starts.forEach((start, position) => {
          if ((missing >> position) % 2 === 1) content.fill(0, start, starts[position + 1] ?? last.end);
        });
        return content;
      });
      expect(indexesOf(await reopen(fileSystem))).toEqual(upTo(7));
    }
  });

  it('is gone for good: the log goes on in its place', async () => {
    const warnings: string[] = [];
    const { fileSystem, frames } = await write(5, 8192, 700);
    const last = frames.at(-1) ?? { path: '', start: 0, end: 0 };
    fileSystem.tamper(last.path, (content) => content.fill(0, sectorStarts(last).at(-1), last.end));
    const logger = { debug: () => undefined, info: () => undefined, error: () => undefined };
    const second = memoryStorage(fileSystem, { logger: { ...logger, warn: (text) => void warnings.push(text) } });
    expect(indexes((await second.open()).entries)).toEqual([1, 2, 3, 4]);
    expect(warnings).toEqual([expect.stringContaining(`cut an unfinished write at byte ${last.start}`)]);
    await second.persist({ entries: entriesFrom(5, 1, 9, 5) });
    await second.persist({ entries: entriesFrom(6, 1, 9, 5) });
    await second.close();
    const found = await reopen(fileSystem);
    if (found instanceof Error) throw found;
    expect(found.map(({ index, term }) => [index, term])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
      [5, 9],
      [6, 9],
    ]);
  });

  it('is not confused by an entry whose data look like a log', async () => {
    const { fileSystem, frames } = await write(5, 4096);
    const path = frames[0]?.path ?? '';
    const log = (await fileSystem.readFile(path)).subarray(0, frames.at(-1)?.end);
    const other = new MemoryFileSystem();
    const storage = memoryStorage(other, { segmentSizeBytes: 8192, random: new SeededRandom(99) });
    await storage.open();
    await storage.persist({ entries: [{ index: 1, term: 1, kind: 'normal', data: log }] });
    await storage.close();
    other.tamper(lastSegment(other), (content) => content.fill(0, 1024, 1536));
    expect(await reopen(other)).toEqual([]);
  });
});

function indexesOf(found: readonly Entry[] | LogCorruptedError): number[] {
  if (found instanceof LogCorruptedError) throw found;
  return indexes(found);
}

describe('a damaged last record', () => {
  async function writeLast(data: Buffer): Promise<{ fileSystem: MemoryFileSystem; path: string; start: number }> {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem, { segmentSizeBytes: 16_384 });
    await storage.open();
    await storage.persist({ entries: entriesFrom(1, 1, 1) });
    await storage.persist({ entries: [{ index: 2, term: 1, kind: 'normal', data }] });
    await storage.close();
    const path = lastSegment(fileSystem);
    const content = await fileSystem.readFile(path);
    return { fileSystem, path, start: content.lastIndexOf(Buffer.from([0xc9, 0x0c, 0xda, 0x7f])) };
  }

  it('is not taken for a torn one, although its data are mostly zeros', async () => {
    const data = Buffer.alloc(5000);
    data.write('not only zeros', 4990);
    const { fileSystem, path, start } = await writeLast(data);
    const original = await fileSystem.readFile(path);
    for (let bit = 8 * start; bit < 8 * (start + 28 + 22 + data.length); bit += 7) {
      fileSystem.tamper(path, () => flipped(original, bit));
      expect(await reopen(fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED', file: path, offset: start });
    }
  });

  it('is cut, as the one exception, when all that it had in a sector has turned into zeros', async () => {
    const data = Buffer.alloc(2000);
    data[1200] = 0x10; // the only bit that is set in its sector
    const { fileSystem, path, start } = await writeLast(data);
    const at = start + 28 + 22 + 1200;
    fileSystem.tamper(path, (content) => flipped(content, 8 * at + 4));
    expect(indexesOf(await reopen(fileSystem))).toEqual([1]);
  });
});

function flipped(content: Buffer, bit: number): Buffer {
  const result = Buffer.from(content);
  const at = Math.floor(bit / 8);
  result[at] = (result[at] ?? 0) ^ (1 << (bit % 8));
  return result;
}

describe('a rotten middle', () => {
  it('refuses to start and names file and offset', async () => {
    const { fileSystem, frames } = await write(12, 4096);
    const third = frames[2];
    fileSystem.tamper(third?.path ?? '', (content) =>
      content.fill(0, (third?.start ?? 0) + 50, (third?.start ?? 0) + 53),
    );
    const found = await reopen(fileSystem);
    expect(found).toMatchObject({ code: 'LOG_CORRUPTED', file: third?.path, offset: third?.start });
  });

  it('refuses damage at the end of a segment that is not the last', async () => {
    const { fileSystem, frames } = await write(60);
    const first = frames.findLast((frame) => frame.path === frames[0]?.path);
    fileSystem.tamper(first?.path ?? '', (content) => content.fill(0xff, (first?.end ?? 0) - 2, first?.end));
    expect(await reopen(fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED', file: first?.path, offset: first?.start });
    fileSystem.tamper(first?.path ?? '', (content) => content.fill(0, first?.start));
    expect(await reopen(fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED' });
  });

  it('refuses a missing segment', async () => {
    const { fileSystem, frames } = await write(60);
    const paths = [...new Set(frames.map((frame) => frame.path))];
    expect(paths.length).toBeGreaterThan(2);
    await fileSystem.remove(paths[1] ?? '');
    expect(await reopen(fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED', file: paths[2] });
    const second = await write(60);
    await second.fileSystem.remove(paths[0] ?? '');
    expect(await reopen(second.fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED', file: memoryDirectory });
  });

  it('refuses frames that were swapped', async () => {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem);
    await storage.open();
    const entry = (index: number): Entry => ({ index, term: 1, kind: 'normal', data: Buffer.from(`entry ${index}`) });
    for (let index = 1; index <= 6; index++) await storage.persist({ entries: [entry(index)] });
    await storage.close();
    const length = 28 + 22 + 7;
    fileSystem.tamper(lastSegment(fileSystem), (content) => {
      const at = content.indexOf('entry 3') - 28 - 22;
      const third = Buffer.from(content.subarray(at, at + length));
      content.copyWithin(at, at + length, at + 2 * length);
      third.copy(content, at + length);
      return content;
    });
    expect(await reopen(fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED' });
  });

  it('refuses a frame that was lost from the middle', async () => {
    const { fileSystem, frames } = await write(8, 4096);
    const fourth = frames[3] ?? { path: '', start: 0, end: 0 };
    fileSystem.tamper(fourth.path, (content) => {
      content.copyWithin(fourth.start, fourth.end);
      return content;
    });
    expect(await reopen(fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED', offset: fourth.start });
  });
});
