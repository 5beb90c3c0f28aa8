import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Secured, type Bearer } from './testing/secured.js';
import { ask, TestGroup, type GroupNode } from './testing/test-group.js';

const TRANSACTIONS = '/v1/transactions';
const RULING = { action: 'abort', reason: 'the client is gone', operator: 'mallory' };

let secured: Secured;
let group: TestGroup;
let leader: GroupNode;
let follower: GroupNode;
beforeAll(async () => {
  secured = await Secured.create();
  group = await TestGroup.start(3, secured.environment);
  leader = await group.leader();
  [follower] = (await group.followers()) as [GroupNode];
  for (const participant of ['bank-a', 'shop']) {
    leader.manager.onReply({ type: 'announce', participant, operations: ['debit'] });
  }
  await group.until(() => leader.log.state.participant('shop') !== undefined);
});
afterAll(async () => {
  await group.stop();
  secured.remove();
});

type Method = 'GET' | 'POST' | 'DELETE';

function as(bearer: Bearer, node: GroupNode, method: Method, url: string, payload?: object, headers: object = {}) {
  return ask(node, method, url, payload, { ...secured.header(bearer), ...headers });
}

async function begin(bearer: Bearer, node = follower): Promise<string> {
  const { status, body } = await as(bearer, node, 'POST', TRANSACTIONS, { timeoutMs: 600_000 });
  expect([status, body['owner']]).toEqual([201, `token:${bearer}`]);
  return body['id'] as string;
}

/** An answer without what names its transaction. */
function anonymous({ status, body }: { status: number; body: object }, id: string): string {
  return `${status} ${JSON.stringify(body).replaceAll(id, 'ID')}`;
}

describe('a transaction in a group', () => {
  it('belongs to who began it, at whatever node: to others it does not exist', async () => {
    const id = await begin('alice');
    const missing = id.replace(/.{6}$/, '000000');
    for (const node of [leader, follower]) {
      expect((await as('alice', node, 'GET', `${TRANSACTIONS}/${id}`)).body).toMatchObject({ id, status: 'active' });
      const branch = { participant: 'bank-a', operation: 'debit', payload: {} };
      const calls = [
        ['GET', ''],
        ['GET', '?consistency=stale'],
        ['GET', '/events'],
        ['POST', '/commit'],
        ['POST', '/abort'],
        ['POST', '/branches', branch],
      ] as const;
      for (const [method, path, payload] of calls) {
        const [foreign, none] = [
          await as('bob', node, method, `${TRANSACTIONS}/${id}${path}`, payload),
          await as('bob', node, method, `${TRANSACTIONS}/${missing}${path}`, payload),
        ];
        expect([path, anonymous(foreign, id)]).toEqual([path, anonymous(none, missing)]);
        expect(foreign).toMatchObject({ status: 404, body: { code: 'TRANSACTION_NOT_FOUND' } });
      }
      expect((await as('bob', node, 'GET', TRANSACTIONS)).body).toEqual({ items: [], nextCursor: null });
    }
    for (const bearer of ['watcher', 'oscar'] as const) {
      expect((await as(bearer, follower, 'GET', `${TRANSACTIONS}/${id}`)).body).toMatchObject({ owner: 'token:alice' });
      expect((await as(bearer, follower, 'POST', `${TRANSACTIONS}/${id}/commit`)).status).toBe(403);
    }
    expect((await as('alice', follower, 'POST', `${TRANSACTIONS}/${id}/commit?wait=ended`)).status).toBe(200);
  });

  it('is seen by the participants that have joined it, and by no other', async () => {
    const id = await begin('alice');
    const url = `${TRANSACTIONS}/${id}`;
    expect((await as('bank', follower, 'GET', url)).status).toBe(404);
    const vote = { participant: 'bank-a', branchId: id.replace(/.{6}$/, '00000a'), vote: 'yes' };
    expect((await as('bank', follower, 'POST', `${url}/branches`, vote)).status).toBe(201);
    expect((await as('bank', follower, 'GET', url)).body).toMatchObject({ id });
    expect((await as('bank', leader, 'GET', TRANSACTIONS)).body['items']).toMatchObject([{ id }]);
    expect((await as('shop', follower, 'GET', url)).status).toBe(404);
    expect((await as('bank', follower, 'POST', `${url}/commit`)).status).toBe(403);
    expect((await as('shop', follower, 'POST', `${url}/commit`)).status).toBe(404);
    expect((await as('shop', follower, 'POST', `${url}/abort`)).status).toBe(404);
    expect((await as('bank', follower, 'POST', `${url}/abort`)).body).toMatchObject({ id, decision: 'abort' });
  });

  it('is ruled on by the principal, and never by a name in the body', async () => {
    const id = await begin('alice');
    const ruled = await as('oscar', follower, 'POST', `${TRANSACTIONS}/${id}/resolve`, RULING);
    expect(ruled.body).toMatchObject({ ruling: { operator: 'token:oscar' } });
    const { body } = await as('alice', leader, 'GET', `${TRANSACTIONS}/${id}`);
    expect(body).toMatchObject({
      detail: expect.stringContaining('token:oscar'),
      rulings: [{ operator: 'token:oscar' }],
    });
    expect(JSON.stringify(body)).not.toContain('mallory');
  });

  it('is begun once for each principal with a key', async () => {
    const headers = { 'idempotency-key': 'order-4711' };
    const ids = [];
    for (const bearer of ['alice', 'bob', 'alice', 'bob'] as const) {
      ids.push((await as(bearer, follower, 'POST', TRANSACTIONS, {}, headers)).body['id']);
    }
    expect(ids.slice(2)).toEqual(ids.slice(0, 2));
    expect(ids[0]).not.toBe(ids[1]);
    const other = await as('alice', follower, 'POST', TRANSACTIONS, { timeoutMs: 500 }, headers);
    expect(other.body).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(other.body['detail']).toContain('key order-4711 was');
  });
});

