import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFilesAgain, silentLogger } from '@concordat/foundation';
import type { Settlement } from '../transactions/transactions.api.js';
import { RequestGate } from './request-gate.js';
import { committed, ID } from './testing/fake-engine.js';
import { answerOf, Http2Client, type Http2Answer, type Http2Question } from './testing/http2-client.js';
import { exchangeFrames, frame, headersOf, opening, requestFields, resetOf, settingsAck } from './testing/raw-http2.js';
import { Secured } from './testing/secured.js';
import { askSecurely, TestCertificates } from './testing/test-certificates.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const certificates = new TestCertificates();
const trusted = { ca: certificates.authority.certificate };
const alice = certificates.client({ roles: ['client'] });
const bob = certificates.client({ roles: ['client'], name: 'bob' });
const LIST = '/v1/transactions';
const COMMIT = `${LIST}/${ID}/commit`;
const KIB = 1024;

interface Running {
  readonly node: TestNode;
  readonly url: string;
  readonly lines: readonly string[];
}
const clients: Http2Client[] = [];

async function start(more: Record<string, string> = {}): Promise<Running> {
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const logger = { ...silentLogger, info: note, warn: note, error: note };
  const node = await createTestNode({ ...certificates.node(1), ...more }, logger);
  return { node, url: await node.listen(), lines };
}

async function client({ url }: Running, tls: object = alice): Promise<Http2Client> {
  const made = await Http2Client.connect(url, tls);
  clients.push(made);
  return made;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

function protocolOf({ url }: Running, offered: string[]): Promise<string | false | null> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...trusted, port: Number(new URL(url).port), ALPNProtocols: offered }, () => {
      resolve(socket.alpnProtocol);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

afterEach(() => clients.splice(0).forEach((one) => one.destroy()));
afterAll(() => certificates.remove());

describe('HTTP/2 at the port of REST', () => {
  let running: Running;
  beforeAll(async () => {
    running = await start();
  });
  afterAll(() => running.node.app.close());

  it('is for clients that offer it, and HTTP/1.1 for all others', async () => {
    expect(await protocolOf(running, ['h2', 'http/1.1'])).toBe('h2');
    expect(await protocolOf(running, ['http/1.1', 'h2'])).toBe('h2');
    expect(await protocolOf(running, ['http/1.1'])).toBe('http/1.1');
    expect((await askSecurely(`${running.url}/healthz`, trusted)).status).toBe(200);
  });

  it('knows a client by the certificate of its session, in each of many requests at a time', async () => {
    const { transactions } = running.node;
    const before = transactions.calls.length;
    const session = await client(running);
    const answers = await Promise.all(
      Array.from({ length: 80 }, () => session.ask(LIST, { method: 'POST', body: {} })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    const owners = transactions.calls.slice(before).map(([, request]) => (request as { owner: string }).owner);
    expect(owners).toEqual(Array.from({ length: 80 }, () => 'certificate:alice'));
    const nobody = await client(running, trusted);
    expect(await nobody.ask(LIST)).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } });
    const prometheus = await client(running, certificates.client({ roles: ['metrics'], name: 'prometheus' }));
    expect((await prometheus.ask('/metrics')).text).toContain('concordat_');
    expect(await prometheus.ask(LIST)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
  });

  it('streams events, several in one session beside other requests', async () => {
    const session = await client(running);
    const streams = [1, 2, 3].map(() => session.open('/v1/events'));
    const texts = streams.map((stream) => {
      const read = { text: '' };
      stream.setEncoding('utf8').on('data', (piece: string) => (read.text += piece));
      return read;
    });
    await until(() => texts.every(({ text }) => text.includes('retry:')));
    const transaction = { ...committed, owner: 'certificate:alice' };
    for (const listener of running.node.transactions.listeners) listener({ logIndex: 12, transaction });
    await until(() => texts.every(({ text }) => text.includes('id: 12')));
    expect((await session.ask('/healthz')).status).toBe(200);
    for (const stream of streams) stream.close();
    await until(() => running.node.transactions.listeners.size === 0);
  });

  it('answers a request that ends with an empty frame as one without a body', async () => {
    const session = await client(running);
    const stream = session.open(COMMIT, { method: 'POST' });
    stream.end();
    expect((await answerOf(stream)).status).toBe(200);
  });

  it('ends the stream of a body that it does not read, and no other one; the window of the session stays open', async () => {
    const session = await client(running, trusted);
    const body = Buffer.alloc(60 * KIB, ' ');
    for (let count = 0; count < 40; count++) {
      const stream = session.open(LIST, { method: 'POST', headers: { 'content-type': 'application/json' } });
      stream.write(body); // more is to come
      expect((await answerOf(stream)).status).toBe(401);
    }
    expect((await session.ask('/healthz')).status).toBe(200);
    const owner = await client(running);
    const large = owner.open(LIST, { method: 'POST', headers: { 'content-type': 'application/json' } });
    large.write(Buffer.alloc(1_025 * KIB, ' '));
    expect(await answerOf(large)).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } });
    expect((await owner.ask(LIST, { method: 'POST', body: `{}${' '.repeat(1_000 * KIB)}` })).status).toBe(201);
  });

  const fields = requestFields('POST', LIST, [['content-type', 'application/json']]);
  it.each([
    ['before its body', [], resetOf(1)],
    ['within its body', [frame(0, 0, 1, Buffer.from('{}'))], resetOf(1)],
    ['within its body, without an error', [frame(0, 0, 1, Buffer.from('{}'))], resetOf(1, 0)],
    ['by the end of its connection', [frame(0, 0, 1, Buffer.from('{}'))], undefined],
  ])('does nothing of a request that is given up %s', async (_when, body, end) => {
    const { calls } = running.node.transactions;
    const before = calls.length;
    const port = Number(new URL(running.url).port);
    const parts = [opening, settingsAck, headersOf(1, fields, 0x4), ...body, ...(end ? [end] : [])];
    await exchangeFrames(port, alice, Buffer.concat([...parts, headersOf(3, requestFields('GET', '/healthz'))]));
    expect((await (await client(running)).ask('/healthz')).status).toBe(200);
    expect(calls.slice(before)).toEqual([]);
  });

  it('gives new sessions the new certificate, and refuses a revoked one on an open session', async () => {
    const mallory = certificates.client({ roles: ['client'], name: 'mallory' });
    const session = await client(running, mallory);
    expect((await session.ask(LIST)).status).toBe(200);
    const serialOf = async (): Promise<string> => {
      const { session: made } = await client(running);
      return (made.socket as TLSSocket).getPeerX509Certificate()!.serialNumber;
    };
    const before = await serialOf();
    certificates.write('revoked', `${new X509Certificate(mallory.cert).serialNumber}\n`, 0o644);
    certificates.node(1);
    readFilesAgain();
    expect((await session.ask(LIST)).body['detail']).toBe('the certificate was revoked; get a new one');
    expect(await serialOf()).not.toBe(before);
  });
});

