import { describe, expect, it, jest } from '@jest/globals';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import type { StoredState } from '../driver/ports.js';
import { LogCorruptedError } from './errors.js';
import type { FileStorage } from './file-storage.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import {
  describeState,
  entriesFrom,
  memoryDirectory,
  memoryStorage,
  piecesOf,
  receivedBytes,
  sendRest,
  snapshotAt,
} from './testing/storage-model.js';

const flips = process.env['CONCORDAT_NIGHTLY'] === '1' ? 5_000 : 1_500;
const seed = 20260101;
const older = snapshotAt(30, 1, 600);
const latest = snapshotAt(40, 2, 900);
const coming = snapshotAt(90, 3, 1500);

/** A directory as a killed process leaves it: segments, two snapshots, half of a third, its lock, a spare. */
async function killedProcess(): Promise<Map<string, Buffer>> {
  const fileSystem = new MemoryFileSystem();
  const storage = memoryStorage(fileSystem);
  await storage.open();
  for (let index = 1; index <= 66; index += 2) {
    const term = index < 35 ? 1 : 2;
    await storage.persist({ hardState: { term, vote: 3, commitIndex: index }, entries: entriesFrom(index, 2, term) });
    if (index === 31) await storage.saveSnapshot(older);
    if (index === 41) await storage.saveSnapshot(latest);
  }
  await storage.compact(20);
  for (const piece of piecesOf(coming).slice(0, 13)) await storage.receiveSnapshotChunk(piece);
  const files = fileSystem.files();
  await storage.close();
  return files;
}

/** The states that are right: with the latest snapshot, or with the one before and the entries up to it. */
async function rightStates(files: Map<string, Buffer>): Promise<string[]> {
  const open = async (fileSystem: MemoryFileSystem): Promise<StoredState> => {
    const storage = memoryStorage(fileSystem);
    const state = await storage.open();
    await storage.close();
    return state;
  };
  const whole = await open(MemoryFileSystem.of(files));
  expect([whole.snapshot?.metadata.index, whole.entries[0]?.index, whole.entries.at(-1)?.index]).toEqual([40, 41, 66]);
  const withoutLatest = MemoryFileSystem.of(files);
  await withoutLatest.remove(`${memoryDirectory}/0000000000000040-0000000000000002.snapshot`);
  const fallback = await open(withoutLatest);
  expect([fallback.snapshot?.metadata.index, fallback.entries[0]?.index]).toEqual([30, 31]);
  return [describeState(whole), describeState(fallback)];
}

function withFlippedBit(files: Map<string, Buffer>, path: string, bit: number): MemoryFileSystem {
  const content = Buffer.from(files.get(path) ?? Buffer.alloc(0));
  const at = Math.floor(bit / 8);
  content[at] = (content[at] ?? 0) ^ (1 << (bit % 8));
  return MemoryFileSystem.of(new Map([...files, [path, content]]));
}

async function openOrDamage(storage: FileStorage): Promise<StoredState | LogCorruptedError> {
  try {
    return await storage.open();
  } catch (error) {
    if (error instanceof LogCorruptedError) return error;
    throw error;
  }
}

jest.setTimeout(60_000); // busy machines take long for so many cases

describe(`${flips} single bit flips anywhere in a directory`, () => {
  it('never show a wrong entry and never lose an acknowledged one', async () => {
    const random = new SeededRandom(seed);
    const files = await killedProcess();
    const right = await rightStates(files);
    const paths = [...files.keys()];
    expect(paths.filter((path) => path.endsWith('.wal')).length).toBeGreaterThanOrEqual(4);
    for (const name of ['lock', 'received.partial', 'spare.tmp']) expect(paths).toContain(`${memoryDirectory}/${name}`);
    const refused = new Map<string, number>();
    for (let flip = 0; flip < flips; flip++) {
      const path = paths[randomInteger(random, 0, paths.length - 1)] ?? '';
      const bit = randomInteger(random, 0, 8 * (files.get(path)?.length ?? 0) - 1);
      const context = `seed ${seed}, flip ${flip}: bit ${bit} of ${path}`;
      const storage = memoryStorage(withFlippedBit(files, path, bit));
      const found = await openOrDamage(storage);
      if (found instanceof LogCorruptedError) {
        expect({ context, file: found.file }).toEqual({ context, file: path });
        refused.set(path, (refused.get(path) ?? 0) + 1);
      } else {
        expect({ context, found: right.includes(describeState(found)) }).toEqual({ context, found: true });
        if (path.endsWith('received.partial')) await expectSoundTransfer(storage, context);
      }
      await storage.close();
    }
    for (const path of paths) if (path.endsWith('.wal')) expect(refused.get(path)).toBeGreaterThan(flips / 100);
    for (const path of paths) if (!path.endsWith('.wal')) expect(refused.has(path)).toBe(false);
  });
});

/** What is left of the half that was there is a beginning of the right data. */
async function expectSoundTransfer(storage: FileStorage, context: string): Promise<void> {
  const present = await receivedBytes(storage, coming);
  expect({ context, sound: present === 0 || present === 12 * 64 }).toEqual({ context, sound: true });
  await sendRest(storage, coming, 512);
  const { data } = await storage.installReceivedSnapshot(coming.metadata);
  expect({ context, same: Buffer.from(data).equals(Buffer.from(coming.data)) }).toEqual({ context, same: true });
}
