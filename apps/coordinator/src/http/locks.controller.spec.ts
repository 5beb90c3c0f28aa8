import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { LockHeldError, LockNotHeldError, TooManyLocksError, TooManyWaitersError } from '../locks/errors.js';
import { RequestGate } from './request-gate.js';
import { lockPageSchema, lockSchema } from './schemas.js';
import { lock } from './testing/fake-locks.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const LOCK = '/v1/locks/invoice-7';
const acquire = { owner: 'worker-1', ttlMs: 1_000 };

let leader: TestNode;
let follower: TestNode;
beforeAll(async () => {
  [leader, follower] = await Promise.all([createTestNode(), createTestNode()]);
  follower.cluster.leads = false;
  follower.cluster.leaderUrl = await leader.listen();
});
afterAll(() => Promise.all([leader.app.close(), follower.app.close()]));
afterEach(() => {
  for (const { locks } of [leader, follower]) {
    locks.calls.length = 0;
    locks.gone.length = 0;
    locks.hanging = false;
    locks.leaderKnowsMore = false;
    locks.failure = undefined;
  }
});

/** Sends the request as raw HTTP, so that the client can go away. */
async function leaveWhile(asked: TestNode): Promise<void> {
  const { port } = new URL(await asked.listen());
  const body = JSON.stringify({ ...acquire, waitMs: 60_000 });
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(
    `PUT ${LOCK} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await until(() => leader.locks.calls.length > 0);
  socket.destroy();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe.each<[string, () => TestNode]>([
  ['the leader', () => leader],
  ['a follower, which passes it on', () => follower],
])('%s', (_who, asked) => {
  const inject = (method: 'GET' | 'PUT' | 'POST' | 'DELETE', url: string, payload?: object) =>
    asked().app.inject({ method, url, ...(payload && { payload }) });

  it('acquires: 200 with the token; it does not wait unless it is told to', async () => {
    const answer = await inject('PUT', LOCK, acquire);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(lockSchema.parse(answer.json())).toEqual(lock);
    await inject('PUT', '/v1/locks/a.b_c:d%40e~f', { ...acquire, waitMs: 60_000 });
    expect(leader.locks.calls).toEqual([
      ['acquire', { name: 'invoice-7', ...acquire, waitMs: 0 }],
      ['acquire', { name: 'a.b_c:d@e~f', ...acquire, waitMs: 60_000 }],
    ]);
  });

  it('renews: 200; releases: 204 without a body', async () => {
    const renewed = await inject('POST', `${LOCK}/renew`, { ...acquire, fencingToken: 41 });
    expect([renewed.statusCode, renewed.json()]).toEqual([200, lock]);
    const released = await inject('DELETE', `${LOCK}?owner=worker%201&fencingToken=41`);
    expect([released.statusCode, released.body]).toEqual([204, '']);
    expect(leader.locks.calls).toEqual([
      ['renew', { name: 'invoice-7', ...acquire, fencingToken: 41 }],
      ['release', { name: 'invoice-7', owner: 'worker 1', fencingToken: 41 }],
    ]);
  });

  it.each([
    [new LockHeldError({ ...lock, renewedIndex: 41, ttlMs: 1, expiresAt: 30_000 }), 409, undefined],
    [new LockNotHeldError('it expired'), 409, undefined],
    [new TooManyLocksError('too many'), 503, '5'],
    [new TooManyWaitersError('too many'), 503, '1'],
  ])('answers %s with its own problem', async (failure, status, retryAfter) => {
    leader.locks.failure = failure;
    const answer = await inject('PUT', LOCK, acquire);
    expect(answer.json()).toMatchObject({ status, code: failure.code, detail: failure.message, instance: LOCK });
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([status, retryAfter]);
    const holder = { owner: 'worker-1', expiresAt: '1970-01-01T00:00:30.000Z' };
    if (failure.code === 'LOCK_HELD') expect(answer.json()).toMatchObject({ holder });
  });

  it('hears that a client has gone away, wherever it was connected', async () => {
    leader.locks.hanging = true;
    await leaveWhile(asked());
    await until(() => leader.locks.gone.length > 0);
    expect(leader.locks.gone).toEqual(['worker-1']);
  });
});

describe('the list of locks', () => {
  it('is answered by any node, with a cursor for the next page', async () => {
    follower.locks.page = { items: [{ ...lock, waiters: null }], nextCursor: 41 };
    const answer = await follower.app.inject({ method: 'GET', url: '/v1/locks?limit=1&consistency=stale' });
    const { items, nextCursor } = lockPageSchema.parse(answer.json());
    expect([items, answer.headers['concordat-applied-index']]).toEqual([[{ ...lock, waiters: null }], '41']);
    await follower.app.inject({ method: 'GET', url: `/v1/locks?cursor=${nextCursor}` });
    expect(follower.locks.calls).toEqual([
      ['list', { limit: 1 }, 'stale'],
      ['list', { limit: 50, cursor: 41 }, 'linearizable'],
    ]);
    expect(leader.locks.calls).toEqual([]);
  });

  it('comes from the leader where only that knows who waits', async () => {
    follower.locks.leaderKnowsMore = true;
    const answer = await follower.app.inject({ method: 'GET', url: '/v1/locks' });
    expect(answer.json()).toEqual({ items: [{ ...lock, waiters: 2 }], nextCursor: null });
    expect(leader.locks.calls).toEqual([['list', { limit: 50 }, 'linearizable']]);
  });
});

it('a node that stops lets nobody wait', async () => {
  const stopping = await createTestNode();
  stopping.app.get(RequestGate, { strict: false }).close();
  expect(stopping.locks.waitsEnded).toBe(1);
  await stopping.app.close();
});

it('a leader that cannot be reached has done nothing', async () => {
  const lonely = await createTestNode();
  lonely.cluster.leads = false;
  lonely.cluster.leaderUrl = 'http://127.0.0.1:1';
  const answer = await lonely.app.inject({ method: 'PUT', url: LOCK, payload: acquire });
  expect(answer.json()).toMatchObject({ status: 503, code: 'NO_LEADER' });
  await lonely.app.close();
});
