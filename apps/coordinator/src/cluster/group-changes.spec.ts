import { describe, expect, it } from '@jest/globals';
import type { ApplyResult } from '@concordat/commit-protocol';
import { SeededRandom, VirtualClock } from '@concordat/foundation';
import { RaftNode } from '@concordat/raft';
import { MemoryNetwork, MemoryStorage } from '@concordat/raft/testing';
import { CompressedEndedTransactions } from '../decision-log/ended-archive.js';
import { RaftDecisionLog } from '../decision-log/raft-decision-log.js';
import type { MemberRequest } from './cluster.api.js';
import { memberAt } from './member-address.js';
import { RaftCluster } from './raft-cluster.js';

const WAIT_MS = 2_000;
const MAXIMUM_SIMULATED_MS = 60_000;

function addressesOf(nodeId: number): Pick<MemberRequest, 'raft' | 'http'> {
  return { raft: { host: `node-${nodeId}`, port: 9081 }, http: { host: `node-${nodeId}`, port: 8081 } };
}

function request(nodeId: number, changes: Partial<MemberRequest> = {}): MemberRequest {
  return { nodeId, ...addressesOf(nodeId), role: 'voter', ...changes };
}

interface Running {
  readonly node: RaftNode<ApplyResult>;
  readonly cluster: RaftCluster;
}

/** Real nodes on a simulated network, disk and clock. */
class Group {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(5);
  readonly network = new MemoryNetwork({ clock: this.clock, random: this.random });
  readonly running = new Map<number, Running>();
  readonly storages = new Map<number, MemoryStorage>();

  static async of(...nodeIds: readonly number[]): Promise<Group> {
    const group = new Group();
    for (const nodeId of nodeIds) await group.start(nodeId, { initial: nodeIds });
    await group.until(() => group.leaderId !== undefined);
    return group;
  }

  async start(
    nodeId: number,
    { initial, join = false }: { initial: readonly number[]; join?: boolean },
  ): Promise<void> {
    const log = new RaftDecisionLog(new CompressedEndedTransactions({ hashSeed: 1 }));
    const storage = this.storages.get(nodeId) ?? new MemoryStorage();
    this.storages.set(nodeId, storage);
    const node = new RaftNode<ApplyResult>({
      nodeId,
      members: initial.map((id) => memberAt(id, addressesOf(id).raft, addressesOf(id).http)),
      join,
      storage,
      transport: this.network.transport(nodeId),
      stateMachine: log.stateMachine,
      clock: this.clock,
      random: this.random.fork(),
    });
    log.attach(node);
    await node.start();
    const cluster = new RaftCluster({ clusterName: 'test' }, node, this.clock, () => undefined);
    this.running.set(nodeId, { node, cluster });
  }

  /** It is gone, and so is what it had not written yet. */
  kill(nodeId: number): void {
    this.running.get(nodeId)?.node.kill();
    this.running.delete(nodeId);
    this.storages.get(nodeId)?.crash();
    this.network.detach(nodeId);
  }

  get leaderId(): number | undefined {
    return [...this.running].find(([, { cluster }]) => cluster.isLeader())?.[0];
  }

  get leader(): RaftCluster {
    return this.cluster(this.leaderId ?? 0);
  }

  cluster(nodeId: number): RaftCluster {
    const running = this.running.get(nodeId);
    if (!running) throw new TypeError(`node ${nodeId} does not run`);
    return running.cluster;
  }

  followers(): number[] {
    return [...this.running.keys()].filter((nodeId) => nodeId !== this.leaderId);
  }

  /** The ids with their roles, as a node sees them. */
  roles(cluster: RaftCluster = this.leader): Record<number, string> {
    return Object.fromEntries(cluster.view().members.map(({ nodeId, role }) => [nodeId, role]));
  }

  async until(condition: () => boolean): Promise<void> {
    const end = this.clock.monotonic() + MAXIMUM_SIMULATED_MS;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (condition()) return;
      if (this.clock.monotonic() > end || !this.clock.fireNext()) throw new Error('the condition never held');
    }
  }

  async end<T>(promise: Promise<T>): Promise<T> {
    let ended = false;
    void Promise.allSettled([promise]).then(() => (ended = true));
    await this.until(() => ended);
    return promise;
  }

  /** What a call is refused with. */
  async refusal(promise: Promise<unknown>): Promise<unknown> {
    return this.end(
      promise.then(
        (value) => ({ resolved: value }),
        (error: unknown) => error,
      ),
    );
  }
}

const THREE = [1, 2, 3] as const;
const VOTERS = { 1: 'voter', 2: 'voter', 3: 'voter' };

