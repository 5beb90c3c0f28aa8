import { describe, expect, it } from '@jest/globals';
import { BRANCH_ID, sampleCluster, sampleTransaction, TRANSACTION_ID } from './testing/samples.js';
import { answer, broken, problem } from './testing/scripted-fetch.js';
import { settle, virtualClient } from './testing/virtual-client.js';

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe('lists', () => {
  it('of transactions are read page by page, an empty page in between included', async () => {
    const { client, script } = virtualClient([
      answer(200, { items: [sampleTransaction()], nextCursor: 'a' }),
      answer(200, { items: [], nextCursor: 'b' }),
      answer(200, { items: [sampleTransaction()], nextCursor: null }),
    ]);
    const query = { status: 'aborted', participant: 'bank-a', limit: 20 } as const;
    expect(await collect(client.list(query, { consistency: 'stale' }))).toHaveLength(2);
    expect(script.sent.map(({ path }) => path.replace('/v1/transactions?', ''))).toEqual([
      'status=aborted&participant=bank-a&limit=20&consistency=stale',
      'status=aborted&participant=bank-a&limit=20&cursor=a&consistency=stale',
      'status=aborted&participant=bank-a&limit=20&cursor=b&consistency=stale',
    ]);
  });

  it('are read only as far as they are used', async () => {
    const { client, script } = virtualClient([answer(200, { items: [sampleTransaction()], nextCursor: 'a' })]);
    for await (const transaction of client.list()) {
      expect(transaction.id).toBe(TRANSACTION_ID);
      break;
    }
    expect(script.sent).toMatchObject([{ path: '/v1/transactions' }]);
  });

  it('that do not go on are refused', async () => {
    const page = answer(200, { items: [], nextCursor: 'a' });
    const { client } = virtualClient([page, page]);
    await expect(collect(client.list())).rejects.toMatchObject({ code: 'INVALID_ANSWER' });
  });

  it('of branches in doubt', async () => {
    const branch = {
      transactionId: TRANSACTION_ID,
      branchId: BRANCH_ID,
      participant: 'bank-a',
      gid: 'concordat:local:x:y',
      state: 'in-doubt',
      since: '2026-01-01T00:00:00.000Z',
      reason: 'no end',
      rulings: [{ action: 'forget', force: true }],
    };
    const { client, script } = virtualClient([answer(200, { items: [branch], nextCursor: null })]);
    expect(await collect(client.inDoubt())).toEqual([branch]);
    expect(script.sent[0]!.path).toBe('/v1/in-doubt');
  });
});

describe('the calls of operators', () => {
  it('rule on a transaction', async () => {
    const ruling = { action: 'commit', operator: 'ann', reason: 'seen', force: false, effect: 'decided' };
    const resolution = { ruling: { ...ruling, at: '2026-01-01T00:00:00.000Z' }, transaction: null };
    const { client, script } = virtualClient([answer(200, resolution)]);
    const request = { action: 'commit', reason: 'seen', operator: 'ann' } as const;
    expect(await client.resolve(TRANSACTION_ID, request)).toEqual(resolution);
    expect(script.sent[0]).toMatchObject({ path: `/v1/transactions/${TRANSACTION_ID}/resolve`, body: request });
    expect(script.sent[0]!.headers.has('idempotency-key')).toBe(true);
  });

  it('say when a ruling needs force', async () => {
    const { client } = virtualClient([problem('RULING_NEEDS_FORCE', 409)]);
    await expect(client.resolve(TRANSACTION_ID, { action: 'abort', reason: 'x' })).rejects.toMatchObject({
      name: 'RulingRefusedError',
      code: 'RULING_NEEDS_FORCE',
    });
  });

  it('show and change the group', async () => {
    const cluster = answer(200, sampleCluster());
    const { client, script } = virtualClient([cluster, answer(201, sampleCluster()), cluster, cluster]);
    const member = { nodeId: 4, raftUrl: 'd:9081', httpUrl: 'http://d:8081', role: 'voter', replaces: 3 } as const;
    expect(await client.cluster.get()).toEqual(sampleCluster());
    await client.cluster.setMember(member, { waitMs: 100 });
    await client.cluster.removeMember(3);
    await client.cluster.transferLeadership(2);
    expect(script.sent).toMatchObject([
      { method: 'GET', path: '/v1/cluster' },
      { method: 'POST', path: '/v1/cluster/members?waitMs=100', body: member },
      { method: 'DELETE', path: '/v1/cluster/members/3' },
      { method: 'POST', path: '/v1/cluster/leader', body: { nodeId: 2 } },
    ]);
  });

  it('do not repeat a removal that may have taken effect', async () => {
    const { client, script, clock } = virtualClient([broken]);
    const error = { code: 'CONNECTION_FAILED', mayHaveTakenEffect: true };
    await expect(settle(clock, client.cluster.removeMember(3))).rejects.toMatchObject(error);
    expect(script.sent).toHaveLength(1);
  });

  it('refuse what is no id of a node', async () => {
    const { client } = virtualClient([]);
    await expect(client.cluster.removeMember(0)).rejects.toMatchObject({ code: 'INVALID_NODE_ID' });
    await expect(client.cluster.transferLeadership(1.5)).rejects.toMatchObject({ code: 'INVALID_NODE_ID' });
  });
});
