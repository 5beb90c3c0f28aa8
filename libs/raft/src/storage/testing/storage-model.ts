import { crc32 } from 'node:zlib';
import { SeededRandom, type Clock } from '@concordat/foundation';
import { votersOnly } from '../../core/membership/configuration.js';
import type { Configuration, Entry, EntryKind, HardState, Snapshot, SnapshotMetadata } from '../../core/types.js';
import type { RaftStorage, StoredSnapshotChunk, StoredState } from '../../driver/ports.js';
import { FileStorage, type FileStorageOptions } from '../file-storage.js';
import { FIRST_INCARNATION, knownMember, TEST_GROUP_ID } from '../../core/testing/members.js';
import type { MemoryFileSystem } from './memory-file-system.js';

/** Configuration of the snapshots of these tests. */
export const threeVoters: Configuration = votersOnly(
  [
    knownMember(1, { address: 'one:1' }),
    knownMember(2, { data: '{"url":"http://two"}' }),
    knownMember(3, { priority: 7 }),
  ],
  TEST_GROUP_ID,
);

/** A directory name for tests on the file system in memory. */
export const memoryDirectory = '/data';

/** Fires every timer in the next turn of the event loop, so that nothing waits for time in these tests. */
export const hastyClock: Clock = {
  now: () => 0,
  monotonic: () => 0,
  setTimer: (_delayMs, action) => {
    const handle = setImmediate(action);
    return { cancel: () => clearImmediate(handle) };
  },
};

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
    clock: hastyClock,
    ...options,
  });
}

function kindOf(index: number): EntryKind {
  if (index % 5 === 0) return 'no-op';
  return index % 7 === 0 ? 'configuration' : 'normal';
}

/** Entries of all kinds with recognisable data of varying length. */
export function entriesFrom(index: number, count: number, term: number, dataBytes = 40): Entry[] {
  return Array.from({ length: count }, (_, position) => ({
    index: index + position,
    term,
    kind: kindOf(index + position),
    data: Buffer.from(`${term}/${index + position} `.padEnd(dataBytes + ((index + position) % 17), 'x')),
  }));
}

export function snapshotAt(index: number, term: number, dataBytes = 100): Snapshot {
  return { metadata: { index, term, configuration: threeVoters }, data: Buffer.alloc(dataBytes, `state at ${index}`) };
}

/** A snapshot in pieces, as a leader sends it: an empty one first. */
export function piecesOf({ metadata, data }: Snapshot, pieceBytes = 64): StoredSnapshotChunk[] {
  const common = { metadata, sizeBytes: data.length, checksum: crc32(data) };
  const pieces = [{ ...common, offset: 0, data: new Uint8Array() }];
  for (let offset = 0; offset < data.length; offset += pieceBytes)
    pieces.push({ ...common, offset, data: Uint8Array.from(data.subarray(offset, offset + pieceBytes)) });
  return pieces;
}

/** Receives a snapshot and puts it into force. */
export async function receiveAndInstall(storage: RaftStorage, snapshot: Snapshot): Promise<Snapshot> {
  for (const piece of piecesOf(snapshot)) await storage.receiveSnapshotChunk(piece);
  return storage.installReceivedSnapshot(snapshot.metadata);
}

/** Sends whatever is missing of a snapshot, as a leader does, until it is complete. */
export async function sendRest(storage: RaftStorage, snapshot: Snapshot, maximumBytes = 64): Promise<void> {
  const [question] = piecesOf(snapshot);
  if (!question) throw new Error('a snapshot has a first piece');
  let received = await storage.receiveSnapshotChunk(question);
  for (let turns = 0; !received.complete; turns++) {
    if (turns > 1000) throw new Error(`the transfer does not get beyond byte ${received.nextOffset}`);
    const offset = received.nextOffset;
    const data = snapshot.data.subarray(offset, offset + maximumBytes);
    received = await storage.receiveSnapshotChunk({ ...question, offset, data });
  }
}

/** Up to where a snapshot was received; the question changes nothing while that one is under way. */
export async function receivedBytes(storage: RaftStorage, snapshot: Snapshot): Promise<number> {
  const [question] = piecesOf(snapshot);
  return question ? (await storage.receiveSnapshotChunk(question)).nextOffset : 0;
}

/** A comparable text of a state. */
export function describeState(state: Omit<StoredState, 'incarnation'>): string {
  const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
  return JSON.stringify({
    hardState: state.hardState,
    snapshot: state.snapshot && { metadata: state.snapshot.metadata, data: text(state.snapshot.data) },
    entries: state.entries.map((entry) => ({ ...entry, data: text(entry.data) })),
  });
}

export const emptyState: StoredState = {
  incarnation: FIRST_INCARNATION,
  hardState: { term: 0, vote: 0, commitIndex: 0 },
  snapshot: undefined,
  entries: [],
};

export type StorageCall =
  | { readonly type: 'persist'; readonly hardState?: HardState; readonly entries: readonly Entry[] }
  | { readonly type: 'save'; readonly snapshot: Snapshot }
  | { readonly type: 'compact'; readonly index: number }
  | { readonly type: 'receive'; readonly piece: StoredSnapshotChunk }
  /** `snapshot` is the one whose pieces were received */
  | { readonly type: 'install'; readonly snapshot: Snapshot }
  | { readonly type: 'read'; readonly wanted: SnapshotMetadata | undefined; readonly offset: number };

/** Does a call and gives back what it resolves with. */
export async function perform(storage: RaftStorage, call: StorageCall): Promise<unknown> {
  switch (call.type) {
    case 'persist':
      return storage.persist(call);
    case 'save':
      return storage.saveSnapshot(call.snapshot);
    case 'compact':
      return storage.compact(call.index);
    case 'receive':
      return storage.receiveSnapshotChunk(call.piece);
    case 'install':
      return storage.installReceivedSnapshot(call.snapshot.metadata);
    case 'read':
      return storage.readSnapshotChunk(call.wanted, call.offset, 50);
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
    case 'receive':
    case 'read':
      return state;
    case 'install':
      return { ...state, snapshot: call.snapshot, entries: [] };
  }
}