describe('a node that joins', () => {
  it('becomes a voter when it has caught up, is shown with its addresses, and a repeat changes nothing', async () => {
    const group = await Group.of(...THREE);
    await group.start(4, { initial: [1, 2, 3, 4], join: true });
    expect(group.cluster(4).exclusion()).toContain('does not belong to the group yet');
    const { added, view } = await group.end(group.leader.setMember(request(4), WAIT_MS));
    expect(added).toBe(true);
    expect(view.members[3]).toMatchObject({ nodeId: 4, role: 'voter', raftUrl: 'node-4:9081' });
    expect(view.changing).toBe(false);
    await group.until(() => group.roles(group.cluster(4))[4] === 'voter');
    expect(group.cluster(4).exclusion()).toBeUndefined();
    expect(group.cluster(4).leaderHttpUrl()).toBe(`http://node-${group.leaderId}:8081`);
    const again = await group.end(group.leader.setMember(request(4), WAIT_MS));
    expect(again).toMatchObject({ added: false, view: { lastIndex: view.lastIndex } });
  });

  it('stays a learner when that is asked for, and changes its role later', async () => {
    const group = await Group.of(...THREE);
    await group.start(4, { initial: [1, 2, 3, 4], join: true });
    await group.end(group.leader.setMember(request(4, { role: 'learner' }), WAIT_MS));
    expect(group.roles()).toEqual({ ...VOTERS, 4: 'learner' });
    expect(await group.end(group.leader.setMember(request(4, { role: 'learner' }), WAIT_MS))).toMatchObject({
      added: false,
    });
    expect(await group.end(group.leader.setMember(request(4), WAIT_MS))).toMatchObject({ added: false });
    expect(group.roles()).toEqual({ ...VOTERS, 4: 'voter' });
    await group.end(group.leader.setMember(request(4, { role: 'learner' }), WAIT_MS));
    expect(group.roles()).toEqual({ ...VOTERS, 4: 'learner' });
  });

  it('that does not answer stays a learner, what to check is said, and the same request goes on with it', async () => {
    const group = await Group.of(...THREE);
    const refusal = await group.refusal(group.leader.setMember(request(4), WAIT_MS));
    expect(refusal).toMatchObject({ code: 'MEMBER_NOT_CAUGHT_UP', retryable: true, details: { nodeId: 4 } });
    expect((refusal as Error).message).toMatch(/CONCORDAT_JOIN=true.*node-4:9081/);
    expect(group.roles()).toEqual({ ...VOTERS, 4: 'learner' });
    await group.start(4, { initial: [1, 2, 3, 4], join: true });
    expect(await group.end(group.leader.setMember(request(4), WAIT_MS))).toMatchObject({ added: false });
    expect(group.roles()).toEqual({ ...VOTERS, 4: 'voter' });
  });

  it('takes the place of a dead one in one step', async () => {
    const group = await Group.of(...THREE);
    const [dead] = group.followers();
    group.kill(dead!);
    await group.start(4, { initial: [1, 2, 3, 4], join: true });
    const replacement = request(4, { replaces: dead! });
    const { added, view } = await group.end(group.leader.setMember(replacement, WAIT_MS));
    expect(added).toBe(true);
    expect(view.members.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3, 4].filter((nodeId) => nodeId !== dead));
    expect(await group.end(group.leader.setMember(replacement, WAIT_MS))).toMatchObject({ added: false });
  });

  it('takes the place of the leader, which answers before it goes', async () => {
    const group = await Group.of(...THREE);
    const before = group.leaderId!;
    const old = group.leader;
    await group.start(4, { initial: [1, 2, 3, 4], join: true });
    const { view } = await group.end(old.setMember(request(4, { replaces: before }), WAIT_MS));
    expect(view.members.map(({ nodeId }) => nodeId)).not.toContain(before);
    await group.until(() => group.leaderId !== undefined && group.leaderId !== before);
    expect(old.exclusion()).toBe(`node ${before} was removed from the group`);
  });

  it('may take over the address of the one that it replaces, and of no other', async () => {
    const group = await Group.of(...THREE);
    const [dead] = group.followers();
    group.kill(dead!);
    await group.start(4, { initial: [1, 2, 3, 4], join: true });
    const inherited = request(4, { ...addressesOf(dead!) });
    expect(await group.refusal(group.leader.setMember(inherited, WAIT_MS))).toMatchObject({ code: 'MEMBER_CONFLICT' });
    const { view } = await group.end(group.leader.setMember({ ...inherited, replaces: dead! }, WAIT_MS));
    expect(view.members.at(-1)).toMatchObject({ nodeId: 4, raftUrl: `node-${dead}:9081` });
  });
});

