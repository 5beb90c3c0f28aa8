import { X509Certificate } from 'node:crypto';
import { createServer, type TlsOptions } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { credentials, status, type StatusObject } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from '@jest/globals';
import { plainSerialNumber } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';
import { identityMetadata } from './exchange-service.js';
import type { TransportTls } from './grpc-transport.types.js';
import { TestAuthority } from './testing/test-authority.js';
import { TransportHarness, until, vote, type TestNode } from './testing/transport-harness.js';

const harness = new TransportHarness();
const authority = TestAuthority.create();
const otherAuthority = TestAuthority.create('other authority');
/** to make it hard */
const namesakeAuthority = TestAuthority.create();

const clusterName = 'test';
const certificates = {
  first: authority.issue({ clusterName, nodeId: 1 }),
  second: authority.issue({ clusterName, nodeId: 2 }),
};

/** Certificates for our nodes of somebody whom our authority does not know; he would trust ours. */
const certifiedBy =
  (issuer: TestAuthority) =>
  (nodeId: NodeId): TransportTls => ({ ...issuer.issue({ clusterName, nodeId }), ca: authority.certificate });
const foreign = certifiedBy(otherAuthority);
const forged = certifiedBy(namesakeAuthority);

const expired = (nodeId: NodeId): TransportTls =>
  authority.issue({ clusterName, nodeId, notAfter: new Date('2021-01-01T00:00:00Z') });

/** A call as node 2 would make it to node 1, with any certificate or none; it does not look at the server's name. */
function callAsSecond(node: TestNode, tls: TransportTls | undefined, withCertificate = true): Promise<StatusObject> {
  const channel = tls
    ? credentials.createSsl(tls.ca, withCertificate ? tls.key : null, withCertificate ? tls.cert : null, {
        checkServerIdentity: () => undefined,
      })
    : credentials.createInsecure();
  const metadata = identityMetadata({ clusterName, from: 2, to: 1 });
  return harness.call(node.address, metadata, [], channel);
}

