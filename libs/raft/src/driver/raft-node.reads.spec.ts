import { describe, expect, it } from '@jest/globals';
import { NotLeaderError, TransferFailedError } from './errors.js';
import { group, idOf, type GroupNode, type NodeGroup } from './testing/node-group.js';

const LEASES = { leaseReads: { maximumClockDrift: 0.1 } };
const ELECTION_TIMEOUT_MS = 500;

/** How long a read takes, in simulated milliseconds. */
async function readDuration(nodes: NodeGroup, { node }: GroupNode): Promise<number> {
  const startedAt = nodes.clock.monotonic();
  await nodes.end(node.readIndex());
  return nodes.clock.monotonic() - startedAt;
}

/** A leader, and a follower that knows it. */
async function leaderAndFollower(nodes: NodeGroup): Promise<{ leader: GroupNode; follower: GroupNode }> {
  const leader = await nodes.leader();
  const follower = nodes.others(leader)[0]!;
  await nodes.until(() => follower.node.status().leaderId === idOf(leader));
  return { leader, follower };
}

describe('RaftNode, reads', () => {
  it('answers a follower only when it has applied what was committed when it asked', async () => {
    const nodes = await group(3);
    const { leader, follower } = await leaderAndFollower(nodes);
    const { index } = await nodes.propose(leader, 'a');
    // The leader has answered its client; the follower learns of the commit later.
    expect(follower.journal.commands).toEqual([]);
    expect(await nodes.end(follower.node.readIndex())).toBe(index);
    expect(follower.journal.commands).toEqual(['a']);
  });

  it('makes a follower wait until its slow disk has what the leader has committed', async () => {
    const nodes = await group(3);
    const { leader, follower } = await leaderAndFollower(nodes);
    follower.storage.fillDisk(); // nothing becomes durable, so nothing is applied
    await nodes.propose(leader, 'a');
    let isAnswered = false;
    const read = follower.node.readIndex().finally(() => (isAnswered = true));
    await nodes.pass(ELECTION_TIMEOUT_MS);
    expect(isAnswered).toBe(false);
    follower.storage.freeDisk();
    await nodes.end(read);
    expect(follower.journal.commands).toEqual(['a']);
  });

  it('answers a learner in the same way', async () => {
    const nodes = await group(3);
    const learner = await nodes.addLearner(4);
    const { index } = await nodes.propose(await nodes.leader(), 'a');
    expect(learner.journal.commands).toEqual([]);
    expect(await nodes.end(learner.node.readIndex())).toBe(index);
    expect(learner.journal.commands).toEqual(['a']);
  });

  it('makes a reader wait until the new leader has committed an entry of its term', async () => {
    const nodes = await group(3);
    await nodes.until(() => [...nodes.members.values()].some(({ node }) => node.status().role === 'leader'));
    const leader = [...nodes.members.values()].find(({ node }) => node.status().role === 'leader')!;
    expect(leader.node.status().leaderReady).toBe(false);
    const index = await nodes.end(leader.node.readIndex());
    expect(leader.node.status().leaderReady).toBe(true);
    expect(index).toBeGreaterThanOrEqual(2); // the no-op behind the group's first entry
  });

  it('asks again when the question was lost', async () => {
    const nodes = await group(3);
    const { leader, follower } = await leaderAndFollower(nodes);
    const traffic = nodes.traffic();
    nodes.network.cutLink(idOf(follower), idOf(leader));
    const read = follower.node.readIndex();
    await nodes.pass(200);
    expect(traffic.some(({ type }) => type === 'read-index-request')).toBe(false);
    nodes.network.heal();
    await nodes.end(read);
    expect(traffic.some(({ type }) => type === 'read-index-request')).toBe(true);
  });

  it('asks again when the answer was lost', async () => {
    const nodes = await group(3);
    const { leader, follower } = await leaderAndFollower(nodes);
    const traffic = nodes.traffic();
    nodes.network.cutLink(idOf(leader), idOf(follower));
    const read = follower.node.readIndex();
    await nodes.pass(200);
    expect(traffic.filter(({ type }) => type === 'read-index-request').length).toBeGreaterThan(1);
    expect(traffic.some(({ type }) => type === 'read-index-reply')).toBe(false);
    nodes.network.heal();
    await nodes.end(read);
  });

  it('rejects a read that nobody answers for two election timeouts', async () => {
    const nodes = await group(3);
    const { leader, follower } = await leaderAndFollower(nodes);
    nodes.network.cutLink(idOf(follower), idOf(leader));
    const startedAt = nodes.clock.monotonic();
    expect(await nodes.failure(follower.node.readIndex())).toBeInstanceOf(NotLeaderError);
    expect(follower.node.status().leaderId).toBe(idOf(leader)); // its heartbeats still come
    expect(nodes.clock.monotonic() - startedAt).toBeLessThanOrEqual(2 * ELECTION_TIMEOUT_MS);
  });

  it('rejects a read whose leader is replaced', async () => {
    const nodes = await group(3);
    const { leader, follower } = await leaderAndFollower(nodes);
    const successor = nodes.others(leader, follower)[0]!;
    nodes.network.cutLink(idOf(follower), idOf(leader));
    const dropped = nodes.failure(follower.node.readIndex());
    await nodes.end(leader.node.transferLeadership(idOf(successor)));
    expect(await dropped).toMatchObject({ code: 'NOT_LEADER', retryable: true });
    await nodes.until(() => follower.node.status().leaderId === idOf(successor));
    await nodes.end(follower.node.readIndex());
  });

  it('rejects reads at once where no leader is known', async () => {
    const nodes = await group(3);
    await expect(nodes.member(1).node.readIndex()).rejects.toMatchObject({ code: 'NOT_LEADER', leaderId: undefined });
    const learner = await nodes.join(4);
    await expect(learner.node.readIndex()).rejects.toBeInstanceOf(NotLeaderError);
  });

  it('answers no read of a node that is not a member', async () => {
    const nodes = await group(3);
    const stranger = await nodes.addLearner(4);
    const leader = await nodes.leader();
    nodes.isolate(stranger);
    await nodes.end(leader.node.changeMembership([{ type: 'remove', nodeId: 4 }]));
    nodes.network.heal();
    expect(stranger.node.status().leaderId).toBe(idOf(leader)); // as far as it knows
    expect(await nodes.failure(stranger.node.readIndex())).toBeInstanceOf(NotLeaderError);
  });

  it('rejects reads that wait when it stops', async () => {
    const nodes = await group(3);
    const { leader, follower } = await leaderAndFollower(nodes);
    nodes.network.cutLink(idOf(follower), idOf(leader));
    const dropped = nodes.failure(follower.node.readIndex());
    await nodes.end(follower.node.stop());
    expect(await dropped).toBeInstanceOf(NotLeaderError);
    await expect(follower.node.readIndex()).rejects.toBeInstanceOf(NotLeaderError);
  });
});

