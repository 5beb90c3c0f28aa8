import { describe, expect, it } from '@jest/globals';
import { ScriptedCluster, ScriptedNode } from './testing/core-harness.js';
import type { AppendEntries, Message, NodeId } from './types.js';

const VOTERS = [1, 2, 3];

function appends(messages: readonly Message[], to?: NodeId): AppendEntries[] {
  return messages.filter(
    (message): message is AppendEntries => message.type === 'append-entries' && (to === undefined || message.to === to),
  );
}

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
