import { describe, expect, it } from '@jest/globals';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import type { Entry } from '../core/types.js';
import { LogCorruptedError } from './errors.js';
import { MemoryFileSystem } from './memory-file-system.js';
import { entriesFrom, memoryDirectory, memoryStorage } from './testing/storage-model.js';

interface Written {
  readonly fileSystem: MemoryFileSystem;
  /** per batch: the segment it went to, its first byte there and the one behind it */
  readonly frames: readonly { readonly path: string; readonly start: number; readonly end: number }[];
  readonly entries: readonly Entry[];
}

/** Writes entries 1..count, one per batch, and notes where each frame went. */
async function write(count: number, segmentSizeBytes = 2048): Promise<Written> {
  const fileSystem = new MemoryFileSystem();
  const storage = memoryStorage(fileSystem, { segmentSizeBytes });
  await storage.open();
  const frames: { path: string; start: number; end: number }[] = [];
  const entries = entriesFrom(1, count, 1);
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

describe('a torn tail', () => {
  it.each(['cut', 'zeros', 'rubbish'])('is cut at every byte of the last three records (%s)', async (how) => {
    const { fileSystem, frames, entries } = await write(12, 4096);
    const lastThree = frames.slice(-3);
    const path = lastThree[0]?.path ?? '';
    expect(lastThree.every((frame) => frame.path === path)).toBe(true);
    const original = await fileSystem.readFile(path);
    const end = lastThree[2]?.end ?? 0;
    for (let at = lastThree[0]?.start ?? 0; at < end; at++) {
      fileSystem.tamper(path, () => {
        if (how === 'cut') return original.subarray(0, at);
        return Buffer.from(original).fill(how === 'zeros' ? 0 : 0xa5, at, end);
      });
      const whole = frames.filter((frame) => frame.end <= at).length;
      const found = await reopen(fileSystem);
      if (found instanceof Error) throw found;
      expect(indexes(found)).toEqual(upTo(whole));
      expect(sameData(found, entries)).toBe(true);
    }
  });

  it('is gone for good: the log goes on in its place', async () => {
    const warnings: string[] = [];
    const { fileSystem, frames } = await write(5, 4096);
    const last = frames.at(-1);
    fileSystem.tamper(last?.path ?? '', (content) => content.fill(0, (last?.start ?? 0) + 3, (last?.start ?? 0) + 20));
    const logger = { debug: () => undefined, info: () => undefined, error: () => undefined };
    const second = memoryStorage(fileSystem, { logger: { ...logger, warn: (text) => void warnings.push(text) } });
    expect(indexes((await second.open()).entries)).toEqual([1, 2, 3, 4]);
    expect(warnings).toEqual([expect.stringContaining('cut an unfinished write at byte')]);
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
    other.tamper(lastSegment(other), (content) => content.fill(0, 560, 570));
    expect(await reopen(other)).toEqual([]);
  });
});

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
    const path = lastSegment(fileSystem);
    const length = 24 + 22 + 7;
    fileSystem.tamper(path, (content) => {
      const at = content.indexOf('entry 3') - 24 - 22;
      const third = Buffer.from(content.subarray(at, at + length));
      content.copyWithin(at, at + length, at + 2 * length);
      third.copy(content, at + length);
      return content;
    });
    expect(await reopen(fileSystem)).toMatchObject({ code: 'LOG_CORRUPTED' });
  });

  it('never shows a wrong entry, whichever bit flips', async () => {
    const random = new SeededRandom(20260101);
    const { fileSystem, frames, entries } = await write(60);
    const paths = [...new Set(frames.map((frame) => frame.path))];
    const originals = new Map<string, Buffer>();
    for (const path of paths) originals.set(path, await fileSystem.readFile(path));
    const lastPath = paths.at(-1);
    const last = frames.at(-1);
    let refused = 0;
    for (let flip = 0; flip < 600; flip++) {
      const path = paths[randomInteger(random, 0, paths.length - 1)] ?? '';
      const bit = randomInteger(random, 0, 8 * (originals.get(path)?.length ?? 0) - 1);
      const at = Math.floor(bit / 8);
      fileSystem.tamper(path, (content) => {
        content[at] = (content[at] ?? 0) ^ (1 << (bit % 8));
        return content;
      });
      const found = await reopen(fileSystem);
      const inLastFrame = path === lastPath && at >= (last?.start ?? 0) && at < (last?.end ?? 0);
      const behindAll = path === lastPath && at >= (last?.end ?? 0);
      if (found instanceof LogCorruptedError) {
        refused++;
        expect(found.file).toBe(path);
        expect(behindAll).toBe(false);
      } else {
        expect(inLastFrame || behindAll).toBe(true);
        expect(indexes(found)).toEqual(upTo(inLastFrame ? 59 : 60));
        expect(sameData(found, entries)).toBe(true);
      }
      for (const [original, content] of originals) fileSystem.tamper(original, () => Buffer.from(content));
    }
    expect(refused).toBeGreaterThan(300);
  });
});
