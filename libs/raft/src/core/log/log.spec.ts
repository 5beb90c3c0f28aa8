import { describe, expect, it } from '@jest/globals';
import { encodeConfiguration } from '../membership/configuration-codec.js';
import { RaftLog, entrySizeBytes } from './log.js';
import { groupOf } from '../testing/members.js';
import type { Entry, SnapshotMetadata } from '../types.js';

const configuration = groupOf(1, 2);

function entry(index: number, term: number, sizeBytes = 0): Entry {
  return { index, term, kind: 'normal', data: new Uint8Array(sizeBytes) };
}

/** A durable log of these terms from index 1 on. */
function logOf(terms: readonly number[], commitIndex = 0): RaftLog {
  const entries = terms.map((term, position) => entry(position + 1, term));
  return new RaftLog({ term: 9, vote: 0, commitIndex }, undefined, entries);
}

function termsOf(log: RaftLog): number[] {
  return Array.from({ length: log.lastIndex - log.startIndex }, (_, at) => log.term(log.startIndex + at + 1)!);
}

describe('RaftLog', () => {
  it('knows the term before its first entry, and none beyond its ends', () => {
    const log = logOf([1, 2, 2], 3);
    log.takeCommitted(Infinity, Infinity);
    log.compact(2);
    expect([log.term(1), log.term(2), log.term(3), log.term(4)]).toEqual([undefined, 2, 2, undefined]);
    expect([log.startIndex, log.lastIndex, log.lastTerm]).toEqual([2, 3, 2]);
  });

  it.each<[string, Entry[], number[], number]>([
    ['what is there already', [entry(2, 2), entry(3, 2)], [1, 2, 2, 2], 4],
    ['what comes behind', [entry(4, 2), entry(5, 3)], [1, 2, 2, 2, 3], 4],
    ['from the first difference on', [entry(2, 2), entry(3, 3)], [1, 2, 3], 2],
    ['nothing', [], [1, 2, 2, 2], 4],
  ])('merges %s', (_name, entries, terms, persistedIndex) => {
    const log = logOf([1, 2, 2, 2], 1);
    log.merge(entries);
    expect(termsOf(log)).toEqual(terms);
    expect(log.persistedIndex).toBe(persistedIndex);
  });

  it('never cuts what is committed', () => {
    expect(() => logOf([1, 2, 2], 2).merge([entry(2, 3)])).toThrow('committed entries are never truncated');
  });

  it('appends without gaps, with terms that never fall', () => {
    expect(() => logOf([1, 2]).append([entry(4, 2)])).toThrow('without gaps');
    expect(() => logOf([1, 2]).append([entry(3, 1)])).toThrow('terms never fall');
  });

  it('gives out each entry once to be written, and again when it was replaced', () => {
    const log = logOf([1]);
    log.append([entry(2, 1), entry(3, 1)]);
    const first = log.takeUnhanded();
    log.merge([entry(3, 2)]);
    expect(log.takeUnhanded().map(({ index, term }) => [index, term])).toEqual([[3, 2]]);
    expect(first.map(({ index }) => index)).toEqual([2, 3]);
    expect(log.hasUnhanded()).toBe(false);
  });

  it('gives out to apply what is committed and durable, in order, each entry once', () => {
    const log = logOf([1, 1, 1]);
    log.append([entry(4, 1)]);
    log.commitTo(4);
    const taken = [
      log.takeCommitted(Infinity, 1),
      log.takeCommitted(Infinity, 1000),
      log.takeCommitted(Infinity, 1000),
    ];
    expect(taken.map((entries) => entries.map(({ index }) => index))).toEqual([[1], [2, 3], []]);
    log.persistedBatch(log.takeUnhanded());
    expect(log.takeCommitted(Infinity, 1000).map(({ index }) => index)).toEqual([4]);
    expect(logOf([1, 1, 1], 3).takeCommitted(2, 1000)).toHaveLength(2);
  });

  it.each([
    [1, 1],
    [2 * 32, 2],
    [2 * 32 + 31, 2],
    [1000, 4],
  ])('cuts a slice at %p bytes to %p entries', (maximumBytes, count) => {
    expect(logOf([1, 1, 1, 1]).slice(1, maximumBytes)).toHaveLength(count);
  });

  it.each([
    [5, 9, 5],
    [9, 9, 5],
    [5, 2, 4],
    [4, 1, 2],
    [5, 0, 0],
  ])('finds the last index up to %p of a term up to %p', (index, term, found) => {
    expect(logOf([1, 1, 2, 2, 3]).lastIndexWithTermUpTo(index, term)).toBe(found);
  });

  it.each([
    [4, 3, true],
    [3, 3, true],
    [2, 3, false],
    [1, 4, true],
    [9, 2, false],
  ])('says whether a log that ends in %p of term %p is as up to date', (index, term, upToDate) => {
    expect(logOf([1, 2, 3]).isUpToDate(index, term)).toBe(upToDate);
  });

  it('counts the bytes that are not committed', () => {
    const log = logOf([1], 1);
    log.append([entry(2, 1, 100), entry(3, 1, 10), entry(4, 1, 1)]);
    const counts = [log.uncommittedBytes];
    log.commitTo(2);
    counts.push(log.uncommittedBytes);
    log.merge([entry(4, 2, 7)]);
    counts.push(log.uncommittedBytes);
    expect(counts).toEqual([132 + 42 + 33, 42 + 33, 42 + 39]);
    expect(entrySizeBytes(entry(1, 1, 8))).toBe(40);
  });

  it('keeps a tail of so many entries and bytes in front of a snapshot', () => {
    const log = logOf([1, 1, 1, 1, 1, 1]);
    expect([log.tailStart(6, 2, 1000), log.tailStart(6, 100, 3 * 32), log.tailStart(6, 100, 1000)]).toEqual([4, 3, 0]);
  });

  it('compacts only what was given out to apply', () => {
    const log = logOf([1, 1], 2);
    expect(() => log.compact(2)).toThrow('only applied entries are compacted');
    log.takeCommitted(Infinity, Infinity);
    log.compact(2);
    log.compact(1); // an older snapshot: nothing to do
    expect(log.startIndex).toBe(2);
  });

  it('starts anew behind a snapshot, and never behind what is committed', () => {
    const snapshot: SnapshotMetadata = { index: 7, term: 3, configuration };
    const log = logOf([1, 1], 1);
    log.restore(snapshot);
    expect([log.startIndex, log.lastIndex, log.commitIndex, log.persistedIndex]).toEqual([7, 7, 7, 7]);
    expect([log.lastTerm, log.configurationIndex, log.configuration]).toEqual([3, 7, configuration]);
    expect(() => log.restore({ ...snapshot, index: 6 })).toThrow('never takes back what is committed');
  });

  it('goes back to the configuration before when an entry with a new one is cut', () => {
    const log = logOf([1]);
    const data = encodeConfiguration(configuration);
    log.append([{ index: 2, term: 1, kind: 'configuration', data }]);
    const indexes = [log.configurationIndex];
    log.merge([entry(2, 2)]);
    expect([...indexes, log.configurationIndex]).toEqual([2, 0]);
  });
});
