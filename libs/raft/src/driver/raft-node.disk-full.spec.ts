import { describe, expect, it } from '@jest/globals';
import { MemoryStorage } from '../storage/memory-storage.js';
import { ProposalDroppedError, ProposalUnknownError } from './errors.js';
import { group, idOf, NodeGroup } from './testing/node-group.js';

const encoder = new TextEncoder();

describe('RaftNode, full disk', () => {
  it('takes no proposals, tells why, and takes them again when there is room', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    leader.storage.fillDisk('no room on the device');
    expect(leader.node.status()).toMatchObject({ role: 'leader', diskFullReason: 'no room on the device' });
    const dropped = await nodes.failure(leader.node.propose(encoder.encode('refused')));
    expect(dropped).toBeInstanceOf(ProposalDroppedError);
    expect(dropped).toMatchObject({ code: 'DISK_FULL', retryable: true, message: 'no room on the device' });
    leader.storage.freeDisk();
    expect(leader.node.status().diskFullReason).toBeUndefined();
    await nodes.propose(leader, 'taken');
    expect(leader.journal.commands).toEqual(['taken']);
  });

  it('says that nobody knows what becomes of what was under way, and does it as soon as there is room', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    const pending = leader.node.propose(encoder.encode('waits')).catch((error: unknown) => error);
    leader.storage.fillDisk('no room on the device');
    await nodes.pass(60_000);
    expect(await nodes.end(pending)).toBeInstanceOf(ProposalUnknownError);
    expect(await nodes.failure(leader.node.propose(encoder.encode('refused')))).toMatchObject({ code: 'DISK_FULL' });
    expect(leader.journal.commands).toEqual([]);
    leader.storage.freeDisk();
    await nodes.until(() => leader.journal.commands.includes('waits'));
  });

  it('tells listeners', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    const seen: (string | undefined)[] = [];
    leader.node.onStatusChange(({ diskFullReason }) => seen.push(diskFullReason));
    leader.storage.fillDisk('full');
    await nodes.settle();
    leader.storage.freeDisk();
    await nodes.settle();
    expect(seen).toEqual(['full', undefined]);
  });

  it('hands leadership over to a node that has room', async () => {
    const nodes = await group(3);
    const old = await nodes.leader();
    await nodes.propose(old, 'a');
    const startedAt = nodes.clock.monotonic();
    old.storage.fillDisk();
    const next = await nodes.leader(idOf(old));
    expect(nodes.clock.monotonic() - startedAt).toBeLessThan(500);
    await nodes.propose(next, 'b');
    expect(next.journal.commands).toEqual(['a', 'b']);
    expect(old.node.status().role).toBe('follower');
    old.storage.freeDisk();
    await nodes.until(() => old.journal.commands.length === 2);
    expect(old.fatal).toEqual([]);
  });

  it('holds nobody up as a follower, and catches up when there is room', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const full = nodes.others(leader)[0]!;
    full.storage.fillDisk();
    for (const command of ['a', 'b', 'c']) await nodes.propose(leader, command);
    await nodes.pass(10_000);
    expect(full.journal.commands).toEqual([]);
    expect(leader.node.status().role).toBe('leader');
    full.storage.freeDisk();
    await nodes.until(() => full.journal.commands.length === 3);
  });

  it('commits nothing when a majority has no room, and everything when it has', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    for (const follower of nodes.others(leader)) follower.storage.fillDisk();
    const pending = leader.node.propose(encoder.encode('a')).catch((error: unknown) => error);
    await nodes.pass(2_000);
    expect(nodes.others().every(({ journal }) => journal.commands.length === 0)).toBe(true);
    for (const follower of nodes.others(leader)) follower.storage.freeDisk();
    const outcome = await nodes.end(pending);
    await nodes.propose(await nodes.leader(), 'b');
    const { commands } = (await nodes.leader()).journal;
    // Its leader may have stepped down meanwhile; then the caller was told that nobody knows, and both may be.
    if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ProposalUnknownError);
    else expect(commands).toEqual(['a', 'b']);
    expect(commands.at(-1)).toBe('b');
  });

  it('repeats a snapshot that found no room', async () => {
    const nodes = await group(1, { snapshotAfterEntries: 10 });
    const leader = await nodes.leader();
    let refused = 0;
    const { storage } = leader;
    const save = storage.saveSnapshot.bind(storage);
    storage.saveSnapshot = (snapshot) => (refused++ < 1 ? Promise.resolve(false) : save(snapshot));
    for (let command = 0; command < 12; command++) await nodes.propose(leader, `command ${command}`);
    expect(storage.stored().snapshot).toBeUndefined();
    await nodes.propose(leader, 'goes on');
    await nodes.pass(10_000);
    await nodes.propose(leader, 'later');
    await nodes.until(() => storage.stored().snapshot !== undefined);
    expect(refused).toBe(2);
  });

  it('goes on with a snapshot it receives when there is room', async () => {
    const nodes = await group(3, { snapshotAfterBytes: 400, limits: { snapshotChunkBytes: 50 } });
    const leader = await nodes.leader();
    const lateId = idOf(nodes.others(leader)[0]!);
    nodes.crash(lateId);
    for (let command = 0; command < 60; command++) await nodes.propose(leader, `command ${command}`);
    const traffic = nodes.traffic();
    const late = await nodes.start(lateId);
    await nodes.until(() => traffic.filter(({ type }) => type === 'snapshot-chunk').length === 4);
    late.storage.fillDisk();
    await nodes.pass(5_000);
    expect(late.journal.commands).toEqual([]);
    late.storage.freeDisk();
    await nodes.until(() => late.journal.commands.length === 60);
    expect(late.journal.commands).toEqual(leader.journal.commands);
    expect(late.fatal).toEqual([]);
  });

  it('starts on a full disk, and joins in when there is room', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const lateId = idOf(nodes.others(leader)[0]!);
    nodes.crash(lateId);
    nodes.member(lateId).storage.fillDisk('still full');
    await nodes.propose(leader, 'a');
    const late = await nodes.start(lateId);
    expect(late.node.status().diskFullReason).toBe('still full');
    await nodes.pass(5_000);
    late.storage.freeDisk();
    await nodes.until(() => late.journal.commands.length === 1);
  });

  it('begins a group on a full disk as soon as there is room', async () => {
    const nodes = new NodeGroup(1);
    const storage = new MemoryStorage({ clock: nodes.clock, delayMs: () => 1 });
    storage.fillDisk();
    const { node } = await nodes.start(1, { storage });
    await nodes.pass(5_000);
    expect(node.status().role).not.toBe('leader');
    storage.freeDisk();
    await nodes.leader();
  });

  it('stops while a write waits for room', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    leader.storage.fillDisk();
    const pending = nodes.failure(leader.node.propose(encoder.encode('a')));
    expect(await pending).toMatchObject({ code: 'DISK_FULL' });
    await nodes.end(leader.node.stop());
    expect(leader.node.status().role).toBe('follower');
  });

  it('stops while a proposal waits for room, which ends as unknown', async () => {
    const nodes = await group(1);
    const leader = await nodes.leader();
    const pending = nodes.failure(leader.node.propose(encoder.encode('a')));
    leader.storage.fillDisk();
    await nodes.settle();
    await nodes.end(leader.node.stop());
    expect(await pending).toBeInstanceOf(ProposalUnknownError);
    expect(leader.storage.stored().entries.some(({ kind }) => kind === 'normal')).toBe(false);
  });
});

describe('RaftNode, too much that is not committed', () => {
  it('refuses what goes beyond the bound for certain, and commits the rest', async () => {
    const nodes = await group(3, { limits: { maximumUncommittedBytes: 1_000 } });
    const leader = await nodes.leader();
    nodes.isolate(leader);
    const proposals = Array.from(
      { length: 20 },
      (_, position) => leader.node.propose(encoder.encode(String(position).padEnd(68))), // 100 bytes with what an entry costs
    );
    const ends = Promise.allSettled(proposals);
    await nodes.settle();
    nodes.network.heal();
    const outcomes = await nodes.end(ends);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    for (const outcome of outcomes.slice(10)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'OVERLOADED', retryable: true } });
    }
    await nodes.propose(leader, 'room again');
    expect(leader.journal.commands).toHaveLength(11);
  });
});
