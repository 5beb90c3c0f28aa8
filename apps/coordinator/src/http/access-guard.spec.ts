import { request as httpRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CALL_RULES, ruleOf } from '../auth/call-rules.js';
import { ROLES, type Role } from '../auth/credentials/roles.js';
import { active, BRANCH_ID, ID } from './testing/fake-engine.js';
import { Secured, type Bearer } from './testing/secured.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

/** One bearer for each role, and one without any. */
const BEARER_OF: Readonly<Record<Role, Bearer>> = {
  client: 'alice',
  observer: 'watcher',
  operator: 'oscar',
  metrics: 'prometheus',
  participant: 'bank',
  node: 'node',
};

let secured: Secured;
let node: TestNode;
async function start(): Promise<void> {
  secured = await Secured.create();
  node = await createTestNode({ ...secured.environment, CONCORDAT_FAILPOINTS: 'on' });
}
async function stop(): Promise<void> {
  await node.app.close();
  secured.remove();
}
beforeAll(start);
afterAll(stop);
beforeEach(() => {
  node.transactions.calls.length = 0;
  node.cluster.calls.length = 0;
});

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

function ask(method: Method, url: string, headers: Record<string, string> = {}, payload?: object) {
  return node.app.inject({ method, url, headers, ...(payload && { payload }) });
}

/** A route that could be asked, from its pattern. */
const urlOf = (route: string): string => route.replace(':id', ID).replace(':nodeId', '3').replace(':name', 'invoice-7');

/** The routes of a node as they were registered: method and pattern. */
function routes(): string[] {
  const fastify = node.app.getHttpAdapter().getInstance() as unknown as { printRoutes(options: object): string };
  const lines = fastify.printRoutes({ commonPrefix: false, includeHooks: false }).split('\n');
  const found: string[] = [];
  const path: string[] = [];
  for (const line of lines) {
    const [, indent = '', rest = ''] = /^((?:│ {3}| {4})*)(?:├── |└── )(.*)$/.exec(line) ?? [];
    if (rest === '') continue;
    const depth = indent.length / 4;
    const [, part = '', methods] = /^(.*?)(?: \(([A-Z, ]+)\))?$/.exec(rest) ?? [];
    path.length = depth;
    path[depth] = part;
    if (methods !== undefined) for (const method of methods.split(', ')) found.push(`${method} ${path.join('')}`);
  }
  return found;
}

describe('every call', () => {
  it('has a rule who may make it, and no rule is without a call', () => {
    const found = routes();
    expect(found.length).toBeGreaterThan(30);
    const lacking = found.filter((route) => {
      const [method, pattern] = route.split(' ');
      return ruleOf(method!, pattern!) === undefined;
    });
    expect(lacking).toEqual([]);
    expect(Object.keys(CALL_RULES).filter((call) => !found.includes(call))).toEqual([]);
  });

  it.each(Object.entries(CALL_RULES))('%s', async (call, { roles }) => {
    const [method, route] = call.split(' ') as [Method, string];
    const url = urlOf(route);
    const without = await ask(method, url);
    if (roles === 'everyone') {
      expect(without.statusCode).toBeLessThan(400);
      return;
    }
    expect([without.statusCode, without.headers['www-authenticate']]).toEqual([401, 'Bearer realm="concordat"']);
    expect(without.json()).toMatchObject({ code: 'UNAUTHENTICATED', instance: url });
    for (const role of ROLES) {
      const isStream = url.endsWith('/events'); // its headers say enough
      const answer = await ask(isStream ? 'HEAD' : method, url, secured.header(BEARER_OF[role]));
      if (roles.includes(role)) expect([role, answer.statusCode]).not.toEqual([role, 403]);
      else {
        expect([role, answer.statusCode]).toEqual([role, 403]);
        expect(answer.headers['www-authenticate']).toBe('Bearer realm="concordat", error="insufficient_scope"');
        if (!isStream) expect(answer.json()).toMatchObject({ code: 'FORBIDDEN', instance: url });
      }
    }
  });

  it('without a route is unknown only to who has shown who it is', async () => {
    expect((await ask('GET', '/v1/secrets')).statusCode).toBe(401);
    const known = await ask('GET', '/v1/secrets', secured.header('prometheus'));
    expect([known.statusCode, known.json().code]).toEqual([404, 'ROUTE_NOT_FOUND']);
  });

  it('is judged before its body, its id and its query are looked at', async () => {
    const headers = { 'content-type': 'application/json' };
    for (const url of ['/v1/transactions/no-id/commit?x=1', '/v1/transactions/execute']) {
      const answer = await node.app.inject({ method: 'POST', url, headers, payload: '{"broken":' });
      expect([answer.statusCode, answer.headers.connection]).toEqual([401, 'close']);
    }
    expect(node.transactions.calls).toEqual([]);
  });
});

