import { describe, expect, it } from '@jest/globals';
import { memberOf } from '../core/membership/configuration.js';
import type { MembershipChange } from '../core/membership/membership-change.js';
import { MembershipRefusedError, NotLeaderError, ProposalUnknownError } from './errors.js';
import { group, idOf, type GroupNode, type NodeGroup } from './testing/node-group.js';

const encoder = new TextEncoder();

function addLearner(nodeId: number): MembershipChange {
  return { type: 'add-learner', member: memberOf(nodeId) };
}

/** Waits until every node that runs has the leader's configuration, and that it is not joint. */
async function untilAgreed(nodes: NodeGroup, among: readonly GroupNode[]): Promise<void> {
  await nodes.until(() => new Set(among.map((member) => JSON.stringify(nodes.roles(member)))).size === 1);
  expect(nodes.roles(among[0]!).outgoing).toEqual([]);
}

describe('RaftNode, membership', () => {
  it('lets a node that joins wait, whatever time goes by, until it is added', async () => {
    const nodes = await group(3);
    await nodes.propose(await nodes.leader(), 'a');
    const joining = await nodes.join(4);
    await nodes.pass(10_000);
    expect(joining.reached[0]).toEqual([1, 2, 3]);
    expect(joining.node.status()).toMatchObject({ role: 'follower', term: 1, lastIndex: 0, leaderId: undefined });
  });

  it('adds a learner, which gets everything and counts for nothing', async () => {
    const nodes = await group(3);
    await nodes.propose(await nodes.leader(), 'before');
    const learner = await nodes.addLearner(4);
    const leader = await nodes.leader();
    await nodes.propose(leader, 'after');
    await nodes.until(() => learner.journal.commands.length === 2);
    await untilAgreed(nodes, [...nodes.members.values()]);
    expect(nodes.roles(leader)).toEqual({ voters: [1, 2, 3], outgoing: [], learners: [4] });
    expect(leader.reached.at(-1)).toContain(4);
    expect(learner.reached.at(-1)).toEqual([1, 2, 3]);
    for (const voter of nodes.others(leader, learner)) nodes.crash(idOf(voter));
    const stuck = leader.node.propose(encoder.encode('stuck'));
    expect(await nodes.failure(stuck)).toBeInstanceOf(ProposalUnknownError);
  });

  it('promotes a learner that has caught up, and counts it from then on', async () => {
    const nodes = await group(1);
    const learner = await nodes.addLearner(2);
    const leader = await nodes.leader();
    const configuration = await nodes.end(leader.node.changeMembership([{ type: 'promote', nodeId: 2 }]));
    expect(configuration).toMatchObject({ voters: [1, 2], outgoing: [], learners: [] });
    nodes.isolate(learner);
    expect(await nodes.failure(leader.node.propose(encoder.encode('alone')))).toBeInstanceOf(ProposalUnknownError);
  });

  it('waits for a learner that is to be promoted until it has caught up', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    await nodes.end(leader.node.changeMembership([addLearner(4)]));
    const promoted = leader.node.changeMembership([{ type: 'promote', nodeId: 4 }]);
    await nodes.pass(2_000);
    expect(nodes.roles(leader).learners).toEqual([4]);
    await nodes.join(4);
    expect((await nodes.end(promoted)).voters).toEqual([1, 2, 3, 4]);
  });

  it('refuses the promotion when the learner does not catch up in time', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    await nodes.end(leader.node.changeMembership([addLearner(4)]));
    const change = leader.node.changeMembership([{ type: 'promote', nodeId: 4 }], { catchUpTimeoutMs: 1_000 });
    const startedAt = nodes.clock.monotonic();
    expect(await nodes.failure(change)).toMatchObject({ code: 'NOT_CAUGHT_UP', retryable: true });
    expect(nodes.clock.monotonic() - startedAt).toBeLessThanOrEqual(1_000);
    expect(nodes.roles(leader)).toEqual({ voters: [1, 2, 3], outgoing: [], learners: [4] });
  });

  it('replaces a dead node by another in one step', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const dead = nodes.others(leader)[0]!;
    nodes.crash(idOf(dead));
    const learner = await nodes.addLearner(4);
    const change: MembershipChange[] = [
      { type: 'promote', nodeId: 4 },
      { type: 'remove', nodeId: idOf(dead) },
    ];
    const { voters, outgoing, learners } = await nodes.end(leader.node.changeMembership(change));
    expect([voters, outgoing, learners]).toEqual([[...nodes.voters.filter((id) => id !== idOf(dead)), 4], [], []]);
    const living = nodes.others(dead);
    await untilAgreed(nodes, living);
    // Two of three are enough now, the new one among them.
    nodes.crash(idOf(nodes.others(dead, leader, learner)[0]!));
    await nodes.propose(leader, 'a');
    await nodes.until(() => learner.journal.commands.includes('a'));
  });

  it('demotes a voter, which goes on as a learner', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const demoted = nodes.others(leader)[0]!;
    await nodes.end(leader.node.changeMembership([{ type: 'demote', nodeId: idOf(demoted) }]));
    expect(nodes.roles(leader).learners).toEqual([idOf(demoted)]);
    await nodes.propose(leader, 'a');
    await nodes.until(() => demoted.journal.commands.length === 1);
    nodes.isolate(demoted);
    const { term } = demoted.node.status();
    await nodes.pass(5_000);
    expect(demoted.node.status()).toMatchObject({ role: 'follower', term });
  });

  it.each(['remove', 'demote'] as const)('hands over when the leader is the one to %s', async (type) => {
    const nodes = await group(3);
    const old = await nodes.leader();
    const oldId = idOf(old);
    await nodes.propose(old, 'a');
    const startedAt = nodes.clock.monotonic();
    const configuration = await nodes.end(old.node.changeMembership([{ type, nodeId: oldId }]));
    expect(configuration.voters).toEqual(nodes.voters.filter((id) => id !== oldId));
    const next = await nodes.leader(oldId);
    expect(nodes.clock.monotonic() - startedAt).toBeLessThan(500); // without waiting for anybody's timeout
    expect(old.node.status().role).toBe('follower');
    expect(await nodes.failure(old.node.propose(encoder.encode('b')))).toBeInstanceOf(NotLeaderError);
    await nodes.propose(next, 'c');
    expect(next.journal.commands).toEqual(['a', 'c']);
  });

  it('is not harmed by a node that was removed and never told', async () => {
    const nodes = await group(4);
    const leader = await nodes.leader();
    const removed = nodes.others(leader)[0]!;
    nodes.isolate(removed);
    await nodes.end(leader.node.changeMembership([{ type: 'remove', nodeId: idOf(removed) }]));
    const { term } = leader.node.status();
    nodes.network.heal();
    await nodes.pass(10_000);
    expect(leader.node.status()).toMatchObject({ role: 'leader', term });
    expect(removed.node.status().role).not.toBe('leader');
    await nodes.propose(leader, 'a');
    expect(removed.journal.commands).toEqual([]);
  });

  it('goes on with proposals while it changes', async () => {
    const nodes = await group(3);
    await nodes.addLearner(4);
    const leader = await nodes.leader();
    const commands = Array.from({ length: 20 }, (_, position) => `command ${position}`);
    const proposals = commands.map((command) => leader.node.propose(encoder.encode(command)));
    const change = leader.node.changeMembership([{ type: 'promote', nodeId: 4 }]);
    await nodes.end(Promise.all([...proposals, change]));
    expect(leader.journal.commands).toEqual(commands);
  });

  it('keeps the configuration over a restart of everybody', async () => {
    const nodes = await group(3, { snapshotAfterEntries: 3 });
    await nodes.addLearner(4);
    const leader = await nodes.leader();
    await nodes.end(leader.node.changeMembership([{ type: 'promote', nodeId: 4 }]));
    for (let command = 0; command < 10; command++) await nodes.propose(leader, `command ${command}`);
    await nodes.until(() => nodes.others().every(({ journal }) => journal.commands.length === 10));
    for (const member of nodes.others()) nodes.crash(idOf(member));
    for (const id of [1, 2, 3, 4]) await nodes.start(id, { members: [1, 2, 3].map((nodeId) => memberOf(nodeId)) });
    const next = await nodes.leader();
    expect(nodes.roles(next)).toEqual({ voters: [1, 2, 3, 4], outgoing: [], learners: [] });
    await nodes.propose(next, 'after');
    await nodes.until(() => nodes.others().every(({ journal }) => journal.commands.length === 11));
  });

  it('answers a change although the log was compacted before it was in force', async () => {
    const limits = { eagerMessages: 100 };
    const nodes = await group(3, { snapshotAfterEntries: 1, snapshotAfterBytes: 1, limits });
    await nodes.addLearner(4);
    const leader = await nodes.leader();
    const change = leader.node.changeMembership([{ type: 'promote', nodeId: 4 }]);
    await nodes.until(() => nodes.roles(leader).outgoing.length > 0);
    const jointIndex = leader.node.status().lastIndex;
    const { index } = await nodes.propose(leader, 'behind the joint configuration');
    nodes.isolate(leader);
    await nodes.until(() => leader.storage.stored().snapshot?.metadata.index === index);
    await nodes.pass(10);
    expect(leader.node.status().commitIndex).toBe(index);
    expect(index).toBe(jointIndex + 1);
    nodes.network.heal();
    expect((await nodes.end(change)).voters).toEqual([1, 2, 3, 4]);
  });

  it('leaves a change unknown when leadership is lost on the way', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    nodes.isolate(leader);
    const change = nodes.failure(leader.node.changeMembership([addLearner(4)]));
    expect(await change).toBeInstanceOf(ProposalUnknownError);
    expect(nodes.roles(leader).learners).toEqual([4]);
    nodes.network.heal();
    const next = await nodes.leader();
    await nodes.propose(next, 'a');
    await nodes.until(() => nodes.roles(leader).learners.length === 0); // it was never committed
  });

  it('finishes a change that its leader began before it failed', async () => {
    const nodes = await group(3);
    const learner = await nodes.addLearner(4);
    const old = await nodes.leader();
    const change = nodes.failure(old.node.changeMembership([{ type: 'promote', nodeId: 4 }]));
    await nodes.until(() => nodes.others(old).every((member) => nodes.roles(member).outgoing.length > 0));
    nodes.crash(idOf(old));
    expect(await change).toBeInstanceOf(ProposalUnknownError);
    const next = await nodes.leader(idOf(old));
    await nodes.until(() => nodes.roles(next).outgoing.length === 0);
    expect(nodes.roles(next)).toEqual({ voters: [1, 2, 3, 4], outgoing: [], learners: [] });
    await untilAgreed(nodes, [next, learner]);
  });
});

