import { SeededRandom } from '@concordat/foundation';
import type { Entry, HardState, Snapshot } from '../../core/types.js';
import type { StoredState } from '../../driver/ports.js';
import { FileStorage, type FileStorageOptions } from '../file-storage.js';
import type { MemoryFileSystem } from '../memory-file-system.js';

/** A directory name for tests on the file system in memory. */
export const memoryDirectory = '/data';

/** A storage in memory with small segments, in a process of its own. */
export function memoryStorage(fileSystem: MemoryFileSystem, options: Partial<FileStorageOptions> = {}): FileStorage {
  return new FileStorage({
    directory: memoryDirectory,
    nodeId: 1,
    clusterName: 'test',
    segmentSizeBytes: 2048,
    fileSystem,
    processTable: { ownPid: 1, identify: (pid) => `process ${pid}` },
    random: new SeededRandom(7),
    ...options,
  });
}

/** Entries with recognisable data of varying length. */
export function entriesFrom(index: number, count: number, term: number, dataBytes = 40): Entry[] {
  return Array.from({ length: count }, (_, position) => ({
    index: index + position,
    term,
    kind: (index + position) % 5 === 0 ? ('no-op' as const) : ('normal' as const),
    data: Buffer.from(`${term}/${index + position} `.padEnd(dataBytes + ((index + position) % 17), 'x')),
  }));
}

export function snapshotAt(index: number, term: number, dataBytes = 100): Snapshot {
  return { metadata: { index, term, voters: [1, 2, 3] }, data: Buffer.alloc(dataBytes, `state at ${index}`) };
}

/** A comparable text of a state. */
export function describeState(state: StoredState): string {
  const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
  return JSON.stringify({
    hardState: state.hardState,
    snapshot: state.snapshot && { metadata: state.snapshot.metadata, data: text(state.snapshot.data) },
    entries: state.entries.map((entry) => ({ ...entry, data: text(entry.data) })),
  });
}

export const emptyState: StoredState = {
  hardState: { term: 0, vote: 0, commitIndex: 0 },
  snapshot: undefined,
  entries: [],
};

export type StorageCall =
  | { readonly type: 'persist'; readonly hardState?: HardState; readonly entries: readonly Entry[] }
  | { readonly type: 'save'; readonly snapshot: Snapshot }
  | { readonly type: 'compact'; readonly index: number }
  | { readonly type: 'reset'; readonly snapshot: Snapshot };

export async function perform(storage: FileStorage, call: StorageCall): Promise<void> {
  switch (call.type) {
    case 'persist':
      return storage.persist(call);
    case 'save':
      return storage.saveSnapshot(call.snapshot);
    case 'compact':
      return storage.compact(call.index);
    case 'reset':
      return storage.resetTo(call.snapshot);
  }
}

/** What a storage must hold after a call: the specification, in a few lines. */
export function stateAfter(state: StoredState, call: StorageCall): StoredState {
  switch (call.type) {
    case 'persist': {
      const first = call.entries[0]?.index ?? Number.MAX_SAFE_INTEGER;
      return {
        ...state,
        hardState: call.hardState ?? state.hardState,
        entries: [...state.entries.filter((entry) => entry.index < first), ...call.entries],
      };
    }
    case 'save': {
      const { index } = call.snapshot.metadata;
      return { ...state, snapshot: call.snapshot, entries: state.entries.filter((entry) => entry.index > index) };
    }
    case 'compact':
      return state;
    case 'reset':
      return { ...state, snapshot: call.snapshot, entries: [] };
  }
}
