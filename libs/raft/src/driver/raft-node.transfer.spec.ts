import { describe, expect, it } from '@jest/globals';
import { memberOf } from '../core/membership/configuration.js';
import { NotLeaderError, ProposalDroppedError } from './errors.js';
import { group, idOf, type GroupNode, type NodeGroup } from './testing/node-group.js';

const ELECTION_TIMEOUT_MS = 500;
const encoder = new TextEncoder();

/** A transfer that cannot end well: the target is gone, and the leader does not know it yet. */
async function transferToDeadNode(nodes: NodeGroup): Promise<{ leader: GroupNode; failed: Promise<unknown> }> {
  const leader = await nodes.leader();
  const target = idOf(nodes.others(leader)[0]!);
  nodes.crash(target);
  return { leader, failed: nodes.failure(leader.node.transferLeadership(target)) };
}

describe('RaftNode, transfer of leadership', () => {
  it('makes the target lead, faster than an election timeout', async () => {
    const nodes = await group(3);
    const old = await nodes.leader();
    const target = nodes.others(old)[1]!;
    await nodes.propose(old, 'a');
    const startedAt = nodes.clock.monotonic();
    await nodes.end(old.node.transferLeadership(idOf(target)));
    expect(nodes.clock.monotonic() - startedAt).toBeLessThan(ELECTION_TIMEOUT_MS / 2);
    expect(old.node.status()).toMatchObject({ role: 'follower', leaderId: idOf(target), transferTarget: undefined });
    expect(target.node.status().role).toBe('leader');
    await nodes.leader();
    await nodes.propose(target, 'b');
    expect(target.journal.commands).toEqual(['a', 'b']);
  });

  it('brings a target that lags up to date first', async () => {
    const nodes = await group(3);
    const old = await nodes.leader();
    const late = idOf(nodes.others(old)[0]!);
    nodes.crash(late);
    for (let command = 0; command < 20; command++) await nodes.propose(old, `command ${command}`);
    const target = await nodes.start(late);
    await nodes.end(old.node.transferLeadership(late));
    expect(target.node.status().role).toBe('leader');
    await nodes.until(() => target.journal.commands.length === 20);
  });

  it('tells whom it hands over to meanwhile', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const target = idOf(nodes.others(leader)[0]!);
    const done = leader.node.transferLeadership(target);
    expect(leader.node.status().transferTarget).toBe(target);
    await nodes.end(done);
  });

  it('does nothing when the leader itself is the target', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const { term } = leader.node.status();
    await nodes.end(leader.node.transferLeadership(idOf(leader)));
    expect(leader.node.status()).toMatchObject({ role: 'leader', term, transferTarget: undefined });
  });

  it('is refused to a learner and to a stranger', async () => {
    const nodes = await group(3);
    await nodes.addLearner(4);
    const leader = await nodes.leader();
    for (const target of [4, 5]) {
      const refused = await nodes.failure(leader.node.transferLeadership(target));
      expect(refused).toMatchObject({ code: 'NOT_A_VOTER', retryable: false });
    }
    await nodes.propose(leader, 'it goes on');
  });

  it('is refused where this node does not lead, naming the leader', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const follower = nodes.others(leader)[0]!;
    await nodes.until(() => follower.node.status().leaderId === idOf(leader));
    const refused = await nodes.failure(follower.node.transferLeadership(idOf(follower)));
    expect(refused).toBeInstanceOf(NotLeaderError);
    expect(refused).toMatchObject({ leaderId: idOf(leader) });
  });

  it('is refused while another one is under way, and shared with the same one', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const [first, second] = nodes.others(leader).map(idOf);
    const transfers = [leader.node.transferLeadership(first!), leader.node.transferLeadership(first!)];
    const refused = await nodes.failure(leader.node.transferLeadership(second!));
    expect(refused).toMatchObject({ code: 'TRANSFER_IN_PROGRESS', retryable: true });
    await nodes.end(Promise.all(transfers));
    expect(leader.node.status().leaderId).toBe(first);
  });

  it('is given up after an election timeout, and the leader leads on in its term', async () => {
    const nodes = await group(3);
    const { term } = (await nodes.leader()).node.status();
    const startedAt = nodes.clock.monotonic();
    const { leader, failed } = await transferToDeadNode(nodes);
    expect(await failed).toMatchObject({ code: 'TRANSFER_FAILED', retryable: true });
    expect(nodes.clock.monotonic() - startedAt).toBeLessThanOrEqual(ELECTION_TIMEOUT_MS);
    expect(leader.node.status()).toMatchObject({ role: 'leader', term, transferTarget: undefined });
    await nodes.propose(leader, 'on');
  });

  it('refuses proposals meanwhile, which are never in the log', async () => {
    const nodes = await group(3);
    const { leader, failed } = await transferToDeadNode(nodes);
    const dropped = await nodes.failure(leader.node.propose(encoder.encode('meanwhile')));
    expect(dropped).toBeInstanceOf(ProposalDroppedError);
    expect(dropped).toMatchObject({ code: 'TRANSFERRING', retryable: true });
    await failed;
    await nodes.propose(leader, 'later');
    expect(leader.journal.commands).toEqual(['later']);
  });

  it('refuses changes of the membership meanwhile', async () => {
    const nodes = await group(3);
    const { leader, failed } = await transferToDeadNode(nodes);
    const change = leader.node.changeMembership([{ type: 'add-learner', member: memberOf(9) }]);
    expect(await nodes.failure(change)).toMatchObject({ code: 'CHANGE_IN_PROGRESS', retryable: true });
    await failed;
  });

  it('answers reads meanwhile', async () => {
    const nodes = await group(3);
    const { leader, failed } = await transferToDeadNode(nodes);
    await nodes.end(leader.node.readIndex());
    expect(leader.node.status().transferTarget).toBeDefined();
    await failed;
  });

  it('ends for its callers when the node stops', async () => {
    const nodes = await group(3);
    const { leader, failed } = await transferToDeadNode(nodes);
    leader.node.kill();
    expect(await failed).toBeInstanceOf(NotLeaderError);
    await expect(leader.node.transferLeadership(1)).rejects.toBeInstanceOf(NotLeaderError);
  });

  it('hands over to the most advanced follower when the node stops', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const [advanced, behind] = nodes.others(leader);
    nodes.network.cutLink(idOf(leader), idOf(behind!));
    await nodes.propose(leader, 'a');
    await nodes.end(leader.node.stop());
    expect(idOf(await nodes.leader(idOf(leader)))).toBe(idOf(advanced!));
  });
});

