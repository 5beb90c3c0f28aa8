import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { LogUnavailableError } from '../transactions/errors.js';
import { FORWARDED_BY_HEADER } from './audit-entries.js';
import { MAXIMUM_FORWARDED_BYTES } from './forward-to-leader.js';
import { aborted, committed, ID } from './testing/fake-engine.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const EXECUTE = '/v1/transactions/execute';
const transfer = { branches: [{ participant: 'bank-a', operation: 'debit', payload: { text: 'ä€' } }] };

let follower: TestNode;
let leader: TestNode;
beforeAll(async () => {
  [follower, leader] = await Promise.all([createTestNode(), createTestNode()]);
});
afterAll(() => Promise.all([follower.app.close(), leader.app.close()]));
beforeEach(async () => {
  for (const { transactions, cluster } of [follower, leader]) {
    cluster.calls.length = 0;
    cluster.outside = undefined;
    transactions.leaderKnowsMore = false;
    transactions.calls.length = 0;
    transactions.failure = undefined;
    transactions.settlement = { settled: true, transaction: committed };
  }
  leader.cluster.leads = true;
  leader.cluster.leaderUrl = undefined;
  follower.cluster.leads = false;
  follower.cluster.leaderUrl = await leader.listen();
  follower.cluster.waits.length = 0;
  follower.cluster.onWait = () => undefined;
});

function execute(headers: Record<string, string> = {}) {
  return follower.app.inject({ method: 'POST', url: `${EXECUTE}?waitMs=5&wait=ended`, payload: transfer, headers });
}

