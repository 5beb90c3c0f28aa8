import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFilesAgain } from '@concordat/foundation';
import { TestAuthority } from '@concordat/raft/testing';
import { Http2Client } from './testing/http2-client.js';
import { askSecurely, CLUSTER, TestCertificates } from './testing/test-certificates.js';
import { TestGroup, type GroupNode } from './testing/test-group.js';

const certificates = new TestCertificates();
afterAll(() => certificates.remove());

const LIST = '/v1/transactions';

async function urlOf({ app }: GroupNode): Promise<string> {
  return `https://127.0.0.1:${new URL(await app.getUrl()).port}`;
}

describe('a group over TLS', () => {
  let group: TestGroup;
  beforeAll(async () => {
    group = await TestGroup.start(3, (nodeId) => certificates.node(nodeId));
  });
  afterAll(() => group.stop());

  it('passes requests on to the leader, which knows the sender by its own certificate', async () => {
    const [follower] = (await group.followers()) as [GroupNode];
    const url = await urlOf(follower);
    const alice = certificates.client({ roles: ['client'] });
    const begun = await askSecurely(`${url}${LIST}`, alice, { method: 'POST', body: { timeoutMs: 600_000 } });
    expect(begun).toMatchObject({ status: 201, body: { owner: 'certificate:alice' } });
    const bob = certificates.client({ roles: ['client'], name: 'bob' });
    const aborted = await askSecurely(`${url}${LIST}/${String(begun.body['id'])}/abort`, bob, { method: 'POST' });
    expect(aborted.body).toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    const lock = await askSecurely(`${url}/v1/locks/a`, alice, {
      method: 'PUT',
      body: { owner: 'a', ttlMs: 10_000 },
    });
    expect(lock.status).toBe(200);
    const { body } = await askSecurely(`${url}/v1/cluster`, alice);
    expect(body['members']).toMatchObject([1, 2, 3].map(() => ({ httpUrl: expect.stringMatching(/^https:/) })));
  });

  it('passes on what comes over HTTP/2', async () => {
    const [follower] = (await group.followers()) as [GroupNode];
    const session = await Http2Client.connect(await urlOf(follower), certificates.client({ roles: ['client'] }));
    const begun = await session.ask(LIST, { method: 'POST', body: { timeoutMs: 600_000 } });
    expect(begun).toMatchObject({ status: 201, body: { owner: 'certificate:alice' } });
    expect(begun.headers['concordat-leader']).toMatch(/^https:/);
    const path = `${LIST}/${String(begun.body['id'])}`;
    expect((await session.ask(path)).body).toMatchObject({ status: 'active' });
    expect((await session.ask(`${path}/abort`, { method: 'POST' })).status).toBe(200);
    const lock = await session.ask('/v1/locks/http2', { method: 'PUT', body: { owner: 'a', ttlMs: 10_000 } });
    expect(lock.status).toBe(200);
    const waiting = session.open('/v1/locks/http2', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
    });
    waiting.end(JSON.stringify({ owner: 'b', ttlMs: 10_000, waitMs: 60_000 }));
    const { locks } = await group.leader();
    await group.until(() => locks.figures().waiting === 1);
    waiting.close(); // nobody waits any longer, and the leader hears of it
    await group.until(() => locks.figures().waiting === 0);
    session.destroy();
  });
});

