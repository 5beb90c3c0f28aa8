import { describe, expect, it } from '@jest/globals';
import { ScriptedNode, entry, logOfTerms, snapshotAt } from './testing/core-harness.js';

const VOTERS = [1, 2, 3];

function follower(terms: readonly number[], commitIndex = 0, term = 8): ScriptedNode {
  return new ScriptedNode(2, VOTERS, { hardState: { term, vote: 0, commitIndex }, entries: logOfTerms(terms) });
}

describe('restart', () => {
  it('comes back with its log and applies what it knew to be committed', () => {
    const node = follower([1, 1, 2], 2, 2).run();
    expect(node.applied.map(({ index }) => index)).toEqual([1, 2]);
    expect(node.core.lastIndex).toBe(3);
    expect(node.core.role).toBe('follower');
  });

  it('goes on behind its snapshot', () => {
    const hardState = { term: 3, vote: 0, commitIndex: 6 };
    const node = new ScriptedNode(2, VOTERS, { hardState, snapshotData: snapshotAt(5, 2), entries: [entry(6, 3)] });
    expect(node.run().applied.map(({ index }) => index)).toEqual([6]);
    expect(node.core.termAt(5)).toBe(2);
    expect(node.core.termAt(4)).toBeUndefined();
  });

  it('takes the term of a snapshot that reached the disk before its hard state, without a vote', () => {
    const hardState = { term: 1, vote: 3, commitIndex: 0 };
    const node = new ScriptedNode(2, VOTERS, { hardState, snapshotData: snapshotAt(5, 4) });
    expect(node.run().core.term).toBe(4);
    expect(node.disk.hardState).toMatchObject({ term: 4, vote: 0 });
  });

  it('bounds a commit index that was stored without its entries', () => {
    expect(follower([1, 1], 9, 1).core.commitIndex).toBe(2);
  });

  it('refuses a log with a gap', () => {
    const entries = [entry(1, 1), entry(3, 1)];
    const hardState = { term: 1, vote: 0, commitIndex: 0 };
    expect(() => new ScriptedNode(2, VOTERS, { hardState, entries })).toThrow('without gaps');
  });
});
