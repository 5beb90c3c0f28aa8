import type { Entry, HardState, SnapshotMetadata } from '../core/types.js';
import type { SequencedRecord } from './segment-scan.js';

/** A snapshot without its data. */
export interface SnapshotMark {
  readonly metadata: Pick<SnapshotMetadata, 'index' | 'term'>;
  /** entries of frames numbered below this are void: the log was reset to this snapshot (or an earlier one) */
  readonly resetSequence: number;
}

export type Replay =
  | {
      readonly type: 'complete';
      readonly hardState: HardState;
      readonly entries: readonly Entry[];
      /** dropped entries after the snapshot that contradict it */
      readonly conflicting: number;
    }
  | { readonly type: 'gap'; readonly expectedIndex: number; readonly foundIndex: number };

/**
 * The result of the frames in order: the last hard state, and the entries after the snapshot. An entry replaces its
 * index and everything after it.
 */
export function replay(records: readonly SequencedRecord[], snapshot: SnapshotMark | undefined): Replay {
  const snapshotIndex = snapshot?.metadata.index ?? 0;
  let hardState: HardState = { term: 0, vote: 0, commitIndex: 0 };
  let entries: Entry[] = [];
  for (const record of records) {
    hardState = record.hardState ?? hardState;
    if (record.sequence < (snapshot?.resetSequence ?? 0)) continue;
    for (const entry of record.entries) {
      const firstIndex = entries[0]?.index ?? entry.index;
      const nextIndex = firstIndex + entries.length;
      if (entry.index > nextIndex) {
        // Entries below the snapshot may have gaps: the log may have continued after a saved snapshot.
        if (entry.index > snapshotIndex + 1)
          return { type: 'gap', expectedIndex: Math.max(nextIndex, snapshotIndex + 1), foundIndex: entry.index };
        entries = [];
      } else {
        entries.length = Math.max(0, entry.index - firstIndex);
      }
      entries.push(entry);
    }
  }
  const first = entries[0]?.index;
  if (first === undefined) return { type: 'complete', hardState, entries, conflicting: 0 };
  if (first > snapshotIndex + 1) return { type: 'gap', expectedIndex: snapshotIndex + 1, foundIndex: first };
  const atSnapshot = entries[snapshotIndex - first];
  const behind = entries.slice(snapshotIndex + 1 - first);
  if (snapshot && atSnapshot && atSnapshot.term !== snapshot.metadata.term)
    return { type: 'complete', hardState, entries: [], conflicting: behind.length };
  return { type: 'complete', hardState, entries: behind, conflicting: 0 };
}

/** Whether the log alone has everything after an older snapshot up to a newer one. */
export function coversSnapshot(
  records: readonly SequencedRecord[],
  older: SnapshotMark | undefined,
  newer: SnapshotMark['metadata'],
): boolean {
  const found = replay(records, older);
  return (
    found.type === 'complete' && found.entries.some((entry) => entry.index === newer.index && entry.term === newer.term)
  );
}
