import { mkdir, readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SeededRandom } from '@concordat/foundation';
import { randomId } from '../../core/membership/addressing.js';
import { encodeConfiguration } from '../../core/membership/configuration-codec.js';
import type { Configuration, Entry, Snapshot } from '../../core/types.js';
import type { StoredState } from '../../driver/ports.js';
import { FileStorage } from '../file-storage.js';
import { segmentFormatVersion } from '../segment.js';
import { snapshotFormatVersion } from '../snapshot-file.js';
import { knownMember, TEST_GROUP_ID } from '../../core/testing/members.js';
import { describeState, emptyState, perform, piecesOf, stateAfter, type StorageCall } from './storage-model.js';

/*
 * Directories as this and earlier versions write them, kept under `golden/`: `v<n>/` has the files, `v<n>.json` the
 * state that must be found in them for ever. A change of the format adds a directory and leaves those that are there.
 */

/** Of the files that this version writes. */
export const goldenName = `v${Math.max(segmentFormatVersion, snapshotFormatVersion)}`;

/** Whose the golden directories are. */
export const goldenOwner = { nodeId: 2, clusterName: 'golden, Größe 2' } as const;

const SEED = 1234;
/** What is drawn first. */
export const goldenIncarnation = randomId(new SeededRandom(SEED));

const joint: Configuration = {
  groupId: TEST_GROUP_ID,
  members: [
    knownMember(1, { incarnation: 2 ** 48, address: '10.0.0.1:4000', data: '{"url":"http://10.0.0.1"}' }),
    knownMember(2, { address: '10.0.0.2:4000', priority: 10 }),
    knownMember(3, { address: '[::1]:4000' }),
    knownMember(4, { address: 'four.example:4000', data: 'vier, größer' }),
    knownMember(5, { incarnation: 0xc0ffee123456, returning: true }),
  ],
  voters: [2, 3, 4],
  outgoing: [1, 2, 3],
  learners: [5],
};

const command = (index: number, term: number): Entry => ({
  index,
  term,
  kind: 'normal',
  data: Buffer.from(`command ${index} of term ${term}, `.repeat(3 + (index % 4))),
});
const noOp = (index: number, term: number): Entry => ({ index, term, kind: 'no-op', data: new Uint8Array() });
const change = (index: number, term: number): Entry => ({
  index,
  term,
  kind: 'configuration',
  data: encodeConfiguration(joint),
});
const commands = (from: number, to: number, term: number): Entry[] =>
  Array.from({ length: to - from + 1 }, (_, position) => command(from + position, term));

const snapshot: Snapshot = {
  metadata: { index: 9, term: 2, configuration: joint },
  data: Buffer.from(Array.from({ length: 700 }, (_, at) => (at * 7) % 256)),
};

/** The leader's snapshot, of which the directory has the first 300 bytes. */
export const goldenIncoming: Snapshot = {
  metadata: { index: 77, term: 6, configuration: joint },
  data: Buffer.from(Array.from({ length: 1000 }, (_, at) => (at * 13) % 251)),
};
export const goldenReceivedBytes = 300;

const calls: readonly StorageCall[] = [
  { type: 'persist', hardState: { term: 1, vote: 2, commitIndex: 0 }, entries: [noOp(1, 1), ...commands(2, 6, 1)] },
  { type: 'persist', entries: commands(7, 12, 1) },
  { type: 'persist', hardState: { term: 2, vote: 0, commitIndex: 5 }, entries: [] },
  // Overwrites 8 to 12.
  { type: 'persist', hardState: { term: 2, vote: 3, commitIndex: 7 }, entries: [noOp(8, 2), change(9, 2)] },
  { type: 'persist', entries: commands(10, 14, 2) },
  { type: 'save', snapshot },
  { type: 'compact', index: 4 },
  { type: 'persist', hardState: { term: 5, vote: 4, commitIndex: 12 }, entries: commands(15, 20, 2) },
  // Overwrites 19 and 20, with zeros that fill more than a sector.
  { type: 'persist', entries: [noOp(19, 5), { index: 20, term: 5, kind: 'normal', data: Buffer.alloc(1300) }] },
  { type: 'persist', hardState: { term: 6, vote: 0, commitIndex: 19 }, entries: [change(21, 6)] },
  ...piecesOf(goldenIncoming, 150)
    .slice(0, 3)
    .map((piece) => ({ type: 'receive', piece }) as const),
];

/** What must be found, reasoned from the calls and not read from the files. */
export function goldenState(): StoredState {
  return calls.reduce(stateAfter, emptyState);
}

/**
 * Writes the files of this version's format and what must be found in them.
 *
 * @param parent gets `<name>/` and `<name>.json`; neither may be there
 */
export async function writeGoldenFiles(parent: string): Promise<void> {
  const directory = join(parent, goldenName);
  await mkdir(parent, { recursive: true });
  await mkdir(directory); // fails when it exists: golden files are never written over
  const random = new SeededRandom(SEED);
  const storage = new FileStorage({ directory, ...goldenOwner, segmentSizeBytes: 1536, random });
  await storage.open();
  for (const call of calls) await perform(storage, call);
  await storage.close();
  for (const name of await readdir(directory)) if (name.endsWith('.tmp')) await unlink(join(directory, name));
  await writeFile(join(parent, `${goldenName}.json`), describeState(goldenState()), { flag: 'wx' });
}
