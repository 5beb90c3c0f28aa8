import { describe, expect, it } from '@jest/globals';
import { ScriptedCluster, ScriptedNode, append, entry, logOfTerms, snapshotAt } from './testing/core-harness.js';
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

function leaderWith(terms: readonly number[], term: number, commitIndex = 0, voters = VOTERS): ScriptedNode {
  const hardState = { term: term - 1, vote: 0, commitIndex };
  return new ScriptedNode(1, voters, { hardState, entries: logOfTerms(terms) }).becomeLeader(true);
}

describe('replication', () => {
  it('opens a term with a no-op', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    expect(leader.applied).toMatchObject([{ index: 1, term: 1, kind: 'no-op' }]);
    expect(leader.core.noOpIndex).toBe(1);
  });

  it('commits what a quorum holds and applies it everywhere, in order', () => {
    const cluster = ScriptedCluster.of(3);
    const leader = cluster.elect(1);
    leader.propose('a').propose('b', 'c');
    cluster.settle();
    cluster.tick(1);
    for (const id of VOTERS) expect(cluster.node(id).applied.map(({ index }) => index)).toEqual([1, 2, 3, 4]);
  });

  it('refuses proposals where it does not lead', () => {
    expect(new ScriptedNode(2, VOTERS).core.propose([new Uint8Array(1)])).toBeUndefined();
  });

  it('hands the very bytes that were proposed to apply', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    const command = new Uint8Array([1, 2, 3]);
    leader.core.propose([command]);
    leader.run().ackAll();
    expect(leader.applied.at(-1)?.data).toBe(command);
  });

  it('sends its entries beside its own write', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.manualDisk = true;
    leader.propose('a');
    expect(appends(leader.sent).map(({ to, entries }) => [to, entries.length])).toEqual([
      [2, 1],
      [3, 1],
    ]);
    expect(leader.inflight?.entries).toHaveLength(1);
  });

  it('counts itself in the quorum only when its own write is durable', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.manualDisk = true;
    leader.propose('a');
    leader.ack(2);
    expect(leader.core.commitIndex).toBe(1);
    leader.finishWrite();
    expect(leader.core.commitIndex).toBe(2);
  });

  it('commits without its own disk when the others suffice, but applies only what is durable here', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.manualDisk = true;
    leader.propose('a');
    leader.ack(2).ack(3);
    expect(leader.core.commitIndex).toBe(2);
    expect(leader.applied).toHaveLength(1);
    leader.finishWrite();
    expect(leader.applied).toHaveLength(2);
  });

  it('lets everything that arrives during a write ride the next one', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.manualDisk = true;
    leader.propose('a').propose('b').propose('c');
    expect(leader.inflight?.entries).toHaveLength(1);
    leader.finishWrite();
    expect(leader.inflight?.entries.map(({ index }) => index)).toEqual([3, 4]);
  });

  it('sends all proposals of one pass in one message per follower', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.core.propose([new Uint8Array(1)]);
    leader.core.propose([new Uint8Array(2)]);
    leader.run();
    expect(appends(leader.sent, 2).map(({ entries }) => entries.length)).toEqual([2]);
  });

  it('acknowledges entries only after they are durable', () => {
    const node = follower([], 0, 1);
    node.manualDisk = true;
    node.step(append({ entries: [entry(1, 1)] }));
    expect(node.sent).toEqual([]);
    node.finishWrite();
    expect(node.sent).toMatchObject([{ success: true, matchIndex: 1 }]);
  });

  it('answers a heartbeat at once when nothing waits for the disk', () => {
    const node = follower([1], 0, 1);
    node.manualDisk = true;
    node.step(append({ previousIndex: 1, previousTerm: 1 }));
    expect(node.sent).toMatchObject([{ success: true, matchIndex: 1 }]);
  });

  it('answers with the write in flight what depends on nothing newer', () => {
    const node = follower([], 0, 1);
    node.manualDisk = true;
    node.step(append({ entries: [entry(1, 1)] }), append({ previousIndex: 1, previousTerm: 1 }));
    node.finishWrite();
    expect(node.inflight).toBeUndefined();
    expect(node.sent).toHaveLength(2);
  });

  it('writes no new commit index for its own sake', () => {
    const node = follower([1], 0, 1);
    node.manualDisk = true;
    node.step(append({ previousIndex: 1, previousTerm: 1, commitIndex: 1 }));
    expect(node.inflight).toBeUndefined();
    expect(node.applied).toHaveLength(1);
  });

  it('commits no more than it was shown to share with the leader', () => {
    const node = follower([1, 1, 1], 0, 2);
    node.step(append({ term: 2, previousIndex: 1, previousTerm: 1, commitIndex: 3 }));
    expect(node.core.commitIndex).toBe(1);
  });

  it('takes a doubled or late message without harm', () => {
    const node = follower([], 0, 1);
    const both = append({ entries: [entry(1, 1), entry(2, 1)] });
    node.step(both, append({ entries: [entry(1, 1)] }), both);
    expect(node.terms()).toEqual([1, 1]);
    node.step(append({ previousIndex: 2, previousTerm: 1, commitIndex: 2 }), append({ entries: [entry(1, 1)] }));
    expect(node.sent.at(-1)).toMatchObject({ success: true, matchIndex: 2 });
    expect(node.applied).toHaveLength(2);
  });

  it('refuses to cut what is committed', () => {
    const node = follower([1, 1], 2, 2);
    const rival = append({ term: 2, previousIndex: 0, previousTerm: 0, entries: [entry(1, 2)] });
    expect(() => node.step(rival)).toThrow('committed entries are the same on every node');
  });

  // Paper, figure 7: the leader of term 8 and followers in every possible state.
  it.each([
    { name: '(a) lacks one', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6] },
    { name: '(b) lacks many', terms: [1, 1, 1, 4] },
    { name: '(c) has one too many', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
    { name: '(d) has a later term', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
    { name: '(e) lacks and has too many', terms: [1, 1, 1, 4, 4, 4, 4] },
    { name: '(f) has terms of its own', terms: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
  ])('brings a follower of figure 7 in line: $name', ({ terms }) => {
    const leader = leaderWith([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], 8, 0, [1, 2]);
    const behind = new ScriptedNode(2, [1, 2], {
      hardState: { term: 7, vote: 0, commitIndex: 0 },
      entries: logOfTerms(terms),
    });
    const cluster = new ScriptedCluster([leader, behind]);
    cluster.settle();
    cluster.tick(1, 2);
    expect(behind.terms()).toEqual([1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]);
    expect(behind.disk.entries).toEqual(leader.disk.entries);
    expect(behind.core.commitIndex).toBe(11);
  });

  it('never commits an entry of an earlier term by counting (figure 8)', () => {
    // S1 leads term 4 with an entry of term 2 that reaches a majority; S5 could still win with term 3.
    const leader = leaderWith([1, 2], 4, 0, [1, 2, 3, 4, 5]);
    leader.ack(2, 2).ack(3, 2);
    expect(leader.core.commitIndex).toBe(0);
    leader.ack(2, 3).ack(3, 3);
    expect(leader.core.commitIndex).toBe(3);
  });

  it.each([
    { name: 'too short: its end', terms: [1, 1], previousIndex: 5, previousTerm: 3, hint: [2, 1] },
    {
      name: 'a later term: the end of an earlier one',
      terms: [1, 1, 4, 4, 4],
      previousIndex: 5,
      previousTerm: 3,
      hint: [2, 1],
    },
    { name: 'an earlier term: that index', terms: [1, 1, 2, 2], previousIndex: 4, previousTerm: 3, hint: [4, 2] },
  ])('hints where the logs may agree: $name', ({ terms, previousIndex, previousTerm, hint }) => {
    const node = follower(terms);
    node.step(append({ term: 8, previousIndex, previousTerm }));
    const [hintIndex, hintTerm] = hint;
    expect(node.sent).toMatchObject([{ success: false, matchIndex: previousIndex, hintIndex, hintTerm }]);
  });

  it('backs up a whole term per refusal', () => {
    const leader = leaderWith([1, 1, 2, 2, 2, 2, 2], 3);
    leader.sent = [];
    leader.step(leader.reply(2, { success: false, matchIndex: 7, hintIndex: 7, hintTerm: 1 }));
    expect(appends(leader.sent, 2)).toMatchObject([{ previousIndex: 2, previousTerm: 1 }]);
  });

  it('sends one probe until it is answered, then streams', () => {
    const leader = leaderWith([], 1);
    leader.sent = [];
    leader.propose('a').propose('b');
    expect(appends(leader.sent, 2)).toEqual([]);
    leader.ack(2, 1);
    leader.propose('c').propose('d');
    expect(appends(leader.sent, 2).map(({ entries }) => entries.length)).toEqual([2, 1, 1]);
  });

  it('stops streaming when the window is full, and goes on when an answer comes', () => {
    const leader = new ScriptedNode(1, VOTERS, { limits: { maxInflightMessages: 2 } }).becomeLeader();
    leader.propose('a').propose('b').propose('c').propose('d');
    expect(appends(leader.sent, 2)).toHaveLength(2);
    leader.sent = [];
    leader.ack(2, 2);
    expect(appends(leader.sent, 2).map(({ entries }) => entries.length)).toEqual([2]);
  });

  it('bounds the bytes in flight', () => {
    const limits = { maxInflightBytes: 100 };
    const leader = new ScriptedNode(1, VOTERS, { limits }).becomeLeader();
    leader.propose('x'.repeat(90)).propose('b');
    expect(appends(leader.sent, 2)).toHaveLength(1);
  });

  it('bounds the bytes of one message, but always sends one entry', () => {
    const leader = new ScriptedNode(1, VOTERS, { limits: { maxMessageBytes: 100 } }).becomeLeader();
    leader.propose('x'.repeat(200), 'b', 'c', 'd');
    expect(appends(leader.sent, 2).map(({ entries }) => entries.length)).toEqual([1, 3]);
  });

  it('finds lost entries by the next heartbeat and sends them again', () => {
    const cluster = ScriptedCluster.of(3);
    const leader = cluster.elect(1);
    leader.propose('lost').takeSent();
    cluster.tick(1, 3);
    expect(cluster.node(2).core.lastIndex).toBe(2);
    expect(leader.core.commitIndex).toBe(2);
  });

  it('collects a lost acknowledgement by the next heartbeat', () => {
    const cluster = ScriptedCluster.of(3);
    const leader = cluster.elect(1);
    leader.propose('a');
    for (const message of leader.takeSent()) cluster.node(message.to).step(message).takeSent();
    expect(leader.core.commitIndex).toBe(1);
    cluster.tick(1);
    expect(leader.core.commitIndex).toBe(2);
  });

  it('ignores a late refusal of what is known to match', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.propose('a').ackAll();
    leader.step(leader.reply(2, { success: false, matchIndex: 1, hintIndex: 0, hintTerm: 0 }));
    leader.propose('b');
    expect(appends(leader.sent, 2)).toMatchObject([{ previousIndex: 2 }]);
  });

  it('carries the commit index with the next message instead of one of its own', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.propose('a');
    leader.sent = [];
    leader.ack(2);
    expect(leader.core.commitIndex).toBe(2);
    expect(leader.sent).toEqual([]);
    leader.tick();
    expect(appends(leader.sent, 2)).toMatchObject([{ commitIndex: 2, entries: [] }]);
  });

  it('applies in batches of bounded size', () => {
    const hardState = { term: 1, vote: 0, commitIndex: 4 };
    const limits = { maxApplyBytes: 1 };
    const node = new ScriptedNode(2, VOTERS, { hardState, entries: logOfTerms([1, 1, 1, 1]), limits });
    expect(node.core.ready().committed).toHaveLength(1);
    node.run();
    expect(node.applied).toHaveLength(3);
  });
});

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

