import { describe, expect, it, jest } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import type { Snapshot } from '../core/types.js';
import type { StoredState } from '../driver/ports.js';
import type { FileStorage } from './file-storage.js';
import { hasErrorCode } from './file-system.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import {
  describeState,
  emptyState,
  entriesFrom,
  memoryStorage,
  perform,
  piecesOf,
  receivedBytes,
  sendRest,
  snapshotAt,
  stateAfter,
  type StorageCall,
} from './testing/storage-model.js';

/** Calls from one crash to the next: `npm run test:nightly` crashes at every call. */
const STEP = process.env['CONCORDAT_NIGHTLY'] === '1' ? 1 : 3;

const installed = snapshotAt(30, 4, 1500);
const unfinished = snapshotAt(60, 5, 500);

function receive(snapshot: Snapshot, count = Number.POSITIVE_INFINITY): StorageCall[] {
  return piecesOf(snapshot)
    .slice(0, count)
    .map((piece) => ({ type: 'receive', piece }));
}

/**
 * Goes through everything: rolls, overwriting, own snapshots, compaction, a snapshot given up for another, one that
 * is installed, life behind it, and one that is not finished.
 */
const script: readonly StorageCall[] = [
  { type: 'persist', hardState: { term: 1, vote: 1, commitIndex: 0 }, entries: entriesFrom(1, 3, 1) },
  { type: 'persist', entries: entriesFrom(4, 6, 1, 150) },
  { type: 'persist', hardState: { term: 2, vote: 0, commitIndex: 5 }, entries: entriesFrom(7, 5, 2, 150) },
  { type: 'save', snapshot: snapshotAt(5, 1) },
  { type: 'persist', hardState: { term: 2, vote: 3, commitIndex: 9 }, entries: [] },
  { type: 'persist', entries: entriesFrom(12, 6, 2, 200) },
  { type: 'save', snapshot: snapshotAt(11, 2, 700) },
  { type: 'compact', index: 11 },
  { type: 'persist', entries: entriesFrom(18, 2, 2, 700) },
  { type: 'persist', hardState: { term: 4, vote: 2, commitIndex: 11 }, entries: [] },
  ...receive(snapshotAt(25, 3, 300), 3),
  ...receive(installed),
  { type: 'persist', entries: entriesFrom(20, 1, 2, 100) },
  { type: 'install', snapshot: installed },
  { type: 'read', wanted: undefined, offset: 40 },
  { type: 'persist', entries: entriesFrom(31, 5, 4, 250) },
  { type: 'persist', hardState: { term: 4, vote: 2, commitIndex: 35 }, entries: entriesFrom(36, 1, 4) },
  { type: 'save', snapshot: snapshotAt(35, 4) },
  { type: 'compact', index: 35 },
  { type: 'persist', entries: entriesFrom(37, 4, 4) },
  { type: 'persist', hardState: { term: 5, vote: 2, commitIndex: 35 }, entries: entriesFrom(41, 6, 4, 150) },
  ...receive(unfinished, 6),
  { type: 'persist', entries: entriesFrom(47, 3, 4, 150) },
];

interface Outcome {
  /** states that may be found afterwards: the last acknowledged, and that of the call that failed */
  readonly allowed: readonly StoredState[];
  readonly failure: unknown;
  /** how much of the unfinished snapshot may be there afterwards, in bytes */
  readonly receivedAtMost: number;
}

async function play(fileSystem: MemoryFileSystem): Promise<Outcome> {
  const storage = memoryStorage(fileSystem);
  let state = emptyState;
  let receivedAtMost = 0;
  const outcome = (allowed: readonly StoredState[], failure: unknown): Outcome => ({
    allowed,
    failure,
    receivedAtMost,
  });
  try {
    await storage.open();
    for (const call of script) {
      if (call.type === 'receive' && call.piece.metadata.index === unfinished.metadata.index)
        receivedAtMost = call.piece.offset + call.piece.data.length;
      const next = stateAfter(state, call);
      try {
        state = (await performPersistently(storage, call)) ? next : state;
      } catch (failure) {
        const further = await Promise.allSettled(script.map((later) => perform(storage, later)));
        if (!further.every((result) => result.status === 'rejected' && hasErrorCode(result.reason, 'STORAGE_FAILED')))
          throw new Error('a storage that failed did something more', { cause: failure });
        return outcome([state, next], failure);
      }
    }
  } catch (failure) {
    return outcome([state], failure);
  } finally {
    await storage.close();
  }
  return outcome([state], undefined);
}

/** Does a call; what a lack of room declined is done again, as far as the caller of the port would. */
async function performPersistently(storage: FileStorage, call: StorageCall): Promise<boolean> {
  if (call.type === 'install') await sendRest(storage, call.snapshot);
  if ((await perform(storage, call)) !== false) return true;
  return (await perform(storage, call)) !== false;
}

