import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { answerOf, Http2Client } from './testing/http2-client.js';
import { Secured } from './testing/secured.js';
import { TestCertificates } from './testing/test-certificates.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const LEADER = '/v1/cluster/leader';
const TIMEOUT_MS = 400;
const certificates = new TestCertificates();
afterAll(() => certificates.remove());

let secured: Secured;
let node: TestNode;
beforeEach(async () => void (secured = await Secured.create()));
afterEach(async () => {
  await node.app.close();
  secured.remove();
});

async function start(more: Readonly<Record<string, string>> = {}, environment = secured.environment): Promise<string> {
  node = await createTestNode({ ...environment, CONCORDAT_REQUEST_TIMEOUT_MS: String(TIMEOUT_MS), ...more });
  return node.listen();
}

/** The entries of an event, when there are so many. */
async function entries(event: string, count = 1): Promise<Record<string, unknown>[]> {
  for (;;) {
    const found = secured.audit().filter((entry) => entry['event'] === event);
    if (found.length >= count) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const numberOf = (entry: Record<string, unknown>): number => 1 + Number(entry['suppressed'] ?? 0);
const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

describe('what an operator asks for too often', () => {
  it('is in the audit, each call counted and few written', async () => {
    await start({ CONCORDAT_RATE_LIMIT: '5' });
    const ask = async (bearer: 'oscar' | 'alice'): Promise<number> => {
      const headers = secured.header(bearer);
      return (await node.app.inject({ method: 'POST', url: LEADER, headers, payload: { nodeId: 2 } })).statusCode;
    };
    let refused = 0;
    const askOften = async (): Promise<void> => {
      const statuses = await Promise.all(Array.from({ length: 100 }, () => ask('oscar')));
      refused += statuses.filter((status) => status === 429).length;
    };
    await askOften();
    expect(refused).toBeGreaterThanOrEqual(90);
    const first = await entries('limited-call');
    expect(first.length).toBeLessThanOrEqual(20); // ten of a second, and the second may end meanwhile
    expect(first[0]).toEqual({
      at: expect.any(String),
      event: 'limited-call',
      principal: 'token:oscar',
      roles: ['operator'],
      call: `POST ${LEADER}`,
      url: LEADER,
      address: '127.0.0.1',
      status: 429,
    });
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    await askOften();
    const all = await entries('limited-call', first.length + 10);
    const last = all.findLastIndex((entry) => entry['suppressed'] !== undefined);
    expect(sum(all.slice(0, last + 1).map(numberOf))).toBeGreaterThan(refused - 100);
    expect(sum(all.map(numberOf))).toBeLessThanOrEqual(refused);
    while ((await ask('alice')) !== 429); // a client is no operator
    expect((await entries('limited-call')).some(({ principal }) => principal !== 'token:oscar')).toBe(false);
  });

  it('is in the audit of a node that asks nobody, too, if only operators should do it', async () => {
    await start({ CONCORDAT_RATE_LIMIT: '2' }, { CONCORDAT_AUDIT_FILE: secured.auditFile });
    const ask = async (method: 'GET' | 'POST', url: string): Promise<number> =>
      (await node.app.inject({ method, url, ...(method === 'POST' && { payload: { nodeId: 2 } }) })).statusCode;
    while ((await ask('POST', LEADER)) !== 429);
    while ((await ask('GET', '/v1/cluster')) !== 429);
    const found = await entries('limited-call');
    expect(new Set(found.map(({ call }) => call))).toEqual(new Set([`POST ${LEADER}`]));
  });
});

describe('a call of an operator that is not carried out is in the audit', () => {
  it.each<[what: string, request: object, status: number]>([
    ['what is no JSON', { payload: '{"nodeId":', headers: { 'content-type': 'application/json' } }, 400],
    ['a body that is too large', { payload: { reason: 'x'.repeat(1_100_000) } }, 413],
    ['a body of another type', { payload: 'nodeId=2', headers: { 'content-type': 'text/plain' } }, 415],
    ['a body without a type', { payload: Buffer.from('{}') }, 415],
    ['a route that does not exist', { url: '/v1/cluster/leaders', payload: { nodeId: 2 } }, 404],
    ['a method that it does not have', { method: 'PATCH', payload: { nodeId: 2 } }, 404],
  ])('%s', async (_what, { headers, ...request }: { headers?: object }, status) => {
    await start();
    const own = { ...secured.header('oscar'), ...headers };
    const answer = await node.app.inject({ method: 'POST', url: LEADER, ...request, headers: own });
    expect(answer.statusCode).toBe(status);
    const [entry, ...others] = await entries('call');
    expect([entry!['principal'], entry!['status'], others]).toEqual(['token:oscar', status, []]);
    expect(entry).not.toHaveProperty('body');
  });

  it.each([
    ['a body that does not come', 'Content-Length: 100\r\n\r\n{', 408],
    ['a body in pieces that does not come', 'Transfer-Encoding: chunked\r\n\r\n5\r\n{', 408],
    ['a body in pieces that are none', 'Transfer-Encoding: chunked\r\n\r\nnone\r\n', 400],
    ['a body that its sender gives up', 'Content-Length: 100\r\n\r\n{', undefined],
  ])('%s', async (_what, rest, status) => {
    const port = Number(new URL(await start()).port);
    const socket = connect({ port, host: '127.0.0.1' });
    let text = '';
    socket.setEncoding('latin1').on('data', (piece: string) => (text += piece));
    socket.on('error', () => undefined);
    const { authorization } = secured.header('oscar');
    socket.write(`POST ${LEADER} HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\n`);
    socket.write(`Content-Type: application/json\r\n${rest}`);
    if (status === undefined) setTimeout(() => socket.resetAndDestroy(), TIMEOUT_MS / 4);
    else await once(socket, 'close');
    expect(text.slice(9, 12)).toBe(status === undefined ? '' : String(status));
    const [entry] = await entries('call');
    expect([entry!['call'], entry!['status']]).toEqual([`POST ${LEADER}`, status]);
    const metrics = await node.app.inject({ method: 'GET', url: '/metrics', headers: secured.header('prometheus') });
    if (status !== undefined) expect(metrics.body).toContain(`route="${LEADER}",status="${status}"`);
    expect(node.cluster.calls).toEqual([]);
  });

  it('a body that does not come, over HTTP/2', async () => {
    const url = await start(certificates.node(1));
    const oscar = certificates.client({ roles: ['operator'], name: 'oscar' });
    const session = await Http2Client.connect(url, oscar);
    const half = session.open(LEADER, { method: 'POST', headers: { 'content-type': 'application/json' } });
    half.write('{');
    expect(await answerOf(half)).toMatchObject({ status: 408 });
    expect(await entries('call')).toMatchObject([{ principal: 'certificate:oscar', status: 408 }]);
    session.destroy();
  });
});

it('a page of another origin that is refused is in the audit of a node that asks nobody', async () => {
  await start({}, { CONCORDAT_AUDIT_FILE: secured.auditFile });
  const headers = { origin: 'https://evil.example' };
  const answer = await node.app.inject({ method: 'POST', url: LEADER, headers, payload: { nodeId: 2 } });
  expect(answer.statusCode).toBe(403);
  expect(await entries('refused-call')).toMatchObject([
    { call: `POST ${LEADER}`, address: '127.0.0.1', note: expect.stringContaining('a page of another origin') },
  ]);
});
