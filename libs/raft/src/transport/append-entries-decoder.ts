import { MAXIMUM_INTEGER, type AppendEntries, type Entry, type EntryKind } from '../core/types.js';
import { checkPosition, checkTerm, positive, readConfiguration, type Envelope } from './field-checks.js';
import { MalformedFrameError, MAXIMUM_ENTRIES_PER_FRAME, MAXIMUM_ENTRIES_PER_MESSAGE } from './frame-limits.js';
import { appendEntriesTags, entryTags } from './wire-tags.js';
import type { WireReader } from './wire-reader.js';

const entryKinds: readonly (EntryKind | undefined)[] = [undefined, 'normal', 'no-op', 'configuration'];
const noData: Uint8Array = new Uint8Array(0);

/**
 * Reads an `append-entries` at its length. First everything but the entries, which are only counted: they need fields
 * that may come after them, and too many are refused before one is built.
 *
 * @param entriesLeft number of entries that its frame may still have
 * @throws MalformedFrameError
 */
export function readAppendEntries(reader: WireReader, envelope: Envelope, entriesLeft: number): AppendEntries {
  const outerEnd = reader.enter();
  const start = reader.position;
  let [previousIndex, previousTerm, commitIndex, round] = [0, 0, 0, 0];
  let count = 0;
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === appendEntriesTags.entries) {
      count++;
      reader.skip(tag);
    } else if (tag === appendEntriesTags.previousIndex) previousIndex = reader.integer();
    else if (tag === appendEntriesTags.previousTerm) previousTerm = reader.integer();
    else if (tag === appendEntriesTags.commitIndex) commitIndex = reader.integer();
    else if (tag === appendEntriesTags.round) round = reader.integer();
    else reader.skip(tag);
  }
  checkCount(count, entriesLeft);
  checkTerm(previousTerm, envelope);
  checkPosition(previousIndex, previousTerm);
  if (previousIndex > MAXIMUM_INTEGER - count) throw new MalformedFrameError('an entry has an index above 2^48');
  reader.position = start;
  const entries = readEntries(reader, previousIndex, previousTerm, envelope.term);
  reader.leave(outerEnd);
  return { type: 'append-entries', ...envelope, previousIndex, previousTerm, entries, commitIndex, round };
}

function checkCount(count: number, entriesLeft: number): void {
  if (count > MAXIMUM_ENTRIES_PER_MESSAGE)
    throw new MalformedFrameError(`a message has more than ${MAXIMUM_ENTRIES_PER_MESSAGE} entries`);
  if (count > entriesLeft) throw new MalformedFrameError(`a frame has more than ${MAXIMUM_ENTRIES_PER_FRAME} entries`);
}

/** The entries of the present message, whose other fields were read before. */
function readEntries(reader: WireReader, previousIndex: number, previousTerm: number, lastTerm: number): Entry[] {
  const entries: Entry[] = [];
  let termBefore = previousTerm;
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag !== appendEntriesTags.entries) {
      reader.skip(tag);
      continue;
    }
    const entry = readEntry(reader, previousIndex + 1 + entries.length);
    if (entry.term < termBefore || entry.term > lastTerm)
      throw new MalformedFrameError(
        `entry ${entry.index} is of term ${entry.term}, between terms ${termBefore} and ${lastTerm}`,
      );
    termBefore = entry.term;
    entries.push(entry);
  }
  return entries;
}

function readEntry(reader: WireReader, index: number): Entry {
  const outerEnd = reader.enter();
  let [term, wireKind] = [0, 0];
  let data = noData;
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === entryTags.term) term = reader.integer();
    else if (tag === entryTags.kind) wireKind = reader.uint32();
    else if (tag === entryTags.data) data = reader.data();
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  const kind = entryKinds[wireKind];
  if (kind === undefined) throw new MalformedFrameError(`entry ${index} has the unknown kind ${wireKind}`);
  if (kind === 'no-op' && data.length > 0) throw new MalformedFrameError(`no-op ${index} has data`);
  if (kind === 'configuration') readConfiguration(data);
  return { index, term: positive(term), kind, data };
}