/** A server that takes every certificate, with an own of our choice; counts the bytes of HTTP/2 it is sent. */
async function strangeServer(options: TlsOptions): Promise<{ port: number; received: () => number; names: unknown[] }> {
  let receivedBytes = 0;
  const names: unknown[] = [];
  const server = createServer({ ALPNProtocols: ['h2'], ...options }, (socket) => {
    names.push(socket.servername);
    socket.on('data', (bytes) => (receivedBytes += bytes.length));
    socket.on('error', () => undefined);
    harness.onEnd(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  harness.onEnd(() => void server.close());
  return { port: (server.address() as AddressInfo).port, received: () => receivedBytes, names };
}

afterEach(() => harness.end());

describe('GrpcTransport with mutual TLS', () => {
  it('delivers both ways between nodes with the right certificates, by address and by name', async () => {
    const first = await harness.start(1, { tls: certificates.first });
    const second = await harness.start(2, { tls: certificates.second, seeds: new Map([[1, first.address]]) });
    first.transport.setPeers(new Map([[2, `localhost:${second.transport.port}`]]));
    await until(() => second.transport.isConnected(1) && first.transport.isConnected(2), 'they are connected');
    second.transport.send([vote(2, 1, 1)]);
    first.transport.send([vote(1, 2, 2)]);
    await until(() => first.received.length > 0 && second.received.length > 0, 'the messages arrive');
    expect(first.received).toEqual([vote(2, 1, 1)]);
    expect(second.received).toEqual([vote(1, 2, 2)]);
    expect(first.transport.counters).toMatchObject({ refusedStreams: 0, refusedConnections: 0, refusedServers: 0 });
  });

  it('takes other certificates, also of another authority, while it runs', async () => {
    const first = await harness.start(1, { tls: certificates.first });
    const second = await harness.start(2, { tls: certificates.second, seeds: new Map([[1, first.address]]) });
    first.transport.setPeers(new Map([[2, second.address]]));
    await until(() => second.transport.isConnected(1) && first.transport.isConnected(2), 'they are connected');
    const both = Buffer.concat([authority.certificate, otherAuthority.certificate]);
    for (const [issuer, ca] of [
      [authority, both],
      [otherAuthority, both],
      [otherAuthority, otherAuthority.certificate],
    ] as const) {
      for (const { transport, nodeId, peer } of [
        { ...first, nodeId: 1, peer: 2 },
        { ...second, nodeId: 2, peer: 1 },
      ]) {
        const reconnects = (): number => transport.peerMetrics(peer)?.reconnects ?? 0;
        const before = reconnects();
        transport.setTls({ ...issuer.issue({ clusterName, nodeId }), ca });
        await until(() => reconnects() > before, `node ${nodeId} shows its new certificate`);
        await until(
          () => second.transport.isConnected(1) && first.transport.isConnected(2),
          'they are connected again',
        );
      }
    }
    second.transport.send([vote(2, 1, 1)]);
    first.transport.send([vote(1, 2, 2)]);
    await until(() => first.received.length > 0 && second.received.length > 0, 'the messages arrive');
    expect(first.transport.counters).toMatchObject({ refusedStreams: 0, refusedConnections: 0, refusedServers: 0 });
    const old = await callAsSecond(first, { ...certificates.second, ca: otherAuthority.certificate });
    expect(old.code).toBe(status.UNAVAILABLE);
    expect(() => first.transport.setTls(otherAuthority.issue({ clusterName, nodeId: 3 }))).toThrow(
      'the certificate names node 3 of cluster "test", but this is node 1 of cluster "test"',
    );
  });

  it('uses a stream until the one with other certificates is connected, also when all nodes reconnect at once', async () => {
    const first = await harness.start(1, { tls: certificates.first });
    const second = await harness.start(2, { tls: certificates.second, seeds: new Map([[1, first.address]]) });
    first.transport.setPeers(new Map([[2, second.address]]));
    await until(
      () => second.transport.isConnected(1) && first.transport.isConnected(2),
      'they are connected to each other',
    );
    const nodes = [
      { transport: first.transport, nodeId: 1, peer: 2 },
      { transport: second.transport, nodeId: 2, peer: 1 },
    ] as const;
    for (const { transport, nodeId } of nodes) transport.setTls(authority.issue({ clusterName, nodeId }));
    const gaps: number[] = [];
    await until(() => {
      for (const { transport, nodeId, peer } of nodes) if (!transport.isConnected(peer)) gaps.push(nodeId);
      return nodes.every(({ transport, peer }) => transport.peerMetrics(peer)?.reconnects === 1);
    }, 'both are connected anew');
    expect(gaps).toEqual([]);
    second.transport.send([vote(2, 1, 1)]);
    await until(() => first.received.length > 0, 'a message arrives');
    expect(second.transport.counters.droppedMessages).toBe(0);
  });

  it('knows clusters of any name', async () => {
    const odd = { clusterName: 'bob\'s "blue", 100 % / ünïcode (1)*!' };
    const first = await harness.start(1, { ...odd, tls: authority.issue({ ...odd, nodeId: 1 }) });
    const second = await harness.start(2, {
      ...odd,
      tls: authority.issue({ ...odd, nodeId: 2 }),
      seeds: new Map([[1, first.address]]),
    });
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
  });

  it.each([
    ['another node’s', { clusterName, nodeId: 2 }, 'the certificate names node 2 of cluster "test"'],
    ['another cluster’s', { clusterName: 'blue', nodeId: 1 }, 'the certificate names node 1 of cluster "blue"'],
    ['nobody’s', { clusterName, nodeId: 1, withIdentity: false }, 'the certificate names no node of a cluster'],
    [
      'two nodes’',
      { clusterName, nodeId: 1, uris: ['concordat://test/node/2'] },
      'the certificate names several nodes',
    ],
  ])('does not start with %s certificate', async (_whose, options, complaint) => {
    await expect(harness.start(1, { tls: authority.issue(options) })).rejects.toMatchObject({
      code: 'RAFT_TRANSPORT_TLS_INVALID',
      message: `${complaint}, but this is node 1 of cluster "test"`,
    });
  });

  it('does not start with the key of another certificate', async () => {
    const tls = { ...certificates.first, key: certificates.second.key };
    await expect(harness.start(1, { tls })).rejects.toMatchObject({ code: 'RAFT_TRANSPORT_TLS_INVALID' });
  });
});

describe('the change from plain text to TLS', () => {
  const plain = {};
  const { first: tls } = certificates;
  const later = certificates.second;

  it.each([
    ['no TLS', plain, { tls: later, tlsMode: 'accept' }],
    ['accept', { tls, tlsMode: 'accept' }, { tls: later, tlsMode: 'accept' }],
    ['accept', { tls, tlsMode: 'accept' }, { tls: later, tlsMode: 'prefer' }],
    ['prefer', { tls, tlsMode: 'prefer' }, { tls: later, tlsMode: 'prefer' }],
    ['prefer', { tls, tlsMode: 'prefer' }, { tls: later, tlsMode: 'require' }],
    ['require', { tls, tlsMode: 'require' }, { tls: later, tlsMode: 'require' }],
  ] as const)('a node with %s and the next one hear each other', async (_mode, before, after) => {
    const first = await harness.start(1, before);
    const second = await harness.start(2, { ...after, seeds: new Map([[1, first.address]]) });
    first.transport.setPeers(new Map([[2, second.address]]));
    await until(() => second.transport.isConnected(1) && first.transport.isConnected(2), 'they are connected');
    second.transport.send([vote(2, 1, 1)]);
    first.transport.send([vote(1, 2, 2)]);
    await until(() => first.received.length > 0 && second.received.length > 0, 'the messages arrive');
    expect([first.warnings, second.warnings]).toEqual([[], []]);
  });

  it.each(['accept', 'prefer'] as const)('with %s a wrong certificate is still refused', async (tlsMode) => {
    const node = await harness.start(1, { tls, tlsMode });
    const another = await callAsSecond(node, authority.issue({ clusterName, nodeId: 3 }));
    expect(another.code).toBe(status.UNAUTHENTICATED);
    expect((await callAsSecond(node, foreign(2))).code).toBe(status.UNAVAILABLE);
    expect((await callAsSecond(node, later, false)).code).toBe(status.UNAVAILABLE);
    expect(node.transport.counters.refusedStreams).toBe(1);
    expect(node.transport.counters.refusedConnections).toBeGreaterThanOrEqual(2); // gRPC may try more than once
  });
});

describe('a certificate that is revoked', () => {
  const revoked = new Set([plainSerialNumber(new X509Certificate(certificates.second.cert).serialNumber)]);

  it('ends the streams of its node, and opens no others', async () => {
    const first = await harness.start(1, { tls: certificates.first });
    const second = await harness.start(2, { tls: certificates.second, seeds: new Map([[1, first.address]]) });
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    first.transport.setTls({ ...certificates.first, revoked });
    await until(() => !second.transport.isConnected(1), 'its stream ends');
    expect(await callAsSecond(first, certificates.second)).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: 'the certificate is revoked, the caller says it is node 2 of cluster "test"',
    });
    expect(first.transport.counters.refusedStreams).toBeGreaterThan(0);
    second.transport.setTls(authority.issue({ clusterName, nodeId: 2 }));
    await until(() => second.transport.isConnected(1), 'it comes with another certificate');
  });

  it('gets nothing over the stream that was open', async () => {
    const second = await harness.start(2, { tls: certificates.second });
    const first = await harness.start(1, { tls: certificates.first, seeds: new Map([[2, second.address]]) });
    await until(() => first.transport.isConnected(2), 'node 1 is connected');
    first.transport.setTls({ ...certificates.first, revoked });
    expect(first.transport.isConnected(2)).toBe(false);
  });

  it('is called no more', async () => {
    const second = await harness.start(2, { tls: certificates.second });
    const tls = { ...certificates.first, revoked };
    const first = await harness.start(1, { tls, seeds: new Map([[2, second.address]]) });
    await until(() => first.warnings.length > 0, 'it complains');
    expect(first.warnings[0]).toContain('the certificate is revoked, but node 2 of cluster "test" was called');
    expect(first.transport.isConnected(2)).toBe(false);
  });
});

describe('a node that is called over TLS', () => {
  it.each([
    [
      'of another node',
      () => authority.issue({ clusterName, nodeId: 3 }),
      'the certificate names node 3 of cluster "test", the caller says it is node 2 of cluster "test"',
    ],
    [
      'of another cluster',
      () => authority.issue({ clusterName: 'blue', nodeId: 2 }),
      'the certificate names node 2 of cluster "blue", the caller says it is node 2 of cluster "test"',
    ],
    [
      'without a name',
      () => authority.issue({ clusterName, nodeId: 2, withIdentity: false }),
      'the certificate names no node of a cluster, the caller says it is node 2 of cluster "test"',
    ],
    [
      'with a name hidden in another',
      () => authority.issue({ clusterName, nodeId: 3, hosts: ['a, URI:concordat://test/node/2'], withIdentity: false }),
      'the certificate names no node of a cluster, the caller says it is node 2 of cluster "test"',
    ],
  ])('refuses a certificate %s, and tells the caller why', async (_what, issue, details) => {
    const node = await harness.start(1, { tls: certificates.first });
    expect(await callAsSecond(node, issue())).toMatchObject({ code: status.UNAUTHENTICATED, details });
    await callAsSecond(node, issue());
    expect(node.transport.counters.refusedStreams).toBe(2);
    expect(node.warnings).toEqual([expect.stringMatching(/^refused a stream from 127\.0\.0\.1:\d+: /)]);
    expect(node.warnings[0]).toContain(details);
  });

  it.each([
    ['no certificate', () => certificates.second, false, 'there is no certificate'],
    ['a certificate of another authority', () => foreign(2), true, 'is not trusted: UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['a certificate of an authority with the same name', () => forged(2), true, ''],
    ['an expired certificate', () => expired(2), true, 'the certificate is not trusted: CERT_HAS_EXPIRED'],
    ['plain text', () => undefined, true, 'no TLS: '],
  ])('turns away %s before a word is said', async (_what, tls, withCertificate, complaint) => {
    const node = await harness.start(1, { tls: certificates.first });
    const answer = await callAsSecond(node, tls(), withCertificate);
    expect(answer.code).toBe(status.UNAVAILABLE);
    await until(() => node.transport.counters.refusedConnections > 0, 'it is counted');
    expect(node.warnings[0]).toMatch(/^refused a connection from .+: .+/);
    expect(node.warnings[0]).toContain(complaint);
    expect(node.transport.counters.refusedStreams).toBe(0);
  });
});

describe('a node that calls over TLS', () => {
  it.each([
    [
      'of another node',
      () => authority.issue({ clusterName, nodeId: 3 }),
      'the certificate names node 3 of cluster "test", but node 1 of cluster "test" was called',
      1,
    ],
    [
      'of another cluster',
      () => authority.issue({ clusterName: 'blue', nodeId: 1 }),
      'the certificate names node 1 of cluster "blue", but node 1 of cluster "test" was called',
      1,
    ],
    ['of another authority', () => foreign(1), 'unable to verify the first certificate', 0],
    ['of an authority with the same name', () => forged(1), 'certificate signature failure', 0],
    ['that has expired', () => expired(1), 'certificate has expired', 0],
  ])('says nothing to a certificate %s', async (_what, issue, complaint, refused) => {
    const { cert, key } = issue();
    const server = await strangeServer({ cert, key });
    const node = await harness.start(2, {
      tls: certificates.second,
      seeds: new Map([[1, `127.0.0.1:${server.port}`]]),
    });
    await until(() => node.warnings.length > 0, 'it complains');
    expect(node.warnings[0]).toContain(complaint);
    expect(node.transport.counters.refusedServers >= refused).toBe(true);
    node.transport.send([vote(2, 1, 1)]);
    expect(node.transport.isConnected(1)).toBe(false);
    expect(server.received()).toBe(0);
    await until(() => refused === 0 || node.transport.counters.refusedServers >= 3, 'it has tried again');
    expect(node.warnings).toHaveLength(1);
  });

  it('asks for a host by its name, and for an IP address by one made up, as addresses may not be named', async () => {
    const { cert, key } = certificates.first;
    const server = await strangeServer({ cert, key });
    for (const host of ['127.0.0.1', 'localhost']) {
      const count = server.names.length;
      await harness.start(2, { tls: certificates.second, seeds: new Map([[1, `${host}:${server.port}`]]) });
      await until(() => server.names.length > count, 'the server is called');
    }
    expect(new Set(server.names)).toEqual(new Set(['node-1.concordat.invalid', 'localhost']));
  });

  it('says nothing in plain text', async () => {
    const first = await harness.start(1);
    const second = await harness.start(2, { tls: certificates.second, seeds: new Map([[1, first.address]]) });
    await until(() => second.warnings.length > 0, 'it complains');
    second.transport.send([vote(2, 1, 1)]);
    expect(second.transport.isConnected(1)).toBe(false);
    expect(first.received).toEqual([]);
  });
});