describe('a credential', () => {
  it('may be a JWT, whose subject is the principal', async () => {
    const token = await secured.issuer.token(Date.now(), ['operator'], { claims: { sub: 'olga' } });
    const ruling = { action: 'abort', reason: 'the client is gone', operator: 'somebody else' };
    const answer = await ask('POST', `/v1/transactions/${ID}/resolve`, { authorization: `Bearer ${token}` }, ruling);
    expect(answer.statusCode).toBe(200);
    expect(node.transactions.calls[0]).toMatchObject(['resolve', ID, { action: 'abort', operator: 'jwt:olga' }]);
  });

  it.each<[string, () => Record<string, string>]>([
    ['of another scheme', () => ({ authorization: `Basic ${Buffer.from('oscar:x').toString('base64')}` })],
    ['that is empty', () => ({ authorization: '' })],
    ['without a token', () => ({ authorization: 'Bearer' })],
    ['of two tokens', () => ({ authorization: `Bearer ${secured.token('oscar')} ${secured.token('oscar')}` })],
    ['of two, joined by a comma', () => ({ authorization: `Bearer a, Bearer ${secured.token('oscar')}` })],
    ['that is unknown', () => ({ authorization: `Bearer ${secured.token('oscar').slice(0, -1)}` })],
    ['that is huge', () => ({ authorization: `Bearer ${'a'.repeat(9_000)}` })],
    ['that is the hash of a token', () => ({ authorization: 'Bearer sha256:00' })],
    ['in another header', () => ({ 'proxy-authorization': `Bearer ${secured.token('oscar')}` })],
  ])('%s is refused', async (_name, headers) => {
    const answer = await ask('GET', '/v1/in-doubt', headers());
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'UNAUTHENTICATED']);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="concordat"/);
    expect(answer.body).not.toContain(secured.token('oscar'));
  });

  it('is taken in any case of its scheme', async () => {
    const answer = await ask('GET', '/v1/in-doubt', { authorization: `BEARER ${secured.token('oscar')}` });
    expect(answer.statusCode).toBe(200);
  });

  it('must come once: two Authorization headers are refused, whatever they say', async () => {
    const own = `Bearer ${secured.token('oscar')}`;
    const call = httpRequest(`${await node.listen()}/v1/in-doubt`, { agent: false });
    call.setHeader('authorization', [own, own]);
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(401);
  });

  it('ends with its line in the file', async () => {
    const own = await Secured.create();
    const other = await createTestNode(own.environment);
    const count = async (): Promise<number> =>
      (await other.app.inject({ method: 'GET', url: '/v1/in-doubt', headers: own.header('oscar') })).statusCode;
    expect(await count()).toBe(200);
    writeFileSync(own.tokenFile, '# nobody\n');
    while ((await count()) !== 401) await new Promise((resolve) => setTimeout(resolve, 20));
    await other.app.close();
    own.remove();
  });
});