describe('RaftNode, refused changes of the membership', () => {
  const refusals: [string, MembershipChange[]][] = [
    ['INVALID_CHANGE', []],
    [
      'INVALID_CHANGE',
      [
        { type: 'promote', nodeId: 4 },
        { type: 'remove', nodeId: 4 },
      ],
    ],
    ['INVALID_CHANGE', [{ type: 'add-learner', member: memberOf(5, { priority: -1 }) }]],
    ['ALREADY_MEMBER', [addLearner(2)]],
    ['ALREADY_MEMBER', [addLearner(4)]],
    ['UNKNOWN_MEMBER', [{ type: 'remove', nodeId: 9 }]],
    ['NOT_A_LEARNER', [{ type: 'promote', nodeId: 2 }]],
    ['NOT_A_VOTER', [{ type: 'demote', nodeId: 4 }]],
    ['LAST_VOTER', [1, 2, 3].map((nodeId) => ({ type: 'remove', nodeId }))],
  ];

  it.each(refusals)('%s: %j', async (code, change) => {
    const nodes = await group(3);
    await nodes.addLearner(4);
    const leader = await nodes.leader();
    const { lastIndex } = leader.node.status();
    const refused = await nodes.failure(leader.node.changeMembership(change));
    expect(refused).toBeInstanceOf(MembershipRefusedError);
    expect(refused).toMatchObject({ code, retryable: false });
    expect(leader.node.status().lastIndex).toBe(lastIndex);
  });

  it('CHANGE_IN_PROGRESS: the one before is not in force yet', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const first = leader.node.changeMembership([addLearner(4)]);
    const second = await nodes.failure(leader.node.changeMembership([addLearner(5)]));
    expect(second).toMatchObject({ code: 'CHANGE_IN_PROGRESS', retryable: true });
    expect((await nodes.end(first)).learners).toEqual([4]);
  });

  it('LEADER_NOT_READY: nothing of its term is committed', async () => {
    const nodes = await group(3);
    await nodes.until(() => nodes.others().some(({ node }) => node.status().role === 'leader'));
    const leader = nodes.others().find(({ node }) => node.status().role === 'leader')!;
    const refused = await nodes.failure(leader.node.changeMembership([addLearner(4)]));
    expect(refused).toMatchObject({ code: 'LEADER_NOT_READY', retryable: true });
  });

  it('NOT_LEADER: by a follower, by a node that stopped', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const follower = nodes.others(leader)[0]!;
    await nodes.until(() => follower.node.status().leaderId === idOf(leader));
    const refused = await nodes.failure(follower.node.changeMembership([addLearner(4)]));
    expect(refused).toMatchObject({ code: 'NOT_LEADER', leaderId: idOf(leader) });
    await nodes.end(follower.node.stop());
    expect(await nodes.failure(follower.node.changeMembership([addLearner(4)]))).toBeInstanceOf(NotLeaderError);
  });

  it('ends a promotion that waits when leadership is lost, as not begun', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    await nodes.end(leader.node.changeMembership([addLearner(4)]));
    const promotion = nodes.failure(leader.node.changeMembership([{ type: 'promote', nodeId: 4 }]));
    nodes.isolate(leader);
    expect(await promotion).toBeInstanceOf(NotLeaderError);
  });
});
