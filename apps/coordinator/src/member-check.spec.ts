import { createServer as createPlainServer } from 'node:net';
import { createServer, type Server } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestAuthority } from '@concordat/raft/testing';
import { problemOf } from './http/problems.js';
import { memberCheck } from './member-check.js';

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

const check = memberCheck({ raft: () => own, http: () => own, clusterName });

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

  it('is not asked where the nodes speak plain text', async () => {
    await memberCheck({ raft: undefined, http: undefined, clusterName })(request('nobody', 'nobody'));
  });
});