describe('a client', () => {
  it('owns what it begins, under the name of its credential', async () => {
    await ask('POST', '/v1/transactions', { ...secured.header('alice'), 'idempotency-key': 'k' }, {});
    const branches = [{ participant: 'bank-a', operation: 'debit', payload: {} }];
    await ask('POST', '/v1/transactions/execute', secured.header('bob'), { branches });
    expect(node.transactions.calls.map(([name, request]) => [name, request])).toMatchObject([
      ['begin', { owner: 'token:alice', idempotency: { key: 'k token:alice' } }],
      ['execute', { owner: 'token:bob', branches }],
    ]);
  });

  it.each<[Bearer, string, object, number]>([
    ['alice', 'operations', { participant: 'bank-a', operation: 'debit', payload: {} }, 201],
    ['alice', 'a vote', { participant: 'bank-a', branchId: BRANCH_ID, vote: 'yes' }, 403],
    ['alice', 'a held branch', { participant: 'bank-a', branchId: BRANCH_ID, instance: 'a-1' }, 403],
    ['bank', 'operations of its own', { participant: 'bank-a', operation: 'debit', payload: {} }, 201],
    ['bank', 'operations of another', { participant: 'bank-b', operation: 'debit', payload: {} }, 403],
    ['bank', 'its own vote', { participant: 'bank-a', branchId: BRANCH_ID, vote: 'yes' }, 201],
    ['bank', 'the vote of another', { participant: 'bank-b', branchId: BRANCH_ID, vote: 'yes' }, 403],
    ['bank', 'a held branch of another', { participant: 'bank-b', branchId: BRANCH_ID, instance: 'a-1' }, 403],
    ['shop', 'its own held branch', { participant: 'shop', branchId: BRANCH_ID, instance: 'a-1' }, 201],
    ['shop', 'operations of another', { participant: 'bank-b', operation: 'debit', payload: {} }, 201],
    ['shop', 'the vote of another', { participant: 'bank-b', branchId: BRANCH_ID, vote: 'yes' }, 403],
  ])('%s enlists %s', async (bearer, _what, branch, status) => {
    const answer = await ask('POST', `/v1/transactions/${ID}/branches`, secured.header(bearer), branch);
    expect(answer.statusCode).toBe(status);
    if (status === 403) expect(answer.json().code).toBe('FORBIDDEN');
    expect(node.transactions.calls).toHaveLength(status === 403 ? 0 : 1);
  });
});

describe('a request to commit or abort that names branches', () => {
  const held = (participant: string) => ({ participant, branchId: BRANCH_ID, instance: 'a-1' });

  it.each<[Bearer, 'commit' | 'abort', string, number]>([
    ['shop', 'commit', 'shop', 200],
    ['shop', 'commit', 'bank-b', 403],
    ['alice', 'commit', 'bank-a', 403],
    ['bank', 'commit', 'bank-a', 403],
    ['bank', 'abort', 'bank-a', 409], // it was taken: the engine says that it is committed
    ['bank', 'abort', 'bank-b', 403],
  ])('%s may %s with a branch of its own participant alone: %s', async (bearer, call, participant, status) => {
    const body = { branches: [held(participant)] };
    const answer = await ask('POST', `/v1/transactions/${ID}/${call}`, secured.header(bearer), body);
    expect(answer.statusCode).toBe(status);
    expect(node.transactions.calls).toHaveLength(status === 403 ? 0 : 1);
  });

  it('speaks for a participant, which may abort by it what it has not joined yet', async () => {
    await ask('POST', `/v1/transactions/${ID}/abort`, secured.header('bank'), { branches: [held('bank-a')] });
    await ask('POST', `/v1/transactions/${ID}/abort`, secured.header('bank'), {});
    const [named, unnamed] = node.transactions.calls.map(([, , options]) => options);
    expect(named).not.toHaveProperty('access.participants');
    expect(unnamed).toHaveProperty('access.participants', ['bank-a']);
  });
});

