import { X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import {
  readFilesAgain,
  SeededRandom,
  silentLogger,
  SystemClock,
  tlsFiles,
  type TlsOption,
} from '@concordat/foundation';
import { dialerOverTcp, DirectParticipantBus, dialOverTcp } from '@concordat/messaging';
import { TestAuthority } from '@concordat/raft/testing';
import { CLUSTER, TestCertificates, type TestTls } from '../http/testing/test-certificates.js';
import { testConfig } from '../http/testing/test-node.js';
import { NodeCertificates } from '../node-certificates.js';
import { DirectLink, type RefusedStream } from './direct-link.js';

const certificates = new TestCertificates();
const stranger = TestAuthority.create('stranger');
const clock = new SystemClock({ unref: true });
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => certificates.remove());

interface Coordinator {
  readonly link: DirectLink;
  readonly url: string;
  readonly node: NodeCertificates;
  readonly lines: string[];
  readonly refusals: RefusedStream[];
}

/** The port for streams, and a REST interface that says where it is. */
async function coordinator({
  nodeId = 1,
  acceptsPlain = false,
  rest,
  notAfter,
}: CoordinatorOptions = {}): Promise<Coordinator> {
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const logger = { ...silentLogger, info: note, warn: note, error: note };
  certificates.write('revoked', '# none\n', 0o644);
  const own = certificates.node(nodeId, notAfter && { notAfter });
  const config = testConfig({ ...own, CONCORDAT_NODE_ID: '1', CONCORDAT_PEERS: `1=h:1/h:2` });
  const node = new NodeCertificates(config, logger);
  ends.push(() => node.stop());
  const tls = { certificates: node, acceptsPlain };
  const listen = { host: '127.0.0.1', port: 0 };
  const refusals: RefusedStream[] = [];
  const onRefused = (refusal: RefusedStream): void => void refusals.push(refusal);
  const link = new DirectLink({ nodeId: 1, cluster: CLUSTER, listen, clock, logger, tls, onRefused });
  await link.open();
  link.tell({ leads: true, term: 1, members: [] });
  ends.push(async () => {
    link.close();
    await link.bus.stop();
  });
  const { certificate, key, ca } = node.http!.current;
  const options = { ca: ca ?? '', cert: certificate, key, requestCert: true, rejectUnauthorized: false, ...rest };
  const server: Server = createServer(options, (_request, response) => {
    response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ nodeId: 1, directAddress: link.address }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { link, url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, node, lines, refusals };
}

interface CoordinatorOptions {
  readonly nodeId?: number;
  readonly acceptsPlain?: boolean;
  readonly rest?: Partial<TestTls>;
  /** when its certificate ends */
  readonly notAfter?: Date;
}

function participant(name: string, url: string, tls: TlsOption | undefined): DirectParticipantBus {
  const bus = new DirectParticipantBus({
    participant: name,
    cluster: CLUSTER,
    clock,
    random: new SeededRandom(1),
    coordinators: [url],
    dial: tls ? dialerOverTcp(undefined, { tls, cluster: CLUSTER }) : dialOverTcp,
  });
  ends.push(() => bus.stop());
  void bus.start();
  return bus;
}

const orders = (): TestTls => certificates.client({ roles: ['participant', 'client'], name: 'orders' });

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not happen within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('a direct stream over TLS', () => {
  it('stands between a coordinator and a participant that knows its own name', async () => {
    const { link, url } = await coordinator();
    const bus = participant('orders', url, orders);
    await until(() => bus.isConnected() && link.bus.streamCounts().get('orders') === 1);
  });

  it('tells the addresses of the others with https', async () => {
    const { link, url } = await coordinator();
    const second = await coordinator();
    const bus = participant('orders', url, orders);
    await until(() => bus.isConnected());
    link.tell({ leads: true, term: 1, members: [url, second.url].map((text) => text.replace('https:', 'http:')) });
    await until(() => link.bus.streamCounts().get('orders') === 1);
    expect(bus.obstacle()).toBeUndefined();
  });

  it.each([
    [
      'another participant',
      () => certificates.client({ roles: ['participant'], name: 'billing' }),
      'the certificate is of billing; the hello says it is the participant orders (NOT_YOU)',
    ],
    [
      'a client',
      () => certificates.client({ roles: ['client'], name: 'orders' }),
      'the certificate is of no participant; the hello says it is the participant orders (NOT_YOU)',
    ],
  ])('is refused in the name of another: %s', async (_what, tls, sentence) => {
    const { link, url, node, lines, refusals } = await coordinator();
    const bus = participant('orders', url, tls);
    await until(() => bus.obstacle()?.includes('NOT_YOU') === true);
    expect(node.refusedConnections.get('direct')).toBe(refusals.length);
    expect(refusals[0]).toEqual({
      participant: 'orders',
      address: undefined,
      reason: `NOT_YOU: ${sentence.replace(' (NOT_YOU)', '')}`,
    });
    expect(bus.obstacle()).toContain(sentence);
    expect(lines.join('\n')).toContain('a stream of the participant orders is refused (NOT_YOU)');
    expect(link.bus.streamCounts().size).toBe(0);
  });

  it.each([
    [
      'self-signed',
      () => ({ ...stranger.issue({ clusterName: CLUSTER, nodeId: 1 }), ca: certificates.authority.certificate }),
      'its certificate is not trusted',
    ],
    [
      'of another authority',
      () => certificates.client({ roles: ['participant'], name: 'orders', authority: stranger }),
      'its certificate is not trusted',
    ],
    [
      'of another cluster',
      () => certificates.client({ roles: ['participant'], name: 'orders', clusterName: 'blue' }),
      'it is of the cluster "blue"',
    ],
    [
      'expired',
      () => certificates.client({ roles: ['participant'], name: 'orders', notAfter: new Date('2021-01-01') }),
      'CERT_HAS_EXPIRED',
    ],
  ])('is refused with a certificate that is %s, and counted', async (_what, tls, sentence) => {
    const { link, url, lines, node } = await coordinator();
    const bus = participant('orders', url, tls);
    await until(() => (node.refusedConnections.get('direct') ?? 0) > 0);
    expect(lines.join('\n')).toMatch(/refused a direct stream from 127\.0\.0\.1: /);
    expect(lines.join('\n')).toContain(sentence);
    expect(link.bus.streamCounts().size).toBe(0);
    expect(bus.isConnected()).toBe(false);
  });

  it('is not begun with a server that is no coordinator of the cluster', async () => {
    const shop = certificates.client({ roles: ['client'], name: 'shop' });
    const { url } = await coordinator({ rest: { cert: shop.cert, key: shop.key } });
    const bus = participant('orders', url, orders);
    await until(() => bus.obstacle()?.includes('certificate') === true);
    expect(bus.obstacle()).toContain('is of no coordinator of this cluster: it is of client shop, and of no node');
  });

  it('is not taken in plain text, unless that is allowed', async () => {
    const strict = await coordinator();
    const { host, port } = new URL(`tcp://${strict.link.address!}`);
    expect(host).toBe(`127.0.0.1:${port}`);
    const plain = participant('orders', strict.url.replace('https', 'http'), orders);
    await until(() => plain.obstacle()?.includes('is not https') === true);
    expect(plain.obstacle()).toContain('give the coordinators as https://');
    const both = await coordinator({ acceptsPlain: true });
    const secure = participant('orders', both.url, orders);
    await until(() => secure.isConnected());
  });

  it('ends when its certificate is revoked', async () => {
    const { link, url } = await coordinator();
    const tls = orders();
    const bus = participant('orders', url, tls);
    await until(() => bus.isConnected() && link.bus.streamCounts().get('orders') === 1);
    certificates.write('revoked', new X509Certificate(tls.cert).serialNumber, 0o644);
    await until(() => link.bus.streamCounts().size === 0 && !bus.isConnected());
    certificates.write('revoked', '', 0o644);
    await until(() => bus.isConnected());
  });

  it('ends when its authority is trusted no longer, and begins anew with a certificate of the next one', async () => {
    const { link, url, lines, refusals } = await coordinator();
    const successor = TestAuthority.create('successor');
    let tls = orders();
    const bus = participant('orders', url, () => tls);
    await until(() => bus.isConnected() && link.bus.streamCounts().get('orders') === 1);
    const trust = (...authorities: TestAuthority[]): void => {
      certificates.write('ca.pem', Buffer.concat(authorities.map(({ certificate }) => certificate)), 0o644);
      readFilesAgain();
    };
    try {
      trust(certificates.authority, successor);
      expect(link.bus.streamCounts().get('orders')).toBe(1);
      trust(successor);
      await until(() => link.bus.streamCounts().size === 0 && !bus.isConnected());
      const fault = 'its certificate is of no authority that is trusted here';
      expect(refusals[0]).toEqual({ participant: 'orders', address: undefined, reason: `NOT_YOU: ${fault}` });
      expect(lines).toContain(`a stream of the participant orders is refused (NOT_YOU): ${fault}`);
      expect(bus.obstacle()).toContain(fault);
      tls = certificates.client({ roles: ['participant', 'client'], name: 'orders', authority: successor });
      await until(() => bus.isConnected());
    } finally {
      trust(certificates.authority);
    }
  });

  /** Certificates of the participant in files of its own. */
  function inFiles(first: TestTls): { readonly tls: TlsOption; readonly write: (next: TestTls) => void } {
    const write = ({ ca, cert, key }: TestTls): void => {
      certificates.write('orders-ca.pem', ca, 0o644);
      certificates.write('orders.pem', cert, 0o644);
      certificates.write('orders.key', key);
      readFilesAgain();
    };
    write(first);
    const paths = { ca: 'orders-ca.pem', certificate: 'orders.pem', key: 'orders.key' };
    const path = (name: keyof typeof paths): string => certificates.path(paths[name]);
    return { tls: tlsFiles({ ca: path('ca'), certificate: path('certificate'), key: path('key') }), write };
  }

  it('begins anew when its service has a new certificate, and nobody is refused', async () => {
    const { link, url, lines, refusals } = await coordinator();
    const { tls, write } = inFiles(orders());
    const bus = participant('orders', url, tls);
    const streams = (): number => lines.filter((line) => /^orders \(.*\) is connected directly$/.test(line)).length;
    await until(() => bus.isConnected() && streams() === 1);
    write(orders());
    await until(() => streams() === 2 && bus.isConnected());
    expect(link.bus.streamCounts().get('orders')).toBe(1);
    expect(refusals).toEqual([]);
  });

  it('ends when its participant trusts the authority of the coordinator no longer', async () => {
    const { url, lines } = await coordinator();
    const own = orders();
    const { tls, write } = inFiles(own);
    const bus = participant('orders', url, tls);
    await until(() => bus.isConnected());
    write({ ...own, ca: stranger.certificate });
    await until(() => !bus.isConnected());
    await until(() =>
      lines.some((line) => line.startsWith('the direct stream of orders') && line.includes('has ended')),
    );
    write(own);
    await until(() => bus.isConnected());
  });

  it('ends when the certificate of the coordinator does', async () => {
    const notAfter = new Date((Math.ceil(Date.now() / 1_000) + 2) * 1_000);
    const { url } = await coordinator({ notAfter });
    const bus = participant('orders', url, orders);
    await until(() => bus.isConnected());
    await until(() => !bus.isConnected());
    expect(Date.now()).toBeGreaterThanOrEqual(notAfter.getTime());
  });

  it('ends when its certificate does', async () => {
    const { link, url, lines } = await coordinator();
    const notAfter = new Date((Math.ceil(Date.now() / 1_000) + 2) * 1_000);
    const bus = participant('orders', url, certificates.client({ roles: ['participant'], name: 'orders', notAfter }));
    await until(() => bus.isConnected() && link.bus.streamCounts().get('orders') === 1);
    await until(() => link.bus.streamCounts().size === 0 && !bus.isConnected());
    expect(lines.join('\n')).toContain('refused (NOT_YOU): its certificate has ended on ');
  });
});
