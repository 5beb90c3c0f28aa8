import { createServer as createPlainServer } from 'node:net';
import { createServer, type Server } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestAuthority } from '@concordat/raft/testing';
import { silentLogger } from '@concordat/foundation';
import { createApiToken } from './auth/credentials/api-tokens.js';
import { problemOf } from './http/problems.js';
import { TestCertificates } from './http/testing/test-certificates.js';
import { testConfig } from './http/testing/test-node.js';
import { memberCheck, memberLinks } from './member-check.js';
import { NodeCertificates } from './node-certificates.js';

const clusterName = 'local';
const authority = TestAuthority.create();
const own = authority.issue({ clusterName, nodeId: 1 });
const servers: { close(): unknown }[] = [];
const received: Buffer[] = [];
const ports: Record<string, number> = {};

async function listen(name: string, server: Server | ReturnType<typeof createPlainServer>): Promise<void> {
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  ports[name] = (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  const issued = {
    'node 2': authority.issue({ clusterName, nodeId: 2 }),
    'node 3': authority.issue({ clusterName, nodeId: 3 }),
    'another cluster': authority.issue({ clusterName: 'blue', nodeId: 2 }),
    'another authority': TestAuthority.create('stranger').issue({ clusterName, nodeId: 2 }),
    nobody: authority.issue({ clusterName, nodeId: 2, withIdentity: false }),
    expired: authority.issue({ clusterName, nodeId: 2, notAfter: new Date('2021-01-01') }),
  };
  for (const [name, { cert, key }] of Object.entries(issued)) {
    await listen(
      name,
      createServer({ cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) =>
        socket.resume().on('error', () => undefined),
      ),
    );
  }
  // something in the same network that speaks no TLS
  await listen(
    'a service',
    createPlainServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        received.push(bytes);
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      });
    }),
  );
});
afterAll(() => servers.forEach((server) => server.close()));

const REMEDY = 'CONCORDAT_X';
const shown = { files: () => own, remedy: REMEDY };
const unseen = { files: undefined, remedy: REMEDY };
const check = memberCheck({ raft: shown, http: shown, clusterName, isProofNeeded: true });

function request(raft: string, http: string) {
  const address = (name: string) => ({ host: '127.0.0.1', port: ports[name] ?? 1 });
  return { nodeId: 2, raft: address(raft), http: address(http), role: 'voter' } as const;
}

describe('a node that is to be added', () => {
  it('is taken when both its addresses answer with its certificate', async () => {
    await check(request('node 2', 'node 2'));
  });

  it.each([
    ['another node', 'it is of node 3'],
    ['another cluster', 'it is of the cluster "blue"'],
    ['another authority', 'unable to verify the first certificate'],
    ['nobody', 'it has no name concordat://local/<role>/<name>'],
    ['expired', 'certificate has expired'],
    ['a service', ''],
    ['a port where nobody listens', 'ECONNREFUSED'],
  ])('is refused when it answers as %s', async (name, sentence) => {
    const where = name === 'another node' ? 'node 3' : name;
    for (const [raft, http, field] of [
      [where, 'node 2', 'raftUrl'],
      ['node 2', where, 'httpUrl'],
    ] as const) {
      const refused = await check(request(raft, http)).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'MEMBER_NOT_VERIFIED', message: expect.stringContaining(sentence) });
      expect((refused as Error).message).toMatch(
        new RegExp(`^${field}: 127.0.0.1:\\d+ does not answer as node 2 of this cluster: `),
      );
      expect(problemOf(refused, '/')).toMatchObject({ status: 409, code: 'MEMBER_NOT_VERIFIED' });
    }
    // no request of ours reaches what is no node
    expect(Buffer.concat(received).includes('HTTP/')).toBe(false);
  });

  it('is not asked where the nodes speak plain text, and nobody asks for a proof', async () => {
    const plain = memberCheck({ raft: unseen, http: unseen, clusterName, isProofNeeded: false });
    await plain(request('nobody', 'nobody'));
  });

  it.each([
    ['raftUrl', { raft: unseen, http: shown }],
    ['httpUrl', { raft: shown, http: unseen }],
    ['raftUrl', { raft: unseen, http: unseen }],
  ])('is refused where nothing would show who answers at its %s, before anything is called', async (field, links) => {
    const calls = received.length;
    const refused: unknown = await memberCheck({ ...links, clusterName, isProofNeeded: true })(
      request('a service', 'a service'),
    ).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'MEMBER_NOT_VERIFIED' });
    expect((refused as Error).message).toMatch(
      new RegExp(
        `^${field}: nothing shows who answers at 127.0.0.1:\\d+; at all coordinators set ${REMEDY}, or CONCORDAT_PLAIN_LINKS=accept`,
      ),
    );
    expect(received).toHaveLength(calls);
  });
});

describe('what a node looks at', () => {
  let files: TestCertificates;
  let tokens: Record<string, string>;
  beforeAll(() => {
    files = new TestCertificates();
    const { line } = createApiToken({ name: 'oscar', roles: ['operator'] });
    tokens = { CONCORDAT_AUTH_TOKEN_FILE: files.write('tokens', line) };
  });
  afterAll(() => files.remove());

  function linksOf(...variables: Record<string, string>[]) {
    const config = testConfig(Object.assign({}, ...variables));
    const certificates = new NodeCertificates(config, silentLogger);
    certificates.stop();
    return memberLinks(config, certificates);
  }

  const served = () => {
    const { CONCORDAT_REVOKED_FILE: _revoked, ...own } = files.node(1);
    return own;
  };
  const linked = () =>
    Object.fromEntries(Object.entries(served()).map(([name, file]) => [name.replace('_HTTP_', '_RAFT_'), file]));

  it('are certificates, on each link that has them', () => {
    const links = linksOf(tokens, linked(), served());
    expect(links.isProofNeeded).toBe(true);
    for (const { files: own } of [links.raft, links.http]) expect(own?.()).toMatchObject({ ca: expect.anything() });
  });

  it.each([
    ['plain text at Raft', () => [served()], 'raft', 'CONCORDAT_RAFT_TLS_CA, '],
    ['plain text at REST', () => [linked()], 'http', 'CONCORDAT_HTTP_TLS_CA, '],
    [
      'nodes that are on the way to TLS',
      () => [served(), linked(), { CONCORDAT_RAFT_TLS: 'accept' }],
      'raft',
      'CONCORDAT_RAFT_TLS=prefer',
    ],
    ['the same at REST', () => [served(), linked(), { CONCORDAT_TLS: 'accept' }], 'http', 'CONCORDAT_TLS=prefer'],
    [
      'certificates of an authority that is not of the cluster',
      () => [linked(), { ...served(), CONCORDAT_HTTP_TLS_CA: '' }],
      'http',
      'CONCORDAT_HTTP_TLS_CA, ',
    ],
  ] as const)('is nothing with %s: it says what to set', (_what, variables, link, remedy) => {
    const links = linksOf(tokens, ...variables());
    expect(links[link].files).toBeUndefined();
    expect(links[link].remedy).toContain(remedy);
    expect(links[link === 'raft' ? 'http' : 'raft'].files).toBeDefined();
    expect(links.isProofNeeded).toBe(true);
  });

  it('is not needed where nobody is asked who he is, nor where plain links are accepted aloud', () => {
    expect(linksOf().isProofNeeded).toBe(false);
    expect(linksOf(tokens, { CONCORDAT_PLAIN_LINKS: 'accept' }).isProofNeeded).toBe(false);
  });
});
