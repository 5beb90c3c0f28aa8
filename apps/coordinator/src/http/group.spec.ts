import { afterEach, describe, expect, it } from '@jest/globals';
import { ask, TestGroup, type GroupNode } from './testing/test-group.js';

const TRANSACTIONS = '/v1/transactions';
const MEMBERS = '/v1/cluster/members';

let group: TestGroup;
afterEach(() => group.stop());

async function begin(node: GroupNode): Promise<string> {
  const { status, body } = await ask(node, 'POST', TRANSACTIONS, { timeoutMs: 600_000 });
  expect(status).toBe(201);
  return body['id'] as string;
}

function memberBody(nodeId: number, { httpPort }: GroupNode): object {
  return { nodeId, raftUrl: `node-${nodeId}:1`, httpUrl: `http://127.0.0.1:${httpPort}`, role: 'voter' };
}

describe('a question right after a change', () => {
  it('is answered at every node with what the change was answered with, or more', async () => {
    group = await TestGroup.start(3);
    const nodes = [...group.nodes.values()];
    for (let round = 0; round < 10; round++) {
      const writer = nodes[round % nodes.length]!;
      const id = await begin(writer);
      const active = await Promise.all(nodes.map((node) => ask(node, 'GET', `${TRANSACTIONS}/${id}`)));
      expect(active.map(({ body }) => body['status'])).toEqual(['active', 'active', 'active']);
      const commit = await ask(writer, 'POST', `${TRANSACTIONS}/${id}/commit?wait=ended`);
      expect(commit.body).toMatchObject({ status: 'committed' });
      for (const node of nodes) {
        const one = await ask(node, 'GET', `${TRANSACTIONS}/${id}`);
        expect(one.body).toEqual(commit.body);
        expect(one.appliedIndex).toBeGreaterThanOrEqual(commit.body['logIndex'] as number);
        const list = await ask(node, 'GET', `${TRANSACTIONS}?limit=1`);
        expect(list.body['items']).toEqual([commit.body]);
      }
    }
  });

  it('shows votes that are being collected at every node, as the 202 did', async () => {
    group = await TestGroup.start(3);
    const leader = await group.leader();
    for (const participant of ['bank-a', 'bank-b']) {
      leader.manager.onReply({ type: 'announce', participant, operations: ['debit'] });
    }
    const branches = ['bank-a', 'bank-b'].map((participant) => ({ participant, operation: 'debit', payload: {} }));
    const url = `${TRANSACTIONS}/execute?waitMs=0`;
    let id: string | undefined;
    while (id === undefined) {
      const { status, body } = await ask(leader, 'POST', url, { branches, timeoutMs: 600_000 });
      if (status === 202) id = body['id'] as string;
      else expect(body['code']).toBe('UNKNOWN_PARTICIPANT'); // the announcement is on its way into the log
    }
    const [first] = leader.bus.of('prepare');
    const { transactionId, branchId, participant } = first!;
    leader.manager.onReply({ type: 'vote', transactionId, branchId, participant, vote: 'yes', results: [] });
    const commit = await ask(leader, 'POST', `${TRANSACTIONS}/${id}/commit?waitMs=0`);
    expect(commit.status).toBe(202);
    expect((commit.body['branches'] as { vote: string | null }[]).map(({ vote }) => vote)).toEqual(['yes', null]);
    for (const node of group.nodes.values()) {
      expect((await ask(node, 'GET', `${TRANSACTIONS}/${id}`)).body).toEqual(commit.body);
      expect((await ask(node, 'GET', TRANSACTIONS)).body['items']).toEqual([commit.body]);
      const stale = await ask(node, 'GET', `${TRANSACTIONS}/${id}?consistency=stale`);
      expect(stale.body).toMatchObject({ id, status: 'preparing' });
    }
  });
});

describe('a node that is cut off', () => {
  it('answers stale questions at once, and linearizable ones when it hears of the others again', async () => {
    group = await TestGroup.start(3);
    const [cutOff, other] = await group.followers();
    const id = await begin(other!);
    expect((await ask(cutOff!, 'GET', `${TRANSACTIONS}/${id}`)).status).toBe(200);
    const others = [...group.nodes.keys()].filter((nodeId) => nodeId !== cutOff!.nodeId);
    group.network.partition([cutOff!.nodeId], others);
    await ask(other!, 'POST', `${TRANSACTIONS}/${id}/commit?wait=ended`);
    const stale = await ask(cutOff!, 'GET', `${TRANSACTIONS}/${id}?consistency=stale`);
    expect(stale.body['status']).toBe('active');
    const question = ask(cutOff!, 'GET', `${TRANSACTIONS}/${id}`);
    await group.until(() => cutOff!.cluster.view().leaderId === null);
    group.network.heal();
    const { body, appliedIndex } = await question;
    expect(body['status']).toBe('committed');
    expect(appliedIndex).toBeGreaterThan(stale.appliedIndex);
  });

  it('does not answer as the leader that it was', async () => {
    group = await TestGroup.start(3);
    const old = await group.leader();
    const id = await begin(old);
    const others = [...group.nodes.keys()].filter((nodeId) => nodeId !== old.nodeId);
    group.network.partition([old.nodeId], others);
    const question = ask(old, 'GET', `${TRANSACTIONS}/${id}`);
    const next = await group.leader([old.nodeId]);
    const commit = await ask(next, 'POST', `${TRANSACTIONS}/${id}/commit?wait=ended`);
    expect(commit.body['status']).toBe('committed');
    expect((await ask(next, 'GET', `${TRANSACTIONS}/${id}`)).body['status']).toBe('committed');
    group.network.heal();
    expect((await question).body['status']).toBe('committed');
  });
});