describe('a request that a follower passes on', () => {
  it('is judged again by the leader, by the credential of its sender', async () => {
    await begin('alice', follower);
    // the leader alone is asked, as a follower asks it
    const url = `http://127.0.0.1:${leader.httpPort}${TRANSACTIONS}`;
    const forwarded = { 'x-concordat-forwarded-by': String(follower.nodeId) };
    expect((await fetch(url, { method: 'POST', headers: forwarded })).status).toBe(401);
    const asMetrics = await fetch(url, { method: 'POST', headers: { ...forwarded, ...secured.header('prometheus') } });
    expect(asMetrics.status).toBe(403);
  });

  it('is audited at both nodes, with the address of its sender', async () => {
    // what the sender says of its address does not count
    const lie = { 'x-concordat-forwarded-for': '10.1.2.3' };
    await as('oscar', follower, 'DELETE', '/v1/cluster/members/77', undefined, lie);
    const entries = () => secured.audit().filter(({ url }) => url === '/v1/cluster/members/77');
    await group.until(() => entries().length === 2);
    const [atLeader, atFollower] = entries().toSorted((left) => ('forwardedBy' in left ? -1 : 1));
    const by = { principal: 'token:oscar', status: 404 };
    expect(atLeader).toMatchObject({ ...by, forwardedBy: String(follower.nodeId), forwardedFor: '127.0.0.1' });
    expect(atFollower).toMatchObject({ ...by, address: '127.0.0.1' });
    expect(atFollower).not.toHaveProperty('forwardedFor');
  });
});

describe('the stream of all events', () => {
  async function open(bearer: Bearer, lastEventId?: number): Promise<() => string> {
    const headers = {
      ...secured.header(bearer),
      ...(lastEventId !== undefined && { 'last-event-id': String(lastEventId) }),
    };
    const call = request(`http://127.0.0.1:${follower.httpPort}/v1/events`, { headers, agent: false });
    call.on('error', () => undefined);
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    return () => text;
  }

  it('has for a client what it began, now and from the history, and for an observer everything', async () => {
    const before = follower.cluster.view().appliedIndex;
    const [live, all] = [await open('alice'), await open('watcher')];
    const foreign = [await begin('bob'), await begin('bob')];
    const own = await begin('alice');
    await group.until(() => all().includes(own) && live().includes(own));
    const history = await open('alice', before);
    await group.until(() => history().includes(own));
    for (const id of foreign) {
      expect([live().includes(id), history().includes(id), all().includes(id)]).toEqual([false, false, true]);
    }
  });
});