describe('a credential over HTTP/2', () => {
  it('must come once: two Authorization headers are refused, whatever they and the certificate say', async () => {
    const secured = await Secured.create();
    const running = await start(secured.environment);
    const port = Number(new URL(running.url).port);
    const refused = async (count: number): Promise<boolean> => {
      const own = Array.from({ length: count }, (): [string, string] => [
        'authorization',
        secured.header('alice').authorization,
      ]);
      const request = headersOf(1, requestFields('GET', LIST, own));
      const { text } = await exchangeFrames(port, alice, Buffer.concat([opening, settingsAck, request]));
      expect(text).toMatch(/"items":|"code":"UNAUTHENTICATED"/);
      return text.includes('UNAUTHENTICATED');
    };
    expect([await refused(0), await refused(1), await refused(2)]).toEqual([false, false, true]);
    expect(secured.audit()).toMatchObject([{ event: 'refused-credential', reason: 'ambiguous' }]);
    await running.node.app.close();
    secured.remove();
  });
});

describe('HTTP/2 that is switched off', () => {
  it('is not offered', async () => {
    const running = await start({ CONCORDAT_HTTP2: 'off' });
    expect(await protocolOf(running, ['h2', 'http/1.1'])).toBe('http/1.1');
    await running.node.app.close();
  });
});

