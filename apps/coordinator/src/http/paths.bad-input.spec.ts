import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ID } from './testing/fake-engine.js';
import { checkRefused, EXECUTE, type Case } from './testing/refused.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

let node: TestNode;
beforeAll(async () => {
  node = await createTestNode({ CONCORDAT_MAX_BRANCHES: '3' });
});
afterAll(() => node.app.close());
afterEach(() => {
  for (const { calls } of [node.transactions, node.cluster]) {
    const happened = calls.splice(0);
    expect(happened).toEqual([]);
  }
});

const check = (one: Case): Promise<void> => checkRefused(node, one);

describe('paths, queries and headers', () => {
  const cases: Case[] = [
    ...['abc', ID.toUpperCase(), `${ID}0`, '00000000-0000-0000-0000-000000000000', '%20'].flatMap((id) => [
      {
        name: `the id ${id}`,
        method: 'GET' as const,
        url: `/v1/transactions/${id}`,
        code: 'INVALID_ID',
        paths: ['id'],
      },
      { name: `the id ${id}`, url: `/v1/transactions/${id}/commit`, code: 'INVALID_ID', paths: ['id'] },
      {
        name: `the id ${id}`,
        method: 'GET' as const,
        url: `/v1/transactions/${id}/events`,
        code: 'INVALID_ID',
        paths: ['id'],
      },
    ]),
    {
      name: 'an unknown parameter',
      url: `${EXECUTE}?waitms=5`,
      body: { branches: [] },
      code: 'UNKNOWN_PARAMETER',
      paths: ['waitms'],
    },
    {
      name: 'an unknown parameter of begin',
      url: '/v1/transactions?wait=ended',
      code: 'UNKNOWN_PARAMETER',
      paths: ['wait'],
    },
    {
      name: 'an unknown parameter of events',
      method: 'GET',
      url: '/v1/events?from=5',
      code: 'UNKNOWN_PARAMETER',
      paths: ['from'],
    },
    {
      name: 'an unknown parameter of cluster',
      method: 'GET',
      url: '/v1/cluster?x',
      code: 'UNKNOWN_PARAMETER',
      paths: ['x'],
    },
    ...['-1', '60001', 'ten', '', '1.5', '1e3'].map((waitMs) => ({
      name: `waitMs=${waitMs}`,
      url: `/v1/transactions/${ID}/commit?waitMs=${waitMs}`,
      code: 'INVALID_PARAMETER',
      paths: ['waitMs'],
    })),
    {
      name: 'a parameter twice',
      url: `/v1/transactions/${ID}/commit?waitMs=1&waitMs=2`,
      code: 'INVALID_PARAMETER',
      paths: ['waitMs'],
    },
    {
      name: 'an unknown wait',
      url: `/v1/transactions/${ID}/abort?wait=never`,
      code: 'INVALID_PARAMETER',
      paths: ['wait'],
    },
    {
      name: 'an unknown consistency',
      method: 'GET',
      url: `/v1/transactions/${ID}?consistency=eventual`,
      code: 'INVALID_PARAMETER',
      paths: ['consistency'],
    },
    ...['/v1/transactions', '/v1/in-doubt'].map((url) => ({
      name: 'an unknown consistency',
      method: 'GET' as const,
      url: `${url}?consistency=strong`,
      code: 'INVALID_PARAMETER',
      paths: ['consistency'],
    })),
    ...['0', '501', 'x'].map((limit) => ({
      name: `limit=${limit}`,
      method: 'GET' as const,
      url: `/v1/transactions?limit=${limit}`,
      code: 'INVALID_PARAMETER',
      paths: ['limit'],
    })),
    ...['0', '501', 'x'].map((limit) => ({
      name: `limit=${limit} of what is in doubt`,
      method: 'GET' as const,
      url: `/v1/in-doubt?limit=${limit}`,
      code: 'INVALID_PARAMETER',
      paths: ['limit'],
    })),
    {
      name: 'an unknown status',
      method: 'GET',
      url: '/v1/transactions?status=open',
      code: 'INVALID_PARAMETER',
      paths: ['status'],
    },
    ...['', 'a b', 'ä', 'k'.repeat(256), 'one, two'].map((key) => ({
      name: `the key "${key.slice(0, 20)}"`,
      body: { branches: [] },
      headers: { 'idempotency-key': key },
      code: 'INVALID_IDEMPOTENCY_KEY',
      paths: ['Idempotency-Key'],
    })),
    {
      name: 'a Last-Event-ID that is no index',
      method: 'GET',
      url: '/v1/events',
      headers: { 'last-event-id': 'x1' },
      code: 'INVALID_EVENT_ID',
      paths: ['Last-Event-ID'],
    },
    { name: 'an unknown route', method: 'GET', url: '/v1/nothing', status: 404, code: 'ROUTE_NOT_FOUND' },
    {
      name: 'a method that a route does not have',
      method: 'DELETE',
      url: `/v1/transactions/${ID}`,
      status: 404,
      code: 'ROUTE_NOT_FOUND',
    },
    {
      name: 'a route of a later version',
      method: 'PUT',
      url: '/v2/locks/a',
      body: {},
      status: 404,
      code: 'ROUTE_NOT_FOUND',
    },
    { name: 'a path that cannot be decoded', method: 'GET', url: '/v1/transactions/%zz', code: 'MALFORMED_HTTP' },
    {
      name: 'a path without end',
      method: 'GET',
      url: `/v1/transactions/${'a'.repeat(301)}`,
      status: 414,
      code: 'URI_TOO_LONG',
    },
  ];
  it.each(cases)('refuses $name ($url)', check);

  async function raw(text: string): Promise<string> {
    const { hostname, port } = new URL(await node.listen());
    const socket = connect(Number(port), hostname);
    socket.setEncoding('utf8');
    socket.write(text);
    let answer = '';
    socket.on('data', (chunk: string) => (answer += chunk));
    await once(socket, 'close');
    return answer;
  }

  it('refuses a key that is sent twice', async () => {
    const answer = await raw(
      'POST /v1/transactions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nIdempotency-Key: a\r\nIdempotency-Key: a\r\nContent-Length: 0\r\n\r\n',
    );
    expect(answer).toContain('HTTP/1.1 400');
    expect(answer).toContain('"code":"INVALID_IDEMPOTENCY_KEY"');
  });

  it.each([
    ['what is no HTTP', 'HELLO\r\n\r\n', 400, 'MALFORMED_HTTP'],
    [
      'headers without bound',
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
      431,
      'HEADERS_TOO_LARGE',
    ],
  ])('refuses %s', async (_name, text, status, code) => {
    const answer = await raw(text);
    expect(answer).toContain(`HTTP/1.1 ${status}`);
    expect(answer).toContain(`"code":"${code}"`);
  });
});
