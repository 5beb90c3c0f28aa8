import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import { ElectionTimer } from './election.js';
import { ScriptedCluster, ScriptedNode, append, logOfTerms } from './testing/core-harness.js';
import type { Message, RequestVote } from './types.js';

function requestVote(fields: Partial<RequestVote> = {}): RequestVote {
  return { type: 'request-vote', from: 1, to: 2, term: 1, lastLogIndex: 0, lastLogTerm: 0, ...fields };
}

function granted(messages: readonly Message[]): boolean[] {
  return messages.flatMap((message) => (message.type === 'request-vote-reply' ? [message.granted] : []));
}

describe('election', () => {
  it('draws every election timeout from [n, 2n) ticks', () => {
    const timer = new ElectionTimer(10, new SeededRandom(1));
    const waits = new Set<number>();
    for (let election = 0; election < 500; election++) {
      let ticks = 1;
      while (!timer.tick()) ticks++;
      waits.add(ticks);
      timer.reset();
    }
    expect(Math.min(...waits)).toBe(10);
    expect(Math.max(...waits)).toBe(19);
  });

  it('elects a node that hears of no leader, and the others follow it', () => {
    const cluster = ScriptedCluster.of(3);
    const leader = cluster.elect(1);
    expect(leader.core.role).toBe('leader');
    expect([2, 3].map((id) => cluster.node(id).core.leaderId)).toEqual([1, 1]);
  });

  it('makes the only voter leader once its own vote is durable', () => {
    const node = new ScriptedNode(1, [1]);
    node.manualDisk = true;
    node.tickToCampaign();
    expect(node.core.role).toBe('candidate');
    node.finishWrite();
    expect(node.core.role).toBe('leader');
    node.finishWrite();
    expect(node.core.commitIndex).toBe(1);
  });

  it('asks for votes only after its own vote is durable', () => {
    const node = new ScriptedNode(1, [1, 2, 3]);
    node.manualDisk = true;
    node.tickToCampaign();
    expect(node.sent).toEqual([]);
    node.finishWrite();
    expect(node.sent.map((message) => message.type)).toEqual(['request-vote', 'request-vote']);
    expect(node.disk.hardState).toMatchObject({ term: 1, vote: 1 });
  });

  it('grants a vote only after it is durable', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    node.manualDisk = true;
    node.step(requestVote());
    expect(node.sent).toEqual([]);
    node.finishWrite();
    expect(granted(node.sent)).toEqual([true]);
  });

  it('votes once in a term, and again for the same candidate', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    node.step(requestVote(), requestVote({ from: 3 }), requestVote());
    expect(granted(node.sent)).toEqual([true, false, true]);
  });

  it('remembers its vote over a restart', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    node.step(requestVote());
    node.restart();
    node.step(requestVote({ from: 3 }));
    expect(granted(node.sent)).toEqual([false]);
  });

  it('loses a vote that was not durable when it crashed, without having promised it', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    node.manualDisk = true;
    node.step(requestVote());
    node.restart();
    node.step(requestVote({ from: 3 }));
    node.finishWrite();
    expect(granted(node.sent)).toEqual([true]);
  });

  it.each([
    { name: 'same last term, same length', mine: [1, 1], lastLogIndex: 2, lastLogTerm: 1, vote: true },
    { name: 'same last term, longer', mine: [1, 1], lastLogIndex: 3, lastLogTerm: 1, vote: true },
    { name: 'same last term, shorter', mine: [1, 1], lastLogIndex: 1, lastLogTerm: 1, vote: false },
    { name: 'later last term, shorter', mine: [1, 1, 1], lastLogIndex: 1, lastLogTerm: 2, vote: true },
    { name: 'earlier last term, longer', mine: [1, 2], lastLogIndex: 9, lastLogTerm: 1, vote: false },
  ])('grants by the up-to-date rule: $name', ({ mine, lastLogIndex, lastLogTerm, vote }) => {
    const hardState = { term: 2, vote: 0, commitIndex: 0 };
    const node = new ScriptedNode(2, [1, 2, 3], { hardState, entries: logOfTerms(mine) });
    node.step(requestVote({ term: 3, lastLogIndex, lastLogTerm }));
    expect(granted(node.sent)).toEqual([vote]);
  });

  it('ends a split vote by another election in a later term', () => {
    const cluster = ScriptedCluster.of(4);
    for (const id of [1, 2]) cluster.node(id).tickToCampaign();
    cluster.node(3).step(cluster.node(1).sent.find((message) => message.to === 3)!);
    cluster.node(4).step(cluster.node(2).sent.find((message) => message.to === 4)!);
    cluster.settle();
    expect([1, 2, 3, 4].map((id) => cluster.node(id).core.role)).not.toContain('leader');
    expect(cluster.elect(1).core.role).toBe('leader');
    expect(cluster.node(1).core.term).toBe(2);
  });

  it('counts a repeated vote once', () => {
    const node = new ScriptedNode(1, [1, 2, 3, 4, 5]);
    node.tickToCampaign();
    const vote: Message = { type: 'request-vote-reply', from: 2, to: 1, term: 1, granted: true };
    node.step(vote, vote);
    expect(node.core.role).toBe('candidate');
  });

  it('ignores votes of an earlier term', () => {
    const node = new ScriptedNode(1, [1, 2, 3]);
    node.tickToCampaign();
    node.tickToCampaign();
    node.step({ type: 'request-vote-reply', from: 2, to: 1, term: 1, granted: true });
    expect(node.core.role).toBe('candidate');
  });

  it('steps down as candidate when the leader of its term speaks', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    node.tickToCampaign();
    node.step(append({ term: 1 }));
    expect(node.core.role).toBe('follower');
    expect(node.core.leaderId).toBe(1);
  });

  it('steps down as leader on any message of a higher term', () => {
    const node = new ScriptedNode(1, [1, 2, 3]).becomeLeader();
    node.step(node.reply(2, { term: 5, success: false }));
    expect(node.core.role).toBe('follower');
    expect(node.core.term).toBe(5);
    expect(node.core.leaderId).toBeUndefined();
  });

  it('tells a candidate and a leader of the past the present term', () => {
    const node = new ScriptedNode(2, [1, 2, 3], { hardState: { term: 7, vote: 0, commitIndex: 0 } });
    node.step(requestVote({ term: 3 }), append({ term: 3 }));
    expect(node.sent).toMatchObject([
      { type: 'request-vote-reply', term: 7, granted: false },
      { type: 'append-entries-reply', term: 7, success: false },
    ]);
  });

  it('waits for a whole timeout again after it heard its leader or granted a vote', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    for (let beat = 0; beat < 10; beat++) node.tick(9).step(append());
    expect(node.core.role).toBe('follower');
    node.tick(9).step(requestVote({ term: 2 }));
    node.tick(9);
    expect(node.core.term).toBe(2);
  });

  it('does not wait longer because of a candidate it refused', () => {
    const hardState = { term: 1, vote: 0, commitIndex: 0 };
    const node = new ScriptedNode(2, [1, 2, 3], { hardState, entries: logOfTerms([1]) });
    for (let tick = 0; tick < 19; tick++) node.tick().step(requestVote({ term: node.core.term }));
    expect(node.core.role).toBe('candidate');
  });

  it('refuses a second leader in one term as an impossibility', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    node.step(append());
    expect(() => node.step(append({ from: 3 }))).toThrow('a term has one leader');
  });

  it('ignores messages of strangers and messages for others', () => {
    const node = new ScriptedNode(2, [1, 2, 3]);
    node.step(requestVote({ from: 9, term: 4 }), requestVote({ to: 3, term: 4 }));
    expect(node.core.term).toBe(0);
  });

  it('stands for election at once when its leader hands over', () => {
    const cluster = ScriptedCluster.of(3);
    const leader = cluster.elect(1);
    leader.propose('a');
    cluster.settle();
    const target = leader.core.handOver();
    cluster.settle();
    expect(target).toBe(2);
    expect(cluster.node(2).core.role).toBe('leader');
    expect(leader.core.leaderId).toBe(2);
  });

  it('hands over to nobody who lacks entries or is silent', () => {
    const leader = new ScriptedNode(1, [1, 2, 3]).becomeLeader(true);
    expect(leader.core.handOver()).toBeUndefined();
    leader.ackAll();
    leader.propose('a');
    expect(leader.core.handOver()).toBeUndefined();
    leader.ack(3);
    expect(leader.core.handOver()).toBe(3);
  });
});
