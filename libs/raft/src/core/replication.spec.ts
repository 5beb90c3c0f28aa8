import { describe, expect, it } from '@jest/globals';
import { ScriptedCluster, ScriptedNode, append, entry, logOfTerms } from './testing/core-harness.js';
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

  it('sends one probe until it is answered, then gathers behind what is on its way', () => {
    const leader = leaderWith([], 1);
    leader.sent = [];
    leader.propose('a').propose('b');
    expect(appends(leader.sent, 2)).toEqual([]);
    leader.ack(2, 1);
    leader.propose('c').propose('d');
    expect(appends(leader.sent, 2).map(({ entries }) => entries.length)).toEqual([2]);
    leader.ack(2, 3);
    expect(appends(leader.sent, 2).map(({ entries }) => entries.length)).toEqual([2, 2]);
  });

  it('sends what is worth a message without waiting for answers', () => {
    const limits = { eagerMessages: 1, batchEntries: 3 };
    const leader = new ScriptedNode(1, VOTERS, { limits }).becomeLeader();
    leader.ack(2, 1).sent = [];
    leader.propose('a').propose('b').propose('c').propose('d', 'e', 'f').propose('g');
    expect(appends(leader.sent, 2).map(({ entries }) => entries.length)).toEqual([1, 5]);
  });

  it('stops streaming when the window is full, and goes on when an answer comes', () => {
    const leader = new ScriptedNode(1, VOTERS, { limits: { maxInflightMessages: 2, eagerMessages: 2 } }).becomeLeader();
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
