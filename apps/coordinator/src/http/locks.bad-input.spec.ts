import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { checkRefused, type Case } from './testing/refused.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

let node: TestNode;
beforeAll(async () => {
  node = await createTestNode();
});
afterAll(() => node.app.close());
afterEach(() => {
  const happened = node.locks.calls.splice(0);
  expect(happened).toEqual([]);
});

const LOCK = '/v1/locks/invoice-7';
const RENEW = `${LOCK}/renew`;
const acquire = { owner: 'worker-1', ttlMs: 1_000 };
const renew = { owner: 'worker-1', fencingToken: 41, ttlMs: 1_000 };

/** A field of the body with each of these values is refused, and named. */
function invalid(method: 'PUT' | 'POST', body: object, field: string, ...values: unknown[]): Case[] {
  return values.map((value) => ({
    name: `${method} ${field}: ${JSON.stringify(value)?.slice(0, 40)}`,
    method,
    url: method === 'PUT' ? LOCK : RENEW,
    body: { ...body, [field]: value },
    code: 'INVALID_REQUEST',
    paths: [field],
  }));
}

const badOwners = ['', 'x'.repeat(256), 'zeile\n', 'tab\t', 'müller', '\u007f', 7, null, ['a'], {}];
const badTimes = [0, 99, -1, 3_600_001, 1.5, '1000', null, true, [1_000]];
const badTokens = [0, -1, 1.5, '41', null, [41], 2 ** 53 - 1 + 2];

describe('bodies of locks', () => {
  const cases: Case[] = [
    { name: 'no body', method: 'PUT', url: LOCK, code: 'INVALID_REQUEST', paths: [''] },
    { name: 'no body of a renewal', url: RENEW, code: 'INVALID_REQUEST', paths: [''] },
    { name: 'a list', method: 'PUT', url: LOCK, body: [acquire], code: 'INVALID_REQUEST', paths: [''] },
    { name: 'no JSON', method: 'PUT', url: LOCK, raw: '{"owner"', code: 'INVALID_JSON' },
    ...invalid('PUT', acquire, 'owner', undefined, ...badOwners),
    ...invalid('PUT', acquire, 'ttlMs', undefined, ...badTimes),
    ...invalid('PUT', acquire, 'waitMs', -1, 60_001, 1.5, '5', null),
    ...invalid('POST', renew, 'owner', undefined, ...badOwners),
    ...invalid('POST', renew, 'ttlMs', undefined, ...badTimes),
    ...invalid('POST', renew, 'fencingToken', undefined, ...badTokens.slice(0, -1)),
    {
      name: 'a token that no number can be',
      url: RENEW,
      body: { ...renew, fencingToken: badTokens.at(-1) },
      code: 'INVALID_NUMBER',
    },
    {
      name: 'an unknown field',
      method: 'PUT',
      url: LOCK,
      body: { ...acquire, fencingToken: 41 },
      code: 'UNKNOWN_FIELD',
      paths: ['fencingToken'],
    },
    {
      name: 'an unknown field of a renewal',
      url: RENEW,
      body: { ...renew, waitMs: 1 },
      code: 'UNKNOWN_FIELD',
      paths: ['waitMs'],
    },
    {
      name: 'waitMs in the query',
      method: 'PUT',
      url: `${LOCK}?waitMs=5`,
      body: acquire,
      code: 'UNKNOWN_PARAMETER',
      paths: ['waitMs'],
    },
    { name: 'a parameter of a renewal', url: `${RENEW}?x=1`, body: renew, code: 'UNKNOWN_PARAMETER', paths: ['x'] },
  ];
  it.each(cases)('$name', (one) => checkRefused(node, one));
});