describe('a group whose authority is replaced', () => {
  it.each([
    ['POST', LIST, {}],
    ['PUT', '/v1/locks/c', { owner: 'a', ttlMs: 10_000 }],
  ])(
    'passes on every request meanwhile, over connections with the new certificates: %s',
    async (method, path, body) => {
      const own = new TestCertificates();
      const successor = TestAuthority.create('successor');
      const group = await TestGroup.start(3, (nodeId) => own.node(nodeId));
      const trust = (...authorities: TestAuthority[]): void => {
        own.write('ca.pem', Buffer.concat(authorities.map(({ certificate }) => certificate)), 0o644);
        readFilesAgain();
      };
      try {
        const [follower] = (await group.followers()) as [GroupNode];
        const url = await urlOf(follower);
        const ask = async (client: ReturnType<TestCertificates['client']>): Promise<unknown> => {
          const ca = Buffer.concat([own.authority.certificate, successor.certificate]);
          const answer = await askSecurely(`${url}${path}`, { ...client, ca }, { method, body });
          return answer.body['code'] ?? answer.status;
        };
        const [before, after] = [own.authority, successor].map((authority) =>
          own.client({ roles: ['client'], authority }),
        ) as [ReturnType<TestCertificates['client']>, ReturnType<TestCertificates['client']>];
        const right = method === 'POST' ? 201 : 200;
        const replace = (nodeIds: readonly number[]): void => {
          for (const nodeId of nodeIds) {
            const { cert, key } = successor.issue({ clusterName: CLUSTER, nodeId });
            own.write(`node-${nodeId}.pem`, cert, 0o644);
            own.write(`node-${nodeId}.key`, key);
          }
          readFilesAgain();
        };
        trust(own.authority, successor);
        const { nodeId: leaderId } = await group.leader();
        replace([leaderId]);
        expect(await ask(before)).toBe(right); // over a connection that shows the leader the old certificate
        replace([1, 2, 3].filter((nodeId) => nodeId !== leaderId));
        expect([await ask(before), await ask(after)]).toEqual([right, right]);
        trust(successor);
        expect([await ask(before), await ask(after)]).toEqual(['UNAUTHENTICATED', right]);
      } finally {
        await group.stop();
        own.remove();
      }
    },
  );

  it.each([
    ['POST', LIST, {}],
    ['PUT', '/v1/locks/d', { owner: 'a', ttlMs: 10_000 }],
  ])('gives nothing more to a leader whose certificate is revoked: %s', async (method, path, body) => {
    const own = new TestCertificates();
    // each node has a file of its own, and only the follower knows of the theft
    const group = await TestGroup.start(3, (nodeId) => ({
      ...own.node(nodeId),
      CONCORDAT_REVOKED_FILE: own.write(`revoked-${nodeId}`, '', 0o644),
    }));
    try {
      const [follower] = (await group.followers()) as [GroupNode];
      const { nodeId: leaderId } = await group.leader();
      const url = await urlOf(follower);
      const alice = own.client({ roles: ['client'] });
      const begun = await askSecurely(`${url}${path}`, alice, { method, body });
      expect(begun.status).toBe(method === 'POST' ? 201 : 200);
      const { serialNumber } = new X509Certificate(readFileSync(own.path(`node-${leaderId}.pem`)));
      own.write(`revoked-${follower.nodeId}`, serialNumber, 0o644);
      readFilesAgain();
      const answer = await askSecurely(`${url}${path}`, alice, { method, body });
      expect([answer.status, answer.body['code']]).toEqual([503, 'NO_LEADER']);
    } finally {
      await group.stop();
      own.remove();
    }
  });
});

describe('a leader with the certificate of somebody else', () => {
  it.each([
    ['POST', LIST, {}],
    ['PUT', '/v1/locks/b', { owner: 'a', ttlMs: 10_000 }],
  ])('gets nothing: %s', async (method, path, body) => {
    const group = await TestGroup.start(3, (nodeId) => certificates.node(nodeId));
    try {
      const leader = await group.leader();
      const [follower] = (await group.followers()) as [GroupNode];
      const server = leader.app.getHttpServer() as unknown as { setSecureContext(options: object): void };
      server.setSecureContext(certificates.client({ roles: ['operator'], name: 'mallory' }));
      const alice = certificates.client({ roles: ['client'] });
      const answer = await askSecurely(`${await urlOf(follower)}${path}`, alice, { method, body });
      expect([answer.status, answer.body['code']]).toEqual([503, 'NO_LEADER']);
    } finally {
      await group.stop();
    }
  });
});

describe('a group on its way to TLS', () => {
  it('passes requests on in plain text until all nodes prefer TLS', async () => {
    const modes = ['accept', 'accept', 'prefer'];
    const group = await TestGroup.start(3, (nodeId) => ({
      ...certificates.node(nodeId),
      CONCORDAT_AUTH: 'none',
      CONCORDAT_TLS: modes[nodeId - 1]!,
    }));
    try {
      for (const follower of await group.followers()) {
        const begun = await askSecurely(
          `${await urlOf(follower)}${LIST}`,
          { ca: certificates.authority.certificate },
          { method: 'POST', body: {} },
        );
        expect(begun.status).toBe(201);
      }
    } finally {
      await group.stop();
    }
  });

  it('takes the certificate of a client at every node only when all prefer TLS, as the steps say', async () => {
    const answers: unknown[] = [];
    for (const mode of ['accept', 'prefer']) {
      const group = await TestGroup.start(3, (nodeId) => ({ ...certificates.node(nodeId), CONCORDAT_TLS: mode }));
      try {
        const [follower] = (await group.followers()) as [GroupNode];
        const alice = certificates.client({ roles: ['client'] });
        for (const node of [await group.leader(), follower]) {
          const { status } = await askSecurely(`${await urlOf(node)}${LIST}`, alice, { method: 'POST', body: {} });
          answers.push([mode, status]);
        }
      } finally {
        await group.stop();
      }
    }
    expect(answers).toEqual([
      ['accept', 201],
      ['accept', 401],
      ['prefer', 201],
      ['prefer', 201],
    ]);
  });
});
