import { describe, expect, it } from '@jest/globals';
import { ScriptedNode, append, entry, logOfTerms } from './testing/core-harness.js';

const VOTERS = [1, 2, 3];

function follower(terms: readonly number[], commitIndex = 0, term = 8): ScriptedNode {
  return new ScriptedNode(2, VOTERS, { hardState: { term, vote: 0, commitIndex }, entries: logOfTerms(terms) });
}

describe('stale persist acknowledgements', () => {
  it('counts nothing of a write whose entries were replaced meanwhile', () => {
    const node = new ScriptedNode(1, VOTERS).becomeLeader();
    node.manualDisk = true;
    node.propose('a', 'b'); // 2 and 3 of term 1 on their way to the disk
    node.step(append({ from: 2, to: 1, term: 2, previousIndex: 1, previousTerm: 1, entries: [entry(2, 2)] }));
    node.finishWrite(); // of the old 2 and 3
    expect(node.sent.filter(({ type }) => type === 'append-entries-reply')).toEqual([]);
    expect(node.inflight?.entries).toMatchObject([{ index: 2, term: 2 }]);
    node.finishWrite();
    expect(node.sent.at(-1)).toMatchObject({ type: 'append-entries-reply', matchIndex: 2 });
    expect(node.disk.entries.map(({ term }) => term)).toEqual([1, 2]);
  });

  it('counts the part of a write that survived a truncation', () => {
    const node = follower([], 0, 1);
    node.manualDisk = true;
    node.step(append({ entries: [entry(1, 1), entry(2, 1)] }));
    node.step(append({ from: 3, term: 2, previousIndex: 1, previousTerm: 1, entries: [entry(2, 2)], commitIndex: 2 }));
    node.finishWrite();
    expect(node.applied.map(({ index }) => index)).toEqual([1]);
    node.finishWrite();
    expect(node.applied.map(({ index, term }) => [index, term])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  it('writes an entry again that was replaced and came back', () => {
    const node = follower([], 0, 1);
    node.manualDisk = true;
    node.step(append({ entries: [entry(1, 1)] }));
    node.step(append({ from: 3, term: 2, entries: [entry(1, 2)] }));
    node.step(append({ from: 1, term: 3, entries: [entry(1, 1), entry(2, 3)], commitIndex: 2 }));
    node.finishWrite();
    expect(node.applied).toEqual([]);
    expect(node.inflight?.entries.map(({ index, term }) => [index, term])).toEqual([
      [1, 1],
      [2, 3],
    ]);
    node.finishWrite();
    expect(node.applied).toHaveLength(2);
  });

  it('does not take the vote of an earlier term for its own present one', () => {
    const node = new ScriptedNode(1, [1, 2]);
    node.manualDisk = true;
    node.tickToCampaign();
    node.tickToCampaign();
    node.finishWrite(); // term 1
    expect(node.sent.filter(({ type, term }) => type === 'request-vote' && term === 2)).toEqual([]);
    node.finishWrite();
    node.step({ type: 'request-vote-reply', from: 2, to: 1, term: 2, granted: true });
    expect(node.core.role).toBe('leader');
  });

  it('accepts only the batch that is out', () => {
    const node = new ScriptedNode(1, [1]);
    node.manualDisk = true;
    node.tickToCampaign();
    const batch = node.inflight!;
    expect(() => node.core.advance({ ...batch })).toThrow('the batch in flight');
  });
});