describe('RaftNode, lease reads', () => {
  it('takes a round of messages without the option', async () => {
    const nodes = await group(3);
    expect(await readDuration(nodes, await nodes.leader())).toBe(2); // there and back
  });

  it('takes no time with it', async () => {
    const nodes = await group(3, LEASES);
    const leader = await nodes.leader();
    await nodes.pass(ELECTION_TIMEOUT_MS);
    expect(await readDuration(nodes, leader)).toBe(0);
  });

  it('has a lease although rounds take longer than a tick', async () => {
    const nodes = await group(3, LEASES);
    const leader = await nodes.leader();
    nodes.network.setFaults({ minDelayMs: 60, maximumDelayMs: 60 });
    await nodes.pass(ELECTION_TIMEOUT_MS);
    expect(await readDuration(nodes, leader)).toBe(0);
  });

  it('waits for what was committed before it to be applied all the same', async () => {
    const nodes = await group(3, LEASES);
    const leader = await nodes.leader();
    const { index } = await nodes.propose(leader, 'a');
    expect(await nodes.end(leader.node.readIndex())).toBe(index);
    expect(leader.journal.commands).toEqual(['a']);
  });

  it('trusts no lease after it has asked another node to stand for election', async () => {
    const nodes = await group(3, LEASES);
    const leader = await nodes.leader();
    await nodes.pass(ELECTION_TIMEOUT_MS);
    const target = idOf(nodes.others(leader)[0]!);
    const asked = nodes.traffic();
    await nodes.until(() => leader.node.status().peers.every(({ matchIndex }) => matchIndex > 1));
    const transfer = nodes.failure(leader.node.transferLeadership(target));
    nodes.network.cutLink(idOf(leader), target);
    expect(await transfer).toBeInstanceOf(TransferFailedError);
    expect(asked.some(({ type }) => type === 'timeout-now')).toBe(false); // nobody can tell a lost one from a late one
    nodes.network.heal();
    await nodes.pass(ELECTION_TIMEOUT_MS);
    expect(leader.node.status().role).toBe('leader');
    expect(await readDuration(nodes, leader)).toBe(2);
  });

  it('trusts no lease after the process was paused', async () => {
    const nodes = await group(3, LEASES);
    const old = await nodes.leader();
    await nodes.pass(ELECTION_TIMEOUT_MS);
    old.process.pause();
    const next = await nodes.leader(idOf(old));
    await nodes.propose(next, 'newer');
    expect(old.node.status().role).toBe('leader'); // it knows nothing of the time that went by
    const stale = nodes.failure(old.node.readIndex());
    await nodes.settle();
    old.process.resume();
    expect(await stale).toBeInstanceOf(NotLeaderError);
    await nodes.until(() => old.journal.commands.includes('newer'));
  });

  it('lets the lease end when no quorum answers, long before another can lead', async () => {
    const nodes = await group(3, LEASES);
    const old = await nodes.leader();
    await nodes.pass(ELECTION_TIMEOUT_MS);
    nodes.isolate(old);
    await nodes.pass(ELECTION_TIMEOUT_MS - 50);
    expect(old.node.status().role).toBe('leader');
    expect(nodes.others(old).every(({ node }) => node.status().role !== 'leader')).toBe(true);
    expect(await nodes.failure(old.node.readIndex())).toBeInstanceOf(NotLeaderError);
  });

  it('elects a leader all the same after every node was restarted at once', async () => {
    const nodes = await group(3, LEASES);
    await nodes.propose(await nodes.leader(), 'a');
    for (const id of nodes.voters) nodes.crash(id);
    await nodes.startAll();
    const leader = await nodes.leader();
    await nodes.end(leader.node.readIndex());
    expect(leader.journal.commands).toEqual(['a']);
  });
});
