import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CALL_RULES } from '../auth/call-rules.js';
import { RequestGate } from './request-gate.js';
import { committed, ID } from './testing/fake-engine.js';
import { Http2Client } from './testing/http2-client.js';
import { Secured } from './testing/secured.js';
import { TestCertificates } from './testing/test-certificates.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Pages that are the same for all. */
const isPage = (path: string): boolean => path.startsWith('/docs') || path === '/openapi.json';

function expectSafe(what: string, headers: Headers, keeping: string | RegExp = 'no-store'): void {
  const { 'cache-control': cache, 'x-content-type-options': type } = headers;
  expect([what, cache, type]).toEqual([what, expect.stringMatching(keeping), 'nosniff']);
}

let secured: Secured;
let certificates: TestCertificates;
const nodes: TestNode[] = [];
beforeAll(async () => {
  secured = await Secured.create();
  certificates = new TestCertificates();
});
afterAll(async () => {
  await Promise.all(nodes.map(({ app }) => app.close()));
  secured.remove();
  certificates.remove();
});

async function start(environment: Readonly<Record<string, string>> = {}): Promise<TestNode> {
  const node = await createTestNode(environment);
  nodes.push(node);
  return node;
}

/** Headers of an answer of HTTP/1.1; the rest of it does not matter. */
async function ask(url: string, method: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const call = request(url, { method, headers, agent: false });
  call.on('error', () => undefined);
  call.end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  response.destroy();
  return response;
}

/** The head of what a node answers to these bytes. */
async function tell(url: string, bytes: string): Promise<{ status: string; headers: Headers }> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) });
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.write(bytes); // the node closes
  await once(socket, 'close');
  const [status = '', ...lines] = text.split('\r\n\r\n')[0]!.split('\r\n');
  const pairs = lines.map((line) => line.split(': ') as [string, string]);
  expect(new Set(pairs.map(([name]) => name.toLowerCase())).size).toBe(pairs.length); // each once
  return { status, headers: Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value])) };
}

const urlOf = (route: string): string => route.replace(':id', ID).replace(':nodeId', '3').replace(':name', 'invoice-7');

describe('answers of HTTP/1.1', () => {
  let base: string;
  beforeAll(async () => {
    base = await (await start({ ...secured.environment, CONCORDAT_FAILPOINTS: 'on' })).listen();
  });

  it.each(Object.keys(CALL_RULES))(
    'to %s are kept by nobody, and are what they say, unless it is a page',
    async (call) => {
      const [method, route] = call.split(' ') as [string, string];
      const url = `${base}${urlOf(route)}`;
      const keeping = isPage(route) ? /^no-cache$/ : /^no-store/;
      for (const bearer of ['oscar', 'alice'] as const) {
        const { statusCode, headers } = await ask(url, method, secured.header(bearer));
        expectSafe(`${bearer} ${statusCode}`, headers, keeping);
      }
      const { statusCode, headers } = await ask(url, method);
      expect(statusCode).toBe(CALL_RULES[call]!.roles === 'everyone' ? 200 : 401);
      expectSafe(String(statusCode), headers, keeping);
    },
  );

  it.each([
    ['a path without a route', 404, 'GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n', 'oscar'],
    ['a target that is none', 400, 'GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n', undefined],
    ['a body of another type', 415, 'POST /v1/transactions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n', 'alice'],
    ['no HTTP', 400, 'HELLO\r\n', undefined],
    ['a tunnel', 400, 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n', undefined],
    ['headers without end', 431, `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(20_000)}\r\n`, undefined],
    [
      'an expectation that is not met',
      417,
      'GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nConnection: close\r\n',
      undefined,
    ],
  ] as const)('to %s, too', async (what, status, head, bearer) => {
    const who = bearer === undefined ? '' : `Authorization: ${secured.header(bearer).authorization}\r\n`;
    const body = status === 415 ? 'Content-Type: text/xml\r\nContent-Length: 3\r\n\r\n<a>' : '\r\n';
    const answer = await tell(base, `${head}${who}${body}`);
    expect(answer.status).toContain(`HTTP/1.1 ${status} `);
    expectSafe(what, answer.headers);
  });
});

describe('answers to what is too much, or too late', () => {
  it('have the same headers', async () => {
    const node = await start({ CONCORDAT_RATE_LIMIT: '1' });
    const base = await node.listen();
    let statusCode: number | undefined = 0;
    while (statusCode !== 429) {
      const answer = await ask(`${base}/v1/cluster`, 'GET');
      ({ statusCode } = answer);
      expectSafe(String(statusCode), answer.headers);
    }
    node.app.get(RequestGate).close();
    const stopping = await ask(`${base}/v1/cluster`, 'GET');
    expect(stopping.statusCode).toBe(503);
    expectSafe('503', stopping.headers);
  });
});

describe('answers of the leader that a follower hands on', () => {
  it('have them once, and so has the problem when there is none', async () => {
    const [follower, leader] = [await start(), await start()];
    leader.cluster.leads = true;
    leader.cluster.leaderUrl = undefined;
    leader.transactions.settlement = { settled: true, transaction: committed };
    follower.cluster.leads = false;
    follower.cluster.leaderUrl = await leader.listen();
    const base = await follower.listen();
    const post = `POST /v1/transactions/${ID}/commit HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
    const handedOn = await tell(base, post);
    expect(handedOn.headers).toHaveProperty('concordat-leader');
    expectSafe(handedOn.status, handedOn.headers);
    const waiting = await ask(`${base}/v1/locks/a`, 'PUT');
    expect(waiting.headers).toHaveProperty('concordat-leader');
    expectSafe('the answer to a call that its client may give up', waiting.headers);
    follower.cluster.leaderUrl = 'http://127.0.0.1:1';
    const failed = await tell(base, post);
    expect(failed.status).toContain(' 503 ');
    expectSafe(failed.status, failed.headers);
  });
});

describe('answers of HTTP/2', () => {
  let client: Http2Client;
  beforeAll(async () => {
    const url = await (await start({ ...certificates.node(1) })).listen();
    client = await Http2Client.connect(url, certificates.client({ roles: ['observer'] }));
  });
  afterAll(() => client.destroy());

  it.each([
    ['a list', '/v1/locks', {}, 200],
    ['what the sender may not do', '/v1/cluster/leader', { method: 'POST' }, 403],
    ['a path without a route', '/nothing', {}, 404],
    ['a method that is none', '/v1/locks', { method: 'HELLO' }, 400],
    ['headers that are too large', '/v1/locks', { headers: { 'x-a': 'a'.repeat(20_000) } }, 431],
    ['an expectation that is not met', '/v1/locks', { headers: { expect: 'x' } }, 417],
  ])('to %s are kept by nobody, and are what they say', async (what, path, question, status) => {
    const { headers, status: answered } = await client.ask(path, question);
    expect([what, answered]).toEqual([what, status]);
    expectSafe(what, headers);
  });

  it('may be kept if they are pages, and not if they are events', async () => {
    expectSafe('a page', (await client.ask('/docs')).headers, /^no-cache$/);
    const stream = client.open('/v1/events', {}, true);
    const [headers] = (await once(stream, 'response')) as [Headers];
    expectSafe('a stream', headers, /^no-store, no-transform$/);
    stream.close();
  });
});