describe('the audit', () => {
  // of one second it has ten refusals only, and the tests above are refused more often
  beforeAll(async () => {
    await stop();
    await start();
  });

  const auditOf = async (call: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const found = secured.audit().findLast((entry) => entry['call'] === call);
      if (found) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it('has what an operator did, from where, and what the answer was, in a file for its owner alone', async () => {
    const url = `${await node.listen()}/v1/cluster/leader`;
    const forwarded = { 'x-concordat-forwarded-by': '2', 'x-concordat-forwarded-for': '2001:db8::7' };
    const headers = { ...secured.header('oscar'), 'content-type': 'application/json', ...forwarded };
    await fetch(url, { method: 'POST', headers, body: '{"nodeId":2}' });
    expect(await auditOf('POST /v1/cluster/leader')).toEqual({
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      event: 'call',
      principal: 'token:oscar',
      roles: ['operator'],
      call: 'POST /v1/cluster/leader',
      url: '/v1/cluster/leader',
      address: '127.0.0.1',
      forwardedBy: '2',
      forwardedFor: '2001:db8::7',
      status: 200,
      body: { nodeId: 2 },
    });
    expect(statSync(secured.auditFile).mode & 0o777).toBe(0o600);
  });

  it('has what an operator only read, and what was refused to it', async () => {
    await ask('GET', '/v1/locks?limit=3', secured.header('oscar'));
    expect(await auditOf('GET /v1/locks')).toMatchObject({ url: '/v1/locks?limit=3', status: 200 });
    await ask('DELETE', '/v1/cluster/members/0', secured.header('oscar'));
    expect(await auditOf('DELETE /v1/cluster/members/:nodeId')).toMatchObject({ status: 400 });
  });

  it('has what an operator did to the lock of another, by force', async () => {
    node.locks.calls.length = 0;
    const proof = 'owner=worker&fencingToken=41';
    await ask('DELETE', `/v1/locks/forced?${proof}&force=true`, secured.header('oscar'));
    const released = await auditOf('DELETE /v1/locks/:name');
    expect(released).toMatchObject({
      principal: 'token:oscar',
      url: `/v1/locks/forced?${proof}&force=true`,
      status: 204,
    });
    const body = { owner: 'worker', fencingToken: 41, ttlMs: 1_000 };
    await ask('POST', '/v1/locks/forced/renew?force=true', secured.header('oscar'), body);
    expect(await auditOf('POST /v1/locks/:name/renew')).toMatchObject({ status: 200, body });
    const sender = { principal: 'token:oscar', isForced: true };
    expect(node.locks.calls).toMatchObject([
      ['release', { name: 'forced', ...sender }],
      ['renew', { name: 'forced', ...sender }],
    ]);
  });

  it('has refused credentials by their reasons, and neither tokens nor payloads', async () => {
    const secret = `cct_${'x'.repeat(43)}`;
    await ask('PUT', '/v1/locks/a', { authorization: `Bearer ${secret}` });
    const entry = await auditOf('PUT /v1/locks/:name');
    expect(entry).toMatchObject({ event: 'refused-credential', reason: 'unknown-token', address: '127.0.0.1' });
    const branches = [{ participant: 'bank-a', operation: 'debit', payload: { canary: 'tweet' } }];
    await ask('POST', '/v1/transactions/execute', secured.header('alice'), { branches });
    const text = JSON.stringify(secured.audit());
    for (const canary of [secret, secured.token('oscar'), 'tweet']) expect(text).not.toContain(canary);
  });

  it('has what the roles of a sender do not allow, at the door and behind it', async () => {
    await ask('POST', '/v1/cluster/members', secured.header('alice'));
    expect(await auditOf('POST /v1/cluster/members')).toMatchObject({
      event: 'refused-call',
      principal: 'token:alice',
      roles: ['client'],
      url: '/v1/cluster/members',
      address: '127.0.0.1',
      note: 'this call needs one of the roles operator; yours: client',
    });
    const url = `/v1/transactions/${ID}/branches`;
    const branch = { participant: 'bank-a', branchId: BRANCH_ID, vote: 'yes' };
    expect((await ask('POST', url, secured.header('alice'), branch)).statusCode).toBe(403);
    expect(await auditOf('POST /v1/transactions/:id/branches')).toMatchObject({
      event: 'refused-call',
      principal: 'token:alice',
      note: 'only participant:bank-a may enlist a branch that bank-a has prepared or holds',
    });
  });

  it('counts them for Prometheus', async () => {
    await ask('GET', '/v1/locks', { authorization: 'Bearer cct_unknown' });
    const metrics = await ask('GET', '/metrics', secured.header('prometheus'));
    expect(metrics.body).toMatch(/concordat_http_refused_credentials_total\{reason="unknown-token"\} \d/);
  });
});

describe('locks', () => {
  beforeEach(() => void (node.locks.calls.length = 0));
  const body = { owner: 'worker', fencingToken: 41, ttlMs: 1_000 };

  it('are taken, renewed and released by a principal', async () => {
    await ask('PUT', '/v1/locks/a', secured.header('alice'), { owner: 'worker', ttlMs: 1_000 });
    await ask('POST', '/v1/locks/a/renew', secured.header('bob'), body);
    await ask('DELETE', '/v1/locks/a?owner=worker&fencingToken=41&force=false', secured.header('bank'));
    const sent = node.locks.calls as [string, { principal: string; isForced?: true }][];
    expect(sent.map(([call, { principal, isForced }]) => [call, principal, isForced])).toEqual([
      ['acquire', 'token:alice', undefined],
      ['renew', 'token:bob', undefined],
      ['release', 'token:bank', undefined],
    ]);
  });

  it.each<Bearer>(['alice', 'bank', 'shop'])('are not forced by %s, whatever it calls force', async (bearer) => {
    for (const force of ['true', '1', '']) {
      const url = `/v1/locks/a?owner=worker&fencingToken=41&force=${force}`;
      const refused = [
        await ask('DELETE', url, secured.header(bearer)),
        await ask('POST', `/v1/locks/a/renew?force=${force}`, secured.header(bearer), body),
      ];
      for (const answer of refused) {
        expect([answer.statusCode, answer.json().code]).toEqual([403, 'FORBIDDEN']);
        expect(answer.json().detail).toContain('one of the roles operator');
      }
    }
    expect(node.locks.calls).toEqual([]);
  });

  it('are listed to who may read everything, and to others their own', async () => {
    for (const bearer of ['watcher', 'oscar', 'alice', 'bank'] as const) {
      expect((await ask('GET', '/v1/locks', secured.header(bearer))).statusCode).toBe(200);
    }
    expect(node.locks.calls.map(([, query]) => query)).toEqual([
      { limit: 50 },
      { limit: 50 },
      { limit: 50, principal: 'token:alice' },
      { limit: 50, principal: 'token:bank' },
    ]);
  });
});

describe('limits', () => {
  it('hold for each principal by itself, and say when to come again', async () => {
    const limited = await createTestNode({ ...secured.environment, CONCORDAT_RATE_LIMIT: '5' });
    const statuses = async (bearer: Bearer): Promise<number[]> => {
      const headers = secured.header(bearer);
      const calls = Array.from({ length: 8 }, () => limited.app.inject({ method: 'GET', url: '/v1/cluster', headers }));
      return (await Promise.all(calls)).map(({ statusCode }) => statusCode);
    };
    expect(await statuses('alice')).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    expect(await statuses('bob')).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    const refused = await limited.app.inject({ method: 'GET', url: '/v1/cluster', headers: secured.header('alice') });
    expect([refused.json().code, refused.headers['retry-after']]).toEqual(['RATE_LIMITED', '1']);
    expect((await limited.app.inject({ method: 'GET', url: '/healthz' })).statusCode).toBe(200);
    await limited.app.close();
  });

  it('end the patience with an address whose credentials are wrong, but not with those that are known', async () => {
    const limited = await createTestNode({ ...secured.environment, CONCORDAT_RATE_LIMIT_REFUSED: '3' });
    const status = async (authorization: string): Promise<number> =>
      (await limited.app.inject({ method: 'GET', url: '/v1/cluster', headers: { authorization } })).statusCode;
    const known = `Bearer ${await secured.issuer.token(Date.now())}`;
    const later = `Bearer ${await secured.issuer.token(Date.now(), ['observer'])}`;
    expect(await status(known)).toBe(200);
    const wrong = [];
    for (let count = 0; count < 5; count++) wrong.push(await status('Bearer a.b.c'));
    expect(wrong).toEqual([401, 401, 401, 429, 429]);
    expect(await status(known)).toBe(200);
    expect(await status(`Bearer ${secured.token('alice')}`)).toBe(200); // a look-up costs nothing
    expect(await status(later)).toBe(429);
    await limited.app.close();
  });

  it('may be set without authentication, for each address', async () => {
    const open = await createTestNode({ CONCORDAT_RATE_LIMIT: '2' });
    const statuses = [];
    for (let count = 0; count < 3; count++) {
      statuses.push((await open.app.inject({ method: 'GET', url: '/v1/cluster' })).statusCode);
    }
    expect(statuses).toEqual([200, 200, 429]);
    await open.app.close();
  });
});

describe('without authentication', () => {
  it('nobody is asked, nothing is owned, and who rules says who it is', async () => {
    const open = await createTestNode();
    const headers = { authorization: 'Bearer whatever' };
    await open.app.inject({ method: 'POST', url: '/v1/transactions', headers, payload: {} });
    const ruling = { action: 'abort', reason: 'x', operator: 'ann' };
    await open.app.inject({ method: 'POST', url: `/v1/transactions/${ID}/resolve`, payload: ruling });
    const [[, begun], [, , ruled]] = open.transactions.calls as [[string, object], [string, string, object]];
    expect(begun).toEqual({ protocol: '2pc', timeoutMs: 30_000, metadata: {}, deferred: false });
    expect(ruled).toMatchObject({ operator: 'ann' });
    expect(open.transactions.view).toBe(active);
    await open.app.close();
  });

  it.each<[what: string, origin: string | undefined, refused: boolean]>([
    ['a program', undefined, false],
    ['the documentation', 'http://127.0.0.1:8081', false],
    ['a page of this machine', 'http://localhost:3000', false],
    ['a page of this machine by its other address', 'http://[::1]:3000', false],
    ['a page of the internet', 'https://evil.example', true],
    ['a page whose name leads to this machine', 'http://evil.example:8081', true],
    ['a page with a name like that of this machine', 'http://localhost.evil.example', true],
    ['a page that hides its origin', 'null', true],
    ['something else', '127.0.0.1', true],
  ])('%s may change something, or not: %s', async (_what, origin, refused) => {
    const open = await createTestNode();
    const headers: Record<string, string> = origin === undefined ? {} : { origin };
    const calls = [
      ['POST', '/v1/transactions', {}],
      ['POST', '/v1/cluster/leader', { nodeId: 2 }],
      ['DELETE', '/v1/locks/a?owner=w&fencingToken=1', undefined],
    ] as const;
    for (const [method, url, payload] of calls) {
      const answer = await open.app.inject({ method, url, headers, ...(payload && { payload }) });
      expect([url, answer.statusCode === 403]).toEqual([url, refused]);
      if (refused) expect(answer.json()).toMatchObject({ code: 'FORBIDDEN', instance: url.split('?')[0] });
    }
    expect((await open.app.inject({ method: 'GET', url: '/v1/cluster', headers })).statusCode).toBe(200);
    expect(open.transactions.calls).toHaveLength(refused ? 0 : 1);
    await open.app.close();
    const aloud = await createTestNode({ CONCORDAT_AUTH: 'none' });
    expect((await aloud.app.inject({ method: 'POST', url: '/v1/transactions', headers, payload: {} })).statusCode).toBe(
      201,
    );
    await aloud.app.close();
  });

  it('what operators should do is audited, where a file for it is set', async () => {
    const own = await Secured.create();
    const open = await createTestNode({ CONCORDAT_AUDIT_FILE: own.auditFile });
    await open.app.inject({ method: 'POST', url: '/v1/cluster/leader', payload: { nodeId: 2 } });
    await open.app.inject({ method: 'GET', url: '/v1/cluster' });
    await open.app.inject({ method: 'DELETE', url: '/v1/locks/a?owner=w&fencingToken=1' });
    while (own.audit().length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(own.audit()).toMatchObject([{ call: 'POST /v1/cluster/leader', status: 200, body: { nodeId: 2 } }]);
    await open.app.close();
    own.remove();
  });
});