describe('a follower', () => {
  it('passes a request on whole: path, query, body, headers; and the answer back', async () => {
    const answer = await execute({ 'idempotency-key': 'k1' });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual(committed);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(answer.headers['concordat-leader']).toBe(await leader.listen());
    const [[name, request, options]] = leader.transactions.calls as [[string, unknown, unknown]];
    expect([name, options]).toEqual(['execute', { waitMs: 5, wait: 'ended' }]);
    expect(request).toMatchObject({ ...transfer, idempotency: { key: 'k1' } });
    expect(follower.transactions.calls).toEqual([]);
  });

  it.each([
    ['POST', '/v1/transactions', 201, 'begin'],
    ['POST', `/v1/transactions/${ID}/commit`, 200, 'commit'],
  ] as const)('passes %s %s on', async (method, url, status, call) => {
    const answer = await follower.app.inject({ method, url });
    expect(answer.statusCode).toBe(status);
    expect(leader.transactions.calls.map(([name]) => name)).toEqual([call]);
  });

  it.each([
    ['POST', '/v1/cluster/members', 201, 'setMember'],
    ['DELETE', '/v1/cluster/members/3', 200, 'removeMember'],
    ['POST', '/v1/cluster/leader', 200, 'transferLeadership'],
  ] as const)('passes %s %s on', async (method, url, status, call) => {
    const member = { nodeId: 4, raftUrl: 'h:1', httpUrl: 'http://h:2', role: 'voter' };
    const payload = { setMember: member, removeMember: undefined, transferLeadership: { nodeId: 2 } }[call];
    const answer = await follower.app.inject({ method, url, ...(payload && { payload }) });
    expect(answer.statusCode).toBe(status);
    expect(leader.cluster.calls.map(([name]) => name)).toEqual([call]);
    expect(follower.cluster.calls).toEqual([]);
  });

  it.each([
    ['get', `/v1/transactions/${ID}`],
    ['get', `/v1/transactions/${ID}?consistency=linearizable`],
    ['get', `/v1/transactions/${ID}?consistency=stale`],
    ['list', '/v1/transactions?status=active&limit=3'],
    ['list', '/v1/transactions?consistency=stale'],
    ['inDoubt', '/v1/in-doubt?consistency=stale'],
  ] as const)('answers the question %s of %s from its own state', async (call, url) => {
    const answer = await follower.app.inject({ method: 'GET', url });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['concordat-applied-index']).toBe('41');
    expect(follower.transactions.calls.map(([name]) => name)).toEqual([call]);
    expect(leader.transactions.calls).toEqual([]);
  });

  it.each([
    ['get', `/v1/transactions/${ID}`],
    ['list', '/v1/transactions?limit=3'],
    ['inDoubt', '/v1/in-doubt'],
  ] as const)('passes the question %s of %s on where the leader knows more', async (call, url) => {
    follower.transactions.leaderKnowsMore = true;
    const answer = await follower.app.inject({ method: 'GET', url });
    expect(answer.statusCode).toBe(200);
    expect(leader.transactions.calls.map(([name]) => name)).toEqual([call]);
    expect(answer.headers['concordat-applied-index']).toBe('41');
  });

  it('answers a question that was passed on to it as far as it can, and passes it no further', async () => {
    const headers = { [FORWARDED_BY_HEADER]: '3' };
    const url = `/v1/transactions/${ID}`;
    expect((await follower.app.inject({ method: 'GET', url, headers })).statusCode).toBe(200);
    follower.transactions.leaderKnowsMore = true;
    const answer = await follower.app.inject({ method: 'GET', url, headers });
    expect(answer.json()).toMatchObject({ status: 503, code: 'NO_LEADER' });
    expect(leader.transactions.calls).toEqual([]);
  });

  it('reads once more when it has become the leader that knows more', async () => {
    follower.transactions.leaderKnowsMore = true;
    follower.cluster.leaderUrl = undefined;
    follower.cluster.onWait = () => (follower.cluster.leads = true);
    const answer = await follower.app.inject({ method: 'GET', url: `/v1/transactions/${ID}` });
    expect(answer.statusCode).toBe(200);
    expect(follower.transactions.calls.map(([name]) => name)).toEqual(['get', 'get']);
  });

  it.each([
    ['POST', EXECUTE],
    ['POST', '/v1/cluster/leader'],
    ['GET', `/v1/transactions/${ID}`],
    ['GET', '/v1/in-doubt'],
    ['GET', '/v1/events'],
    ['GET', `/v1/transactions/${ID}/events`],
  ] as const)('that does not belong to the group says so at once: %s %s', async (method, url) => {
    follower.cluster.outside = 'node 4 was removed from the group';
    const answer = await follower.app.inject({ method, url, ...(method === 'POST' && { payload: transfer }) });
    expect(answer.json()).toMatchObject({ status: 503, code: 'NOT_A_MEMBER', detail: follower.cluster.outside });
    expect(answer.headers['retry-after']).toBe('5');
    expect([...follower.transactions.calls, ...leader.transactions.calls, ...leader.cluster.calls]).toEqual([]);
    const stale = await follower.app.inject({ method: 'GET', url: `/v1/transactions/${ID}?consistency=stale` });
    expect(stale.statusCode).toBe(200);
  });

  it.each([
    `/v1/transactions/${ID}?consistency=stale`,
    '/v1/cluster',
    '/healthz',
    '/readyz',
    '/metrics',
    '/openapi.json',
  ])('answers %s itself', async (url) => {
    expect((await follower.app.inject({ method: 'GET', url })).statusCode).toBe(200);
    expect(leader.transactions.calls).toEqual([]);
  });

  it('passes problems, Location and Retry-After through', async () => {
    leader.transactions.settlement = { settled: true, transaction: aborted };
    expect((await execute()).json()).toMatchObject({ status: 409, code: 'TRANSACTION_ABORTED' });
    leader.transactions.settlement = { settled: false, transaction: committed };
    expect((await execute()).headers['location']).toBe(`/v1/transactions/${ID}`);
    leader.transactions.failure = new LogUnavailableError('no-leader', 'just now');
    const answer = await execute();
    expect(answer.statusCode).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
  });

  it('does not look into bodies', async () => {
    const answer = await follower.app.inject({
      method: 'POST',
      url: EXECUTE,
      payload: '{"broken',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.json()).toMatchObject({ status: 400, code: 'INVALID_JSON' });
  });

  it('refuses a body over 1 MiB and an id that is no UUID by itself', async () => {
    const large = await follower.app.inject({ method: 'POST', url: EXECUTE, payload: { a: 'x'.repeat(1_048_577) } });
    expect(large.json()).toMatchObject({ status: 413, code: 'BODY_TOO_LARGE' });
    const id = await follower.app.inject({ method: 'POST', url: '/v1/transactions/..%2f..%2fmetrics/commit' });
    expect(id.json()).toMatchObject({ status: 400, code: 'INVALID_ID' });
    const nodeId = await follower.app.inject({ method: 'DELETE', url: '/v1/cluster/members/..%2f..%2fmetrics' });
    expect(nodeId.json()).toMatchObject({ status: 400, code: 'INVALID_NODE_ID' });
    expect(leader.transactions.calls).toEqual([]);
  });

  it('serves a request itself when it becomes the leader meanwhile', async () => {
    follower.cluster.leaderUrl = undefined;
    follower.cluster.onWait = () => (follower.cluster.leads = true);
    expect((await execute()).statusCode).toBe(200);
    expect(follower.transactions.calls.map(([name]) => name)).toEqual(['execute']);
    expect(follower.cluster.waits).toEqual([2_000]);
  });

  it('waits for a leader to be known', async () => {
    const url = follower.cluster.leaderUrl;
    follower.cluster.leaderUrl = undefined;
    follower.cluster.onWait = () => (follower.cluster.leaderUrl = url);
    expect((await execute()).statusCode).toBe(200);
    expect(leader.transactions.calls).toHaveLength(1);
  });

  it('answers NO_LEADER when none appears', async () => {
    follower.cluster.leaderUrl = undefined;
    const answer = await execute();
    expect(answer.json()).toMatchObject({ status: 503, code: 'NO_LEADER' });
    expect(answer.headers['retry-after']).toBe('1');
  });

  it('does not pass a request on that was passed on to it', async () => {
    const answer = await execute({ [FORWARDED_BY_HEADER]: '3' });
    expect(answer.json()).toMatchObject({ status: 503, code: 'NO_LEADER' });
    expect(leader.transactions.calls).toEqual([]);
  });

  it('stops at the second hop when two nodes take each other for the leader', async () => {
    leader.cluster.leads = false;
    leader.cluster.leaderUrl = 'http://127.0.0.1:1';
    expect((await execute()).json()).toMatchObject({ status: 503, code: 'NO_LEADER' });
  });
});

