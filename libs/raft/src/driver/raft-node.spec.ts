import { describe, expect, it } from '@jest/globals';
import { NotLeaderError, ProposalDroppedError, ProposalUnknownError } from './errors.js';
import type { RaftStatus } from './raft-node.types.js';
import { group, NodeGroup } from './testing/node-group.js';

const encoder = new TextEncoder();

describe('RaftNode', () => {
  it('commits a proposal and gives its result to whoever proposed it', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    expect(await nodes.propose(leader, 'a')).toEqual({ index: 3, term: leader.node.status().term, result: 1 });
    await nodes.until(() => [...nodes.members.values()].every(({ journal }) => journal.commands.length === 1));
  });

  it('serves a group of one', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    await nodes.propose(leader, 'a');
    await nodes.end(leader.node.confirmLeadership());
    await nodes.end(leader.node.stop());
  });

  it('applies the same byte array object that was proposed', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const command = encoder.encode('same');
    await nodes.end(leader.node.propose(command));
    expect(leader.journal.identities[0]).toBe(command);
  });

  it('resolves a proposal without waiting for any timer of its own', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const startedAt = nodes.clock.monotonic();
    await nodes.propose(leader, 'a');
    // 1 ms there, 1 ms on the follower's disk, 1 ms back
    expect(nodes.clock.monotonic() - startedAt).toBe(3);
  });

  it('sends proposals of one turn in one message per follower', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const batches: number[] = [];
    nodes.network.observe((message) => {
      if (message.type === 'append-entries' && message.entries.length > 0) batches.push(message.entries.length);
    });
    await nodes.end(Promise.all(['a', 'b', 'c'].map((command) => leader.node.propose(encoder.encode(command)))));
    expect(batches).toEqual([3, 3]);
  });

  it('sends no heartbeats while it sends entries, and does again afterwards', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    await nodes.until(() => leader.node.status().peers.every(({ matchIndex }) => matchIndex >= 2));
    const traffic = nodes.traffic();
    const empty = (): number =>
      traffic.filter((message) => message.type === 'append-entries' && message.entries.length === 0).length;
    for (let count = 0; count < 20; count++) {
      await nodes.propose(leader, 'a');
      await nodes.pass(20);
    }
    expect(empty()).toBeLessThanOrEqual(2); // that of the tick before
    const before = empty();
    await nodes.pass(500);
    expect(empty() - before).toBeGreaterThanOrEqual(16); // to two followers, with every tick but the first
  });

  it('refuses proposals and confirmations where it does not lead, naming the leader', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const leaderId = leader.node.status().nodeId;
    const follower = nodes.member(leaderId === 1 ? 2 : 1);
    await nodes.until(() => follower.node.status().leaderId === leaderId);
    await expect(follower.node.propose(new Uint8Array(1))).rejects.toMatchObject({ code: 'NOT_LEADER', leaderId });
    await expect(follower.node.confirmLeadership()).rejects.toBeInstanceOf(NotLeaderError);
  });

  it('ends proposals of a leader that is replaced as unknown', async () => {
    const nodes = await group(3);
    const old = await nodes.leader();
    const oldId = old.node.status().nodeId;
    const others = nodes.voters.filter((id) => id !== oldId);
    nodes.network.partition([oldId], others);
    const lost = nodes.propose(old, 'lost');
    const failed = expect(lost).rejects.toBeInstanceOf(ProposalUnknownError);
    const next = await nodes.leader(oldId);
    await nodes.propose(next, 'kept');
    nodes.network.heal();
    await failed;
    await nodes.until(() => old.journal.commands.length > 0);
    expect(old.journal.commands).toEqual(['kept']);
  });

  it('bounds what is pending and says so', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    nodes.network.partition([leader.node.status().nodeId], []);
    for (const id of nodes.voters) if (id !== leader.node.status().nodeId) nodes.crash(id);
    const pending = Array.from({ length: 10_000 }, () => leader.node.propose(new Uint8Array(1)));
    const ends = Promise.allSettled(pending);
    await expect(leader.node.propose(new Uint8Array(1))).rejects.toMatchObject({ code: 'OVERLOADED', retryable: true });
    await nodes.end(leader.node.stop());
    expect((await ends).every(({ status }) => status === 'rejected')).toBe(true);
  });

  it('refuses a command that is too large', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    const refused = leader.node.propose(new Uint8Array(3 * 1024 * 1024));
    await expect(refused).rejects.toMatchObject({ code: 'TOO_LARGE', retryable: false });
  });

  it('refuses proposals before start and after stop', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    await nodes.end(leader.node.stop());
    await expect(leader.node.propose(new Uint8Array(1))).rejects.toBeInstanceOf(ProposalDroppedError);
    await expect(leader.node.confirmLeadership()).rejects.toBeInstanceOf(NotLeaderError);
  });

  it('confirms leadership by a quorum and shares rounds between callers', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const rounds = new Set<number>();
    nodes.network.observe((message) => {
      if (message.type === 'append-entries') rounds.add(message.round);
    });
    await nodes.pass(200); // the round of the election's end is carried by heartbeats
    const before = Math.max(...rounds);
    const first = leader.node.confirmLeadership();
    await nodes.until(() => rounds.has(before + 1));
    await nodes.end(Promise.all([first, leader.node.confirmLeadership(), leader.node.confirmLeadership()]));
    expect([...rounds].filter((round) => round > before)).toEqual([before + 1, before + 2]);
  });

  it('never confirms a leader that was replaced behind a partition', async () => {
    const nodes = await group(3);
    const old = await nodes.leader();
    const oldId = old.node.status().nodeId;
    nodes.network.partition(
      [oldId],
      nodes.voters.filter((id) => id !== oldId),
    );
    const refused = expect(old.node.confirmLeadership()).rejects.toBeInstanceOf(NotLeaderError);
    const next = await nodes.leader(oldId);
    await nodes.propose(next, 'newer');
    await refused;
    expect(old.node.status().role).not.toBe('leader');
    nodes.network.heal();
  });

  it('comes back from its disk with everything that was committed', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    for (const command of ['a', 'b', 'c']) await nodes.propose(leader, command);
    for (const id of nodes.voters) nodes.crash(id);
    await nodes.startAll();
    const next = await nodes.leader();
    expect(next.journal.commands).toEqual(['a', 'b', 'c']);
  });

  it('takes snapshots, compacts, and restarts from them', async () => {
    const nodes = await group(1, { snapshotAfterBytes: 500 });
    const leader = await nodes.leader();
    for (let command = 0; command < 50; command++) await nodes.propose(leader, `command ${command}`);
    await nodes.until(() => leader.storage.stored().snapshot !== undefined);
    const expected = [...leader.journal.commands];
    nodes.crash(1);
    await nodes.start(1);
    const restarted = await nodes.leader();
    expect(restarted.journal.restored).toBe(1);
    expect(restarted.journal.commands).toEqual(expected);
  });

  it('goes on committing while a snapshot is being written', async () => {
    const nodes = await group(1, { snapshotAfterBytes: 100 });
    const leader = await nodes.leader();
    let saving = false;
    leader.storage.saveSnapshot = () => {
      saving = true;
      return new Promise(() => undefined);
    };
    for (let command = 0; command < 20; command++) await nodes.propose(leader, `command ${command}`);
    expect(saving).toBe(true);
    expect(leader.journal.commands).toHaveLength(20);
  });

  it('brings a node far behind up to date by a snapshot', async () => {
    const nodes = await group(3, { snapshotAfterBytes: 500 });
    const leader = await nodes.leader();
    const lateId = leader.node.status().nodeId === 1 ? 2 : 1;
    nodes.crash(lateId);
    for (let command = 0; command < 100; command++) await nodes.propose(leader, `command ${command}`);
    const late = await nodes.start(lateId);
    await nodes.until(() => late.journal.commands.length === 100);
    expect(late.journal.restored).toBeGreaterThan(0);
    expect(late.journal.commands).toEqual(leader.journal.commands);
  });

  it('hands leadership over when it stops, faster than an election timeout', async () => {
    const nodes = await group(3);
    const old = await nodes.leader();
    await nodes.propose(old, 'a');
    const startedAt = nodes.clock.monotonic();
    await nodes.end(old.node.stop());
    await nodes.leader(old.node.status().nodeId);
    expect(nodes.clock.monotonic() - startedAt).toBeLessThan(500);
  });

  it('stops as a leader even when nobody can take over', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const leaderId = leader.node.status().nodeId;
    for (const id of nodes.voters) if (id !== leaderId) nodes.crash(id);
    await nodes.end(leader.node.stop());
    expect(leader.node.status().role).toBe('follower');
  });

  it('stops at once when its disk fails, and the others go on', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    leader.storage.failNextWrite(new Error('disk is gone'));
    await expect(nodes.propose(leader, 'a')).rejects.toBeInstanceOf(ProposalUnknownError);
    expect(leader.fatal.map(({ message }) => message)).toEqual(['disk is gone']);
    await nodes.leader(leader.node.status().nodeId);
  });

  it('stops at once when its state machine throws', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    leader.journal.broken = true;
    await expect(nodes.propose(leader, 'a')).rejects.toBeInstanceOf(ProposalUnknownError);
    expect(leader.fatal.map(({ message }) => message)).toEqual(['cannot apply']);
    expect(leader.node.status().role).toBe('follower');
  });

  it('tells listeners of every change until they are removed', async () => {
    const nodes = new NodeGroup(1);
    const started = nodes.start(1);
    const { node } = nodes.member(1);
    const seen: RaftStatus[] = [];
    const remove = node.onStatusChange((status) => seen.push(status));
    await started;
    await nodes.leader();
    expect(seen.map(({ role, leaderReady }) => [role, leaderReady])).toContainEqual(['leader', false]);
    expect(seen.at(-1)).toMatchObject({ role: 'leader', leaderId: 1, leaderReady: true });
    remove();
    const { length } = seen;
    await nodes.end(node.stop());
    expect(seen).toHaveLength(length);
  });

  it('reports its peers', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    await nodes.propose(leader, 'a');
    const { peers, lastIndex } = leader.node.status();
    expect(peers).toHaveLength(2);
    expect(peers.some(({ matchIndex, healthy }) => matchIndex === lastIndex && healthy)).toBe(true);
    const dead = peers[0]!.nodeId;
    nodes.crash(dead);
    await nodes.until(() => leader.node.status().peers[0]?.healthy === false);
  });
});