describe('the same request over HTTP/1.1 and HTTP/2', () => {
  let running: Running;
  beforeAll(async () => {
    running = await start();
  });
  afterAll(() => running.node.app.close());

  const json = { 'content-type': 'application/json' };
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`x-${index}`, 'y'.repeat(200)]));
  const table: readonly (readonly [path: string, status: number, question?: Http2Question])[] = [
    ['/healthz', 200],
    ['/readyz?for=reads', 200],
    ['/v1/cluster', 200],
    [LIST, 200],
    [`${LIST}?limit=0`, 400],
    [`${LIST}?nothing=1`, 400],
    [`${LIST}/${ID}`, 200],
    [`${LIST}/nonsense`, 400],
    [`${LIST}/%zz`, 400],
    ['/nothing', 404],
    ['/openapi.json', 200],
    ['/docs', 200],
    [LIST, 200, { method: 'HEAD' }],
    ['/nothing', 404, { method: 'HEAD' }],
    [LIST, 404, { method: 'PATCH' }],
    ['*', 400, { method: 'OPTIONS' }],
    [LIST, 201, { method: 'POST', body: { timeoutMs: 1_000 } }],
    [LIST, 400, { method: 'POST', body: '{' }],
    [LIST, 400, { method: 'POST', body: { no: 1 } }],
    [LIST, 413, { method: 'POST', body: `{"metadata":{"a":"${'x'.repeat(1_100 * KIB)}"}}` }],
    [LIST, 415, { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } }],
    [LIST, 415, { method: 'POST', body: Buffer.from('{}') }],
    [LIST, 201, { method: 'POST', headers: json }],
    [LIST, 201, { method: 'POST' }],
    ['/nothing', 404, { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } }],
    [COMMIT, 200, { method: 'POST' }],
    [LIST, 400, { method: 'POST', headers: { 'idempotency-key': 'x'.repeat(300) } }],
    ['/v1/events', 400, { headers: { 'last-event-id': 'x' } }],
    ['/v1/locks/a', 200, { method: 'PUT', body: { owner: 'a', ttlMs: 10_000 } }],
    ['/v1/cluster/leader', 403, { method: 'POST', body: { nodeId: 2 } }],
    [LIST, 401, { headers: { authorization: 'Bearer nonsense' } }],
    [LIST, 401, { method: 'POST', body: {}, headers: { authorization: 'Basic x' } }],
    [LIST, 431, { headers: { x: 'y'.repeat(17 * KIB) } }],
    [LIST, 431, { headers: many }],
    ['/healthz', 417, { headers: { expect: 'something' } }],
    [LIST, 201, { method: 'POST', body: {}, headers: { expect: '100-continue' } }],
    ['/healthz', 200, { headers: { __proto__x: 'y', constructor: 'x' } }],
  ];

  it.each(table)('%s is answered %d (%#)', async (path, status, question = {}) => {
    const { body, headers = {}, method = 'GET' } = question;
    const isJson = body !== undefined && !Buffer.isBuffer(body);
    const type = isJson ? json : {};
    const before = await fetchPlain(running.url, path, method, { ...type, ...headers }, body);
    const session = await client(running);
    const answer = await session.ask(path, question);
    expect([before.status, answer.status]).toEqual([status, status]);
    expect(withoutTimes(answer.text)).toBe(withoutTimes(before.text));
    for (const name of ['content-type', 'content-length', 'www-authenticate', 'retry-after', 'location', 'allow']) {
      expect([name, answer.headers[name]]).toEqual([name, before.headers[name]]);
    }
    for (const name of ['connection', 'keep-alive', 'transfer-encoding']) expect(answer.headers[name]).toBeUndefined();
    expect((await session.ask('/healthz')).status).toBe(200);
  });

  it.each([
    ['CONNECT', { ':method': 'CONNECT', ':authority': 'host:443' }],
    ['a method that there is not', { ':method': 'NONSENSE', ':path': '/healthz' }],
  ])('refuses %s', async (_what, headers) => {
    const session = await client(running);
    const answer = await answerOf(session.session.request(headers));
    expect(answer).toMatchObject({ status: 400, body: { code: 'MALFORMED_HTTP' } });
  });
});

/** With the path as it stands, which `fetch` would change. */
async function fetchPlain(
  url: string,
  path: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: Http2Question['body'],
): Promise<{ status: number; headers: Record<string, string>; text: string }> {
  const socket = connect({ ...alice, port: Number(new URL(url).port), ALPNProtocols: ['http/1.1'] });
  await once(socket, 'secureConnect');
  const bytes =
    body === undefined ? '' : Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body);
  const lines = Object.entries({ host: 'a', connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  if (body !== undefined) lines.push(`content-length: ${Buffer.byteLength(bytes)}`);
  let text = '';
  socket.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  socket.on('error', () => undefined);
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  const parts = text.split('\r\n\r\n');
  if (parts[0]!.includes(' 100 ')) parts.shift();
  const [head = '', ...rest] = parts;
  const [first = '', ...fields] = head.split('\r\n');
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(
      fields.map((field) => [field.split(':')[0]!.toLowerCase(), field.slice(field.indexOf(':') + 2)]),
    ),
    text: rest.join('\r\n\r\n').replace(/^0\r\n\r\n$/, ''), // an answer without a body may have an empty chunk
  };
}

function withoutTimes(text: string): string {
  return text.replaceAll(/"(\w*At|now|deadline)":"[^"]*"/g, '"$1":"…"');
}