describe('a group without its broker', () => {
  const broker = 'the broker cannot be reached';

  it('is ready for questions and rulings at each node, and not for work', async () => {
    group = await TestGroup.start(3);
    for (const node of group.nodes.values()) node.bus.connected = false;
    for (const node of group.nodes.values()) {
      const work = await ask(node, 'GET', '/readyz');
      expect([work.status, work.body]).toMatchObject([503, { for: 'work', lacks: ['broker'], reasons: [broker] }]);
      expect((await ask(node, 'GET', '/readyz?for=reads')).status).toBe(200);
      const id = await begin(node); // logged, and sent when the broker is back
      expect((await ask(node, 'GET', `${TRANSACTIONS}/${id}`)).body['status']).toBe('active');
      expect((await ask(node, 'GET', '/v1/in-doubt')).status).toBe(200);
      expect((await ask(node, 'GET', '/v1/cluster')).status).toBe(200);
      const ruling = { action: 'abort', operator: 'anna', reason: 'the client is gone' };
      const ruled = await ask(node, 'POST', `${TRANSACTIONS}/${id}/resolve`, ruling);
      expect(ruled.body).toMatchObject({ ruling: { action: 'abort' }, transaction: { decision: 'abort' } });
    }
  });
});

describe('a group that changes', () => {
  it('takes a fourth node in at any node, which then serves like the others', async () => {
    group = await TestGroup.start(3);
    const [follower] = await group.followers();
    const id = await begin(follower!);
    const fourth = await group.join(4);
    const url = `${TRANSACTIONS}/${id}`;
    expect((await ask(fourth, 'GET', url)).body).toMatchObject({ status: 503, code: 'NOT_A_MEMBER' });
    expect((await ask(fourth, 'POST', TRANSACTIONS, {})).body).toMatchObject({ code: 'NOT_A_MEMBER' });
    expect((await ask(fourth, 'GET', '/readyz')).body['status']).toBe('not-ready');
    const added = await ask(follower!, 'POST', MEMBERS, memberBody(4, fourth));
    expect(added.status).toBe(201);
    expect((added.body['members'] as { role: string }[]).map(({ role }) => role)).toEqual(Array(4).fill('voter'));
    expect((await ask(follower!, 'POST', MEMBERS, memberBody(4, fourth))).status).toBe(200);
    await group.until(() => fourth.cluster.lacks().length === 0);
    expect((await ask(fourth, 'GET', url)).body).toMatchObject({ id, status: 'active' });
    expect((await ask(fourth, 'POST', `${url}/commit?wait=ended`)).body['status']).toBe('committed');
    expect((await ask(fourth, 'POST', '/v1/cluster/leader', { nodeId: 4 })).body['leaderId']).toBe(4);
    await group.until(() => fourth.cluster.isLeader());
    expect((await ask(follower!, 'GET', url)).body['status']).toBe('committed');
  });

  it('lets its leader go on request of any node', async () => {
    group = await TestGroup.start(3);
    const old = await group.leader();
    const [follower] = await group.followers();
    const id = await begin(follower!);
    const removal = await ask(follower!, 'DELETE', `${MEMBERS}/${old.nodeId}`);
    expect(removal.status).toBe(200);
    expect((removal.body['members'] as { nodeId: number }[]).map(({ nodeId }) => nodeId)).not.toContain(old.nodeId);
    await group.leader([old.nodeId]);
    expect((await ask(follower!, 'GET', `${TRANSACTIONS}/${id}`)).status).toBe(200);
    expect((await ask(old, 'GET', `${TRANSACTIONS}/${id}`)).body['code']).toBe('NOT_A_MEMBER');
    expect((await ask(old, 'GET', `${TRANSACTIONS}/${id}?consistency=stale`)).status).toBe(200);
    expect((await ask(follower!, 'DELETE', `${MEMBERS}/${old.nodeId}`)).body['code']).toBe('MEMBER_NOT_FOUND');
  });
});