describe('a leader that fails', () => {
  const sockets = new Set<Socket>();
  let server: Server;

  /** A server that does with a connection what a test wants. */
  async function broken(onConnection: (socket: Socket) => void): Promise<string> {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      onConnection(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  }
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  });

  it('refuses the connection: nothing happened', async () => {
    follower.cluster.leaderUrl = await broken(() => undefined);
    server.close();
    await once(server, 'close');
    const answer = await execute();
    expect(answer.json()).toMatchObject({ status: 503, code: 'NO_LEADER' });
    expect(answer.headers['retry-after']).toBe('1');
  });

  it.each([
    ['before an answer', undefined],
    ['within an answer', 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"id":'],
  ])('breaks off %s: the outcome of a change is unknown, a question may be asked again', async (_name, text) => {
    follower.cluster.leaderUrl = await broken((socket) => {
      socket.once('data', () => (text === undefined ? socket.destroy() : socket.end(text)));
    });
    const answer = await execute();
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ code: 'OUTCOME_UNKNOWN', instance: EXECUTE });
    follower.transactions.leaderKnowsMore = true;
    const question = await follower.app.inject({ method: 'GET', url: `/v1/transactions/${ID}` });
    expect(question.json()).toMatchObject({ status: 503, code: 'NO_LEADER' });
  });

  it('says nothing and is replaced: the client does not wait for it', async () => {
    let asked: () => void = () => undefined;
    const wasAsked = new Promise<void>((resolve) => (asked = resolve));
    follower.cluster.leaderUrl = await broken((socket) => socket.once('data', asked));
    const answer = execute();
    void answer.then();
    await wasAsked;
    follower.cluster.leaderUrl = await leader.listen();
    expect((await answer).json()).toMatchObject({ status: 503, code: 'OUTCOME_UNKNOWN' });
    expect(leader.transactions.calls).toEqual([]);
  });

  it('says nothing: so many bytes of bodies wait for it, and no more', async () => {
    let connections = 0;
    follower.cluster.leaderUrl = await broken(() => void connections++);
    const payload = Buffer.alloc(1024 * 1024, ' ');
    const headers = { 'content-type': 'application/json' };
    const send = () => follower.app.inject({ method: 'POST', url: EXECUTE, payload, headers });
    const waiting = Array.from({ length: MAXIMUM_FORWARDED_BYTES / payload.length }, send);
    while (connections < waiting.length) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await send()).json()).toMatchObject({ status: 503, code: 'OVERLOADED' });
    follower.cluster.leaderUrl = await leader.listen();
    for (const answer of await Promise.all(waiting)) expect(answer.json()).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect((await execute()).statusCode).toBe(200);
  });
});