async function countCalls(): Promise<number> {
  const fileSystem = new MemoryFileSystem();
  expect((await play(fileSystem)).failure).toBeUndefined();
  return fileSystem.calls;
}

async function expectOneOf(fileSystem: MemoryFileSystem, outcome: Outcome, context: string): Promise<StoredState> {
  const storage = memoryStorage(fileSystem);
  const found = await storage.open();
  await storage.close();
  const allowed = outcome.allowed.map(describeState);
  if (!allowed.includes(describeState(found)))
    throw new Error(`${context}: found ${describeState(found)}\nallowed:\n${allowed.join('\n')}`);
  return found;
}

/** What is there of the unfinished snapshot is a beginning of it: with the rest it can be installed. */
async function expectTransferToGoOn(fileSystem: MemoryFileSystem, outcome: Outcome, context: string): Promise<void> {
  const storage = memoryStorage(fileSystem);
  await storage.open();
  const present = await receivedBytes(storage, unfinished);
  if (present > outcome.receivedAtMost) throw new Error(`${context}: ${present} bytes of the snapshot are there`);
  await sendRest(storage, unfinished);
  const { data } = await storage.installReceivedSnapshot(unfinished.metadata);
  if (!Buffer.from(data).equals(Buffer.from(unfinished.data))) throw new Error(`${context}: a wrong snapshot`);
  await storage.close();
}

jest.setTimeout(60_000); // busy machines take long for so many cases

describe('FileStorage under faults', () => {
  it('finds the last acknowledged state, or that of the call under way, after a crash at any call', async () => {
    const calls = await countCalls();
    expect(calls).toBeGreaterThan(200);
    for (let at = 1; at <= calls; at += STEP) {
      for (let seed = 1; seed <= 3; seed++) {
        const random = new SeededRandom(1000 * at + seed);
        const fileSystem = new MemoryFileSystem();
        fileSystem.fault = (_operation, _path, call) => (call === at ? 'crash' : undefined);
        const outcome = await play(fileSystem);
        const context = `crash at call ${at}, seed ${seed}`;
        const restarted = fileSystem.restart(random);
        await expectOneOf(restarted, outcome, context);
        await expectTransferToGoOn(restarted, outcome, context);
      }
    }
  });

  it('keeps what it recovered through a second crash, at any call of the recovery', async () => {
    const calls = await countCalls();
    for (let at = 1; at <= calls; at += 9 * STEP) {
      for (let recoveryCall = 1; recoveryCall <= 26; recoveryCall++) {
        const random = new SeededRandom(1000 * at + recoveryCall);
        const context = `crash at call ${at}, then at call ${recoveryCall} of the recovery`;
        const fileSystem = new MemoryFileSystem();
        fileSystem.fault = (_operation, _path, call) => (call === at ? 'crash' : undefined);
        const outcome = await play(fileSystem);
        const second = fileSystem.restart(random);
        second.fault = (_operation, _path, call) => (call === recoveryCall ? 'crash' : undefined);
        const storage = memoryStorage(second);
        const found = await storage.open().catch(() => undefined);
        await storage.close();
        const expected = found ? { ...outcome, allowed: [found] } : outcome;
        await expectOneOf(second.restart(random), expected, context);
      }
    }
  });

  it.each(['error', 'no-space'] as const)('finds a right state after a failure of any call (%s)', async (fault) => {
    const calls = await countCalls();
    let unharmed = 0;
    for (let at = 1; at <= calls; at++) {
      const fileSystem = new MemoryFileSystem();
      fileSystem.fault = (_operation, _path, call) => (call === at ? fault : undefined);
      const outcome = await play(fileSystem);
      fileSystem.fault = () => undefined;
      const context = `${fault} at call ${at}`;
      if (outcome.failure === undefined) unharmed++;
      const found = await expectOneOf(fileSystem, outcome, context);
      // What a start has shown is durable, although the sync of its first write may have failed.
      const afterCrash = fileSystem.restart(new SeededRandom(at));
      await expectOneOf(afterCrash, { ...outcome, allowed: [found] }, `${context}, crash after the restart`);
      await expectTransferToGoOn(afterCrash, outcome, context);
    }
    // A failed removal of the lock at the end harms nothing; with a full disk much more goes on as if nothing had been.
    if (fault === 'error') expect(unharmed).toBe(1);
    else expect(unharmed).toBeGreaterThan(50);
  });

  it('tells the cause of a failure', async () => {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem);
    await storage.open();
    fileSystem.fault = (operation) => (operation === 'sync' ? 'error' : undefined);
    await expect(storage.persist({ entries: entriesFrom(1, 1, 1) })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      cause: expect.objectContaining({ code: 'EIO' }),
    });
    fileSystem.fault = () => undefined;
    await expect(storage.persist({ entries: entriesFrom(1, 1, 1) })).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await storage.close();
  });
});