describe('limits of HTTP/2', () => {
  let running: Running;
  beforeAll(async () => {
    running = await start({ CONCORDAT_MAX_CONNECTIONS: '16' });
  });
  afterEach(async () => {
    clients.splice(0).forEach((one) => one.destroy());
    await until(async () => (await connections()) === 0);
  });
  afterAll(() => running.node.app.close());

  const connections = (): Promise<number> =>
    new Promise((resolve, reject) =>
      running.node.app
        .getHttpServer()
        .getConnections((error: Error | null, count: number) => (error ? reject(error) : resolve(count))),
    );

  it('a session may have 100 requests at a time', async () => {
    const session = await client(running);
    await until(() => session.session.remoteSettings.maxConcurrentStreams === 100);
  });

  it('a session counts as a connection, and idle ones make room', async () => {
    const sessions = await Promise.all(Array.from({ length: 16 }, () => client(running)));
    for (const session of sessions) expect((await session.ask('/healthz')).status).toBe(200);
    await expect(askSecurely(`${running.url}/healthz`, alice)).rejects.toThrow();
    await until(async () => (await connections()) < 16);
    expect((await askSecurely(`${running.url}/healthz`, alice)).status).toBe(200);
  });

  it('all sessions together have no more requests than there may be connections', async () => {
    const [one, other] = [await client(running), await client(running, bob)];
    const streams = Array.from({ length: 8 }, () => [one, other].map((session) => session.open('/v1/events'))).flat();
    const answers = await Promise.all(
      streams.map(async (stream) => ((await once(stream, 'response')) as [{ ':status': number }])[0][':status']),
    );
    expect(answers.filter((status) => status === 200)).toHaveLength(8); // half of them may be event streams, of each principal a quarter
    const halves = Array.from({ length: 8 }, () => other.open(LIST, { method: 'POST' }));
    expect(await other.ask(LIST)).toMatchObject({ status: 503, body: { code: 'OVERLOADED' } });
    for (const stream of [...streams, ...halves]) stream.close();
    await until(async () => (await other.ask(LIST)).status === 200);
  });
});

describe('the time and the rate of HTTP/2', () => {
  it('are bounded for a body and for the first request, and an answer takes as long as it takes', async () => {
    const running = await start({ CONCORDAT_REQUEST_TIMEOUT_MS: '1000' });
    let finish = (): void => undefined;
    const { transactions } = running.node;
    const reached = new Promise<void>((resolve) => {
      transactions.commit = () => {
        resolve();
        return new Promise<Settlement>((settle) => (finish = () => settle({ settled: true, transaction: committed })));
      };
    });
    const session = await client(running);
    const waiting = session.open(COMMIT, { method: 'POST' });
    waiting.end();
    const answer = answerOf(waiting);
    await reached;
    const silent = await client(running);
    const calls = transactions.calls.length;
    const halves = [1, 2, 3].map(() => {
      const half = session.open(LIST, { method: 'POST', headers: { 'content-type': 'application/json' } });
      half.write('{}');
      return answerOf(half);
    });
    for (const half of await Promise.all(halves)) {
      expect(half).toMatchObject({ status: 408, body: { code: 'REQUEST_TIMEOUT' } });
    }
    await silent.closed();
    expect(silent.isToldToGo).toBe(true);
    expect(transactions.calls).toHaveLength(calls);
    finish(); // longer than any request may take to come
    expect((await answer).status).toBe(200);
    expect((await session.ask(LIST, { method: 'POST', body: {} })).status).toBe(201); // the session went on
    await running.node.app.close();
  });

  it('a principal has one rate over all its sessions', async () => {
    const running = await start({ CONCORDAT_RATE_LIMIT: '1' });
    const sessions = await Promise.all([1, 2, 3].map(() => client(running)));
    const refused: Http2Answer[] = [];
    await until(async () => {
      const answers = await Promise.all(sessions.map((session) => session.ask('/v1/cluster')));
      refused.push(...answers.filter(({ status }) => status === 429));
      return refused.length > 0;
    });
    expect(refused[0]).toMatchObject({ body: { code: 'RATE_LIMITED' }, headers: { 'retry-after': '1' } });
    await running.node.app.close();
  });
});

describe('a node that stops', () => {
  it('tells its sessions, finishes what runs, and closes them', async () => {
    const running = await start();
    let finish = (): void => undefined;
    const reached = new Promise<void>((resolve) => {
      running.node.transactions.commit = () => {
        resolve();
        return new Promise<Settlement>((settle) => (finish = () => settle({ settled: true, transaction: committed })));
      };
    });
    const [busy, idle] = [await client(running), await client(running)];
    const stream = busy.open(COMMIT, { method: 'POST' });
    stream.end();
    const answer = answerOf(stream);
    await idle.ask('/healthz');
    await reached;
    running.node.app.get(RequestGate, { strict: false }).close();
    const late = await client(running);
    expect(await late.ask(LIST)).toMatchObject({ status: 503, body: { code: 'SHUTTING_DOWN' } });
    await idle.closed();
    expect(idle.isToldToGo).toBe(true);
    finish();
    expect((await answer).status).toBe(200);
    await running.node.app.close();
    await Promise.all([busy.closed(), late.closed()]);
  });
});
