import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import type { StoredState } from '../driver/ports.js';
import { MemoryFileSystem } from './memory-file-system.js';
import {
  describeState,
  emptyState,
  entriesFrom,
  memoryStorage,
  perform,
  snapshotAt,
  stateAfter,
  type StorageCall,
} from './testing/storage-model.js';

/** Goes through everything: rolls, overwriting, own snapshots, compaction, an installed snapshot, life behind it. */
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
  { type: 'reset', snapshot: snapshotAt(15, 4, 900) },
  { type: 'persist', entries: entriesFrom(16, 5, 4, 250) },
  { type: 'persist', hardState: { term: 4, vote: 2, commitIndex: 20 }, entries: entriesFrom(21, 1, 4) },
  { type: 'save', snapshot: snapshotAt(20, 4) },
  { type: 'compact', index: 20 },
  { type: 'persist', entries: entriesFrom(22, 4, 4) },
];

interface Outcome {
  /** states that may be found afterwards: the last acknowledged, and that of the call that failed */
  readonly allowed: readonly StoredState[];
  readonly failure: unknown;
}

async function play(fileSystem: MemoryFileSystem): Promise<Outcome> {
  const storage = memoryStorage(fileSystem);
  let state = emptyState;
  try {
    await storage.open();
    for (const call of script) {
      const next = stateAfter(state, call);
      try {
        await perform(storage, call);
      } catch (failure) {
        for (const further of script)
          await expect(perform(storage, further)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
        return { allowed: [state, next], failure };
      }
      state = next;
    }
  } catch (failure) {
    return { allowed: [state], failure };
  } finally {
    await storage.close();
  }
  return { allowed: [state], failure: undefined };
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

describe('FileStorage under faults', () => {
  it('finds the last acknowledged state, or that of the call under way, after a crash at any call', async () => {
    const calls = await countCalls();
    expect(calls).toBeGreaterThan(80);
    for (let at = 1; at <= calls; at++) {
      for (let seed = 1; seed <= 12; seed++) {
        const random = new SeededRandom(1000 * at + seed);
        const fileSystem = new MemoryFileSystem();
        fileSystem.fault = (_operation, _path, call) => (call === at ? 'crash' : undefined);
        const outcome = await play(fileSystem);
        await expectOneOf(fileSystem.restart(random), outcome, `crash at call ${at}, seed ${seed}`);
      }
    }
  });

  it('keeps what it recovered through a second crash, at any call of the recovery', async () => {
    const calls = await countCalls();
    for (let at = 1; at <= calls; at += 3) {
      for (let recoveryCall = 1; recoveryCall <= 24; recoveryCall++) {
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

  it('does nothing more after a failed call, and finds a right state at the next start', async () => {
    const calls = await countCalls();
    for (let at = 1; at <= calls; at++) {
      const fileSystem = new MemoryFileSystem();
      fileSystem.fault = (_operation, _path, call) => (call === at ? 'error' : undefined);
      const outcome = await play(fileSystem);
      fileSystem.fault = () => undefined;
      const found = await expectOneOf(fileSystem, outcome, `error at call ${at}`);
      // What a start has shown is durable, although the sync of its first write may have failed.
      const afterCrash = fileSystem.restart(new SeededRandom(at));
      await expectOneOf(afterCrash, { ...outcome, allowed: [found] }, `error at call ${at}, crash after the restart`);
    }
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