describe('names of locks', () => {
  const names = ['%20', '%00', '-7', 'a%2Fb', '%c3%a4', 'a'.repeat(101)];
  const cases = (['PUT', 'DELETE'] as const).flatMap((method) =>
    names.map((name): Case => ({
      name: `${method} ${name.slice(0, 40)}`,
      method,
      url: `/v1/locks/${name}`,
      code: 'INVALID_LOCK_NAME',
      paths: ['name'],
    })),
  );
  it.each(cases)('$name', (one) => checkRefused(node, one));

  it('of 100 characters, every one of them escaped, is taken', async () => {
    const escaped = `a${'%3A'.repeat(99)}`;
    const answer = await node.app.inject({ method: 'PUT', url: `/v1/locks/${escaped}`, payload: acquire });
    expect(answer.statusCode).toBe(200);
    expect(node.locks.calls.splice(0)).toEqual([['acquire', { name: `a${':'.repeat(99)}`, ...acquire, waitMs: 0 }]]);
  });

  it.each<Case>([
    { name: 'longer than any', method: 'PUT', url: `/v1/locks/${'a'.repeat(301)}`, status: 414, code: 'URI_TOO_LONG' },
    { name: 'a broken escape', method: 'PUT', url: '/v1/locks/%zz', code: 'MALFORMED_HTTP' },
    { name: 'no name', method: 'PUT', url: '/v1/locks/', code: 'INVALID_LOCK_NAME', paths: ['name'] },
    { name: 'the list changed', method: 'PUT', url: '/v1/locks', status: 404, code: 'ROUTE_NOT_FOUND' },
    { name: 'another method', method: 'PATCH', url: LOCK, status: 404, code: 'ROUTE_NOT_FOUND' },
  ])('$name', (one) => checkRefused(node, one));
});

describe('what proves a release', () => {
  const proof = (query: string): string => `${LOCK}?${query}`;
  const cases: Case[] = [
    { name: 'nothing', url: LOCK, paths: ['owner', 'fencingToken'] },
    { name: 'no token', url: proof('owner=a'), paths: ['fencingToken'] },
    { name: 'no owner', url: proof('fencingToken=41'), paths: ['owner'] },
    { name: 'an empty owner', url: proof('owner=&fencingToken=41'), paths: ['owner'] },
    { name: 'a long owner', url: proof(`owner=${'x'.repeat(256)}&fencingToken=41`), paths: ['owner'] },
    { name: 'two owners', url: proof('owner=a&owner=b&fencingToken=41'), paths: ['owner'] },
    ...['0', '-1', '1.5', '1e3', 'x', '', '%20', '99999999999999999'].map((token) => ({
      name: `the token ${token}`,
      url: proof(`owner=a&fencingToken=${token}`),
      paths: ['fencingToken'],
    })),
    { name: 'two tokens', url: proof('owner=a&fencingToken=1&fencingToken=2'), paths: ['fencingToken'] },
    {
      name: 'the token that is just too large',
      url: proof(`owner=a&fencingToken=${2 ** 53}`),
      paths: ['fencingToken'],
    },
  ].map((one) => ({ ...one, method: 'DELETE' as const, code: 'INVALID_PARAMETER' }));
  it.each(cases)('$name', (one) => checkRefused(node, one));

  it.each<Case>([
    {
      name: 'a force that is none',
      method: 'DELETE',
      url: proof('owner=a&fencingToken=1&force=1'),
      code: 'INVALID_PARAMETER',
      paths: ['force'],
    },
    {
      name: 'a body',
      method: 'DELETE',
      url: proof('owner=a&fencingToken=1'),
      body: { owner: 'a' },
      code: 'UNKNOWN_FIELD',
      paths: ['owner'],
    },
  ])('$name', (one) => checkRefused(node, one));
});

describe('the list of locks', () => {
  const cases: Case[] = [
    ...['0', '501', 'x', '-1'].map((limit) => ({
      name: `limit=${limit}`,
      url: `/v1/locks?limit=${limit}`,
      paths: ['limit'],
    })),
    { name: 'no cursor', url: '/v1/locks?cursor=', paths: ['cursor'] },
    { name: 'an invented cursor', url: '/v1/locks?cursor=41.0123456789abcdef', paths: ['cursor'] },
    { name: 'a token as a cursor', url: '/v1/locks?cursor=41', paths: ['cursor'] },
    { name: 'another consistency', url: '/v1/locks?consistency=eventual', paths: ['consistency'] },
  ].map((one) => ({ ...one, method: 'GET' as const, code: 'INVALID_PARAMETER' }));
  it.each(cases)('$name', (one) => checkRefused(node, one));

  it('refuses a filter that it does not have', () =>
    checkRefused(node, {
      name: '',
      method: 'GET',
      url: '/v1/locks?owner=a',
      code: 'UNKNOWN_PARAMETER',
      paths: ['owner'],
    }));

  it('refuses the cursor of another list', async () => {
    node.locks.page = { items: [], nextCursor: 41 };
    const { nextCursor } = (await node.app.inject({ method: 'GET', url: '/v1/locks' })).json<{ nextCursor: string }>();
    node.locks.calls.length = 0;
    await checkRefused(node, {
      name: '',
      method: 'GET',
      url: `/v1/transactions?cursor=${nextCursor}`,
      code: 'INVALID_PARAMETER',
      paths: ['cursor'],
    });
  });
});