describe('confirmation rounds', () => {
  it('are confirmed by a quorum of answers', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    expect(leader.core.confirmLeadership()).toBe(1);
    leader.run();
    expect(appends(leader.sent).map(({ to, round }) => [to, round])).toEqual([
      [2, 1],
      [3, 1],
    ]);
    expect(leader.confirmedRound).toBe(0);
    leader.ack(2, 1, 1);
    expect(leader.confirmedRound).toBe(1);
  });

  it('are not confirmed by answers to earlier messages', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.core.confirmLeadership();
    leader.run().ack(2, 1, 0).ack(3, 1, 0);
    expect(leader.confirmedRound).toBe(0);
  });

  it('are confirmed by a later round too', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.core.confirmLeadership();
    leader.core.confirmLeadership();
    leader.run().ack(3, 1, 2);
    expect(leader.confirmedRound).toBe(2);
  });

  it('count a refusal too: it comes from a follower of this term', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader();
    leader.core.confirmLeadership();
    leader.run().step(leader.reply(2, { success: false, matchIndex: 1, round: 1 }));
    expect(leader.confirmedRound).toBe(1);
  });

  it('wait for the own no-op', () => {
    const leader = new ScriptedNode(1, VOTERS).becomeLeader(true);
    leader.core.confirmLeadership();
    leader.run().step(leader.reply(2, { success: false, matchIndex: 5, round: 1 }));
    expect(leader.confirmedRound).toBe(0);
    leader.ack(2, 1, 1);
    expect(leader.confirmedRound).toBe(1);
  });

  it('are never confirmed to a leader that was cut off and replaced', () => {
    const cluster = ScriptedCluster.of(3);
    const old = cluster.elect(1);
    cluster.isolate(1);
    cluster.elect(2).propose('newer');
    cluster.settle();
    old.core.confirmLeadership();
    cluster.tick(1, 5);
    expect(old.core.role).toBe('leader');
    expect(old.confirmedRound).toBe(0);
    cluster.heal();
    cluster.tick(1, 5);
    expect(old.core.role).toBe('follower');
    expect(old.confirmedRound).toBe(0);
  });

  it('need nobody else in a group of one', () => {
    const node = new ScriptedNode(1, [1]);
    node.tickToCampaign();
    node.core.confirmLeadership();
    node.run();
    expect(node.confirmedRound).toBe(1);
  });

  it('cannot be started by a follower', () => {
    expect(new ScriptedNode(2, VOTERS).core.confirmLeadership()).toBeUndefined();
  });
});
