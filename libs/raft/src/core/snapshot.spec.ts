import { describe, expect, it } from '@jest/globals';
import { ScriptedNode, append, entry, logOfTerms, snapshotAt } from './testing/core-harness.js';
import type { AppendEntries, Message, NodeId } from './types.js';

const VOTERS = [1, 2, 3];

function appends(messages: readonly Message[], to?: NodeId): AppendEntries[] {
  return messages.filter(
    (message): message is AppendEntries => message.type === 'append-entries' && (to === undefined || message.to === to),
  );
}

function follower(terms: readonly number[], commitIndex = 0, term = 8): ScriptedNode {
  return new ScriptedNode(2, VOTERS, { hardState: { term, vote: 0, commitIndex }, entries: logOfTerms(terms) });
}

describe('snapshots', () => {
  function compactedLeader(): ScriptedNode {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.propose('a', 'b', 'c').ack(3);
    leader.core.compact(3);
    leader.sent = [];
    return leader;
  }

  it('asks for a snapshot for a follower behind the compacted log, and streams behind it', () => {
    const leader = compactedLeader();
    leader.step(leader.reply(2, { success: false, matchIndex: 4, hintIndex: 1, hintTerm: 1 }));
    expect(leader.snapshotRequests).toEqual([2]);
    leader.core.sendSnapshot(2, snapshotAt(3, 1));
    leader.run();
    expect(leader.sent).toMatchObject([{ type: 'install-snapshot', to: 2 }]);
    leader.takeSent();
    leader.ack(2, 3);
    expect(appends(leader.sent, 2)).toMatchObject([{ previousIndex: 3, entries: [{ index: 4 }] }]);
  });

  it('keeps a follower that waits for a snapshot quiet by heartbeats it can accept', () => {
    const leader = compactedLeader();
    leader.step(leader.reply(2, { success: false, matchIndex: 4, hintIndex: 1, hintTerm: 1 }));
    leader.tick();
    expect(appends(leader.sent, 2)).toMatchObject([{ previousIndex: 0, previousTerm: 0, entries: [] }]);
    leader.ack(2, 1);
    expect(leader.snapshotRequests).toEqual([2]);
  });

  it('probes again when no word of the snapshot comes', () => {
    const leader = compactedLeader();
    const refusal = leader.reply(2, { success: false, matchIndex: 4, hintIndex: 1, hintTerm: 1 });
    leader.step(refusal);
    leader.core.sendSnapshot(2, snapshotAt(3, 1));
    leader.tick(40).takeSent();
    leader.tick();
    expect(appends(leader.sent, 2)).toMatchObject([{ previousIndex: 3 }]);
    leader.step(leader.reply(2, { success: false, matchIndex: 3, hintIndex: 1, hintTerm: 1 }));
    expect(leader.snapshotRequests).toEqual([2, 2]);
  });

  it('sends no snapshot to a follower that is dead', () => {
    const hardState = { term: 1, vote: 0, commitIndex: 3 };
    const entries = [entry(4, 1)];
    const snapshotData = snapshotAt(3, 1);
    const leader = new ScriptedNode(1, VOTERS, { hardState, entries, snapshotData });
    leader.becomeLeader(true);
    leader.ack(3);
    leader.core.compact(leader.core.commitIndex);
    leader.tick(30);
    expect(leader.snapshotRequests).toEqual([]);
    leader.ack(2, 0);
    expect(leader.snapshotRequests).toEqual([2]);
  });

  it('installs a snapshot in place of its log and acknowledges it when it is durable', () => {
    const node = follower([1, 1], 1, 1).run();
    node.manualDisk = true;
    node.step({ type: 'install-snapshot', from: 1, to: 2, term: 2, snapshot: snapshotAt(9, 2) });
    expect(node.inflight?.snapshot?.metadata.index).toBe(9);
    expect(node.sent).toEqual([]);
    node.finishWrite();
    expect(node.sent).toMatchObject([{ success: true, matchIndex: 9 }]);
    node.step(append({ term: 2, previousIndex: 9, previousTerm: 2, entries: [entry(10, 2)], commitIndex: 10 }));
    node.finishWrite();
    expect(node.applied.map(({ index }) => index)).toEqual([1, 10]);
  });

  it('keeps its log when a snapshot tells nothing new', () => {
    const node = follower([1, 1, 1], 1, 1);
    node.step({ type: 'install-snapshot', from: 1, to: 2, term: 1, snapshot: snapshotAt(2, 1) });
    expect(node.core.lastIndex).toBe(3);
    expect(node.core.commitIndex).toBe(2);
    node.step({ type: 'install-snapshot', from: 1, to: 2, term: 1, snapshot: snapshotAt(1, 1) });
    expect(node.sent.at(-1)).toMatchObject({ success: true, matchIndex: 2 });
  });

  it('drops the writes in flight that a snapshot overtook', () => {
    const node = follower([], 0, 1);
    node.manualDisk = true;
    node.step(append({ entries: [entry(1, 1), entry(2, 1)] }));
    node.step({ type: 'install-snapshot', from: 3, to: 2, term: 2, snapshot: snapshotAt(2, 2) });
    node.finishWrite();
    expect(node.applied).toEqual([]);
    node.finishWrite();
    expect(node.disk.snapshot?.metadata.index).toBe(2);
    expect(node.disk.entries).toEqual([]);
  });
});