describe('RaftNode, priority', () => {
  it('gives leadership to the voter of highest priority, by a transfer', async () => {
    const nodes = await group(3, { priorities: { 2: 5, 3: 10 } });
    const traffic = nodes.traffic();
    await nodes.until(() => nodes.member(3).node.status().leaderReady);
    const first = traffic.find(({ type }) => type === 'append-entries')!;
    const handedOver = traffic.some(({ type, to }) => type === 'timeout-now' && to === 3);
    expect(handedOver).toBe(first.from !== 3);
    const { term } = nodes.member(3).node.status();
    await nodes.pass(20 * ELECTION_TIMEOUT_MS);
    expect(nodes.member(3).node.status()).toMatchObject({ role: 'leader', term }); // and there it stays
  });

  it('leaves it with another while that voter is away, and gives it back', async () => {
    const nodes = await group(3, { priorities: { 3: 10 } });
    await nodes.until(() => nodes.member(3).node.status().leaderReady);
    nodes.crash(3);
    const interim = await nodes.leader(3);
    await nodes.propose(interim, 'a');
    const back = await nodes.start(3);
    await nodes.until(() => back.node.status().leaderReady);
    expect(back.journal.commands).toEqual(['a']);
  });

  it('does not move between equals', async () => {
    const nodes = await group(3, { priorities: { 1: 7, 2: 7, 3: 7 } });
    const leader = await nodes.leader();
    const { term } = leader.node.status();
    await nodes.pass(20 * ELECTION_TIMEOUT_MS);
    expect(leader.node.status()).toMatchObject({ role: 'leader', term });
  });
});