describe('a change that contradicts the group', () => {
  it.each([
    ['another raftUrl', { raft: { host: 'node-2', port: 9999 } }],
    ['another httpUrl', { http: { host: 'elsewhere', port: 8081 } }],
  ])('is refused: %s', async (_name, changes) => {
    const group = await Group.of(...THREE);
    const refusal = await group.refusal(group.leader.setMember(request(2, changes), WAIT_MS));
    expect(refusal).toMatchObject({ code: 'MEMBER_CONFLICT', retryable: false });
    expect((refusal as Error).message).toContain('node-2:9081');
    expect(group.roles()).toEqual(VOTERS);
  });

  it('is refused: to replace or remove a stranger', async () => {
    const group = await Group.of(...THREE);
    const unknown = { code: 'MEMBER_NOT_FOUND' };
    expect(await group.refusal(group.leader.setMember(request(4, { replaces: 9 }), WAIT_MS))).toMatchObject(unknown);
    expect(await group.refusal(group.leader.removeMember(9))).toMatchObject(unknown);
    expect(group.roles()).toEqual(VOTERS);
  });

  it('is refused: to take the last voter', async () => {
    const group = await Group.of(1);
    const last = { code: 'LAST_VOTER' };
    expect(await group.refusal(group.leader.removeMember(1))).toMatchObject(last);
    expect(await group.refusal(group.leader.setMember(request(1, { role: 'learner' }), WAIT_MS))).toMatchObject(last);
    expect(group.roles()).toEqual({ 1: 'voter' });
  });

  it('is refused on a node that does not lead', async () => {
    const group = await Group.of(...THREE);
    const follower = group.cluster(group.followers()[0]!);
    for (const call of [
      follower.setMember(request(4), WAIT_MS),
      follower.removeMember(1),
      follower.transferLeadership(1),
    ]) {
      expect(await group.refusal(call)).toMatchObject({ reason: 'no-leader' });
    }
  });

  it('is refused while another one is under way', async () => {
    const group = await Group.of(1, 2, 3, 4, 5);
    const [first, second] = group.followers();
    const removal = group.leader.removeMember(first!);
    expect(await group.refusal(group.leader.removeMember(second!))).toMatchObject({ code: 'MEMBERSHIP_CHANGING' });
    await group.end(removal);
    expect(Object.keys(group.roles())).toHaveLength(4);
  });

  it('is refused when the disk is full', async () => {
    const group = await Group.of(1);
    group.storages.get(1)!.fillDisk('no room left');
    const full = { reason: 'disk-full', retryable: true, message: expect.stringContaining('no room left') };
    expect(await group.refusal(group.leader.setMember(request(4), WAIT_MS))).toMatchObject(full);
    expect(group.leader.lacks()).toEqual([{ what: 'disk', reason: expect.stringContaining('no room left') }]);
    group.storages.get(1)!.freeDisk();
    await group.end(group.leader.setMember(request(4, { role: 'learner' }), WAIT_MS));
  });
});

describe('a node that is removed', () => {
  it('says so, and the others go on without it', async () => {
    const group = await Group.of(...THREE);
    const [removed] = group.followers();
    const view = await group.end(group.leader.removeMember(removed!));
    expect(view.members).toHaveLength(2);
    await group.until(() => group.cluster(removed!).exclusion() !== undefined);
    expect(group.cluster(removed!).lacks()).not.toEqual([]);
    expect(await group.refusal(group.leader.removeMember(removed!))).toMatchObject({ code: 'MEMBER_NOT_FOUND' });
  });

  it('and leads hands over, and the answer still arrives', async () => {
    const group = await Group.of(...THREE);
    const removed = group.leaderId!;
    const old = group.leader;
    const view = await group.end(old.removeMember(removed));
    expect(view.members.map(({ nodeId }) => nodeId)).not.toContain(removed);
    await group.until(() => group.leaderId !== undefined && group.leaderId !== removed);
    expect(group.roles()).toEqual(Object.fromEntries(THREE.filter((id) => id !== removed).map((id) => [id, 'voter'])));
  });
});

describe('the leadership', () => {
  it('is handed over, and a node that leads already keeps it', async () => {
    const group = await Group.of(...THREE);
    const [target] = group.followers();
    const view = await group.end(group.leader.transferLeadership(target!));
    expect(view.leaderId).toBe(target);
    await group.until(() => group.leaderId === target);
    const { term } = group.leader.view();
    expect(await group.end(group.leader.transferLeadership(target!))).toMatchObject({ leaderId: target, term });
  });

  it('is not given to a learner or a stranger', async () => {
    const group = await Group.of(...THREE);
    await group.start(4, { initial: [1, 2, 3, 4], join: true });
    await group.end(group.leader.setMember(request(4, { role: 'learner' }), WAIT_MS));
    for (const nodeId of [4, 9]) {
      expect(await group.refusal(group.leader.transferLeadership(nodeId))).toMatchObject({ code: 'NOT_A_VOTER' });
    }
  });

  it('stays where it is when the other one is dead, and one transfer goes at a time', async () => {
    const group = await Group.of(...THREE);
    const [dead, alive] = group.followers();
    const { leaderId } = group;
    group.kill(dead!);
    const transfer = group.refusal(group.leader.transferLeadership(dead!));
    expect(await group.refusal(group.leader.transferLeadership(alive!))).toMatchObject({
      code: 'TRANSFER_IN_PROGRESS',
    });
    expect(await transfer).toMatchObject({ code: 'TRANSFER_FAILED', retryable: true });
    expect(group.leaderId).toBe(leaderId);
  });
});
