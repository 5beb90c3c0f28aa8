import { afterEach, describe, expect, it } from '@jest/globals';
import { SystemClock } from '@concordat/foundation';
import { LocalAuthority } from '@concordat/foundation/authority';
import type { NodeId } from '../core/types.js';
import type { TransportTls } from './grpc-transport.types.js';
import { nodeCertificateUri } from './node-certificate.js';
import { TestAuthority } from './testing/test-authority.js';
import { TransportHarness, until, vote, type TestNode } from './testing/transport-harness.js';

const HOUR_MS = 3_600_000;
const harness = new TransportHarness();
const authority = TestAuthority.create();
const successor = TestAuthority.create('successor');
const clusterName = 'test';
const both = Buffer.concat([authority.certificate, successor.certificate]);

const certified = (nodeId: NodeId, issuer = authority, notAfter?: Date): TransportTls =>
  issuer.issue({ clusterName, nodeId, ...(notAfter && { notAfter }) });

/** Shows a certificate of the first authority, and trusts any of both. */
const openMinded = (nodeId: NodeId): TransportTls => ({ ...certified(nodeId), ca: both });

/** A wall clock that can be set; durations are those of the machine. */
class SetClock extends SystemClock {
  aheadMs = 0;

  constructor() {
    super({ unref: true });
  }

  override now(): number {
    return super.now() + this.aheadMs;
  }
}

/** Node 2 calls node 1. */
async function caller(second: Parameters<TransportHarness['start']>[1], first = second): Promise<[TestNode, TestNode]> {
  const called = await harness.start(1, first);
  const calling = await harness.start(2, { ...second, seeds: new Map([[1, called.address]]) });
  await until(() => calling.transport.isConnected(1), 'node 2 is connected');
  return [called, calling];
}

afterEach(() => harness.end());

describe('a stream whose certificate counts no longer', () => {
  const retired = 'the certificate is of no authority that is trusted here';

  it('ends when its authority is retired, and both ends say why', async () => {
    const [first, second] = await caller({ tls: openMinded(2) }, { tls: openMinded(1) });
    first.transport.setTls({ ...certified(1), ca: both });
    expect(second.transport.isConnected(1)).toBe(true);
    first.transport.setTls({ ...certified(1), ca: successor.certificate });
    await until(() => !second.transport.isConnected(1), 'its stream ends');
    const sentence = `${retired}, the caller says it is node 2 of cluster "test"`;
    expect(first.warnings[0]).toMatch(/^refused a stream from 127\.0\.0\.1:\d+: /);
    expect(first.warnings[0]).toContain(sentence);
    expect(second.warnings[0]).toContain(`no connection to node 1 at ${first.address}: ${sentence}`);
    expect(first.transport.counters.refusedStreams).toBe(1);
    second.transport.setTls({ ...certified(2, successor), ca: both });
    await until(() => second.transport.isConnected(1), 'it comes with another certificate');
  });

  it('gets nothing more from who had called', async () => {
    const [, second] = await caller({ tls: openMinded(2) }, { tls: openMinded(1) });
    second.transport.setTls({ ...certified(2), ca: successor.certificate });
    expect(second.transport.isConnected(1)).toBe(false);
  });

  it('may be closed when it is looked at: after a pause of the process, both are due at once', async () => {
    const [first, second] = await caller({ tls: certified(2), pingIntervalMs: 20 }, { tls: certified(1) });
    const incoming = first.transport['incoming']!;
    incoming['listener'].connections.stop();
    expect(() => incoming.review()).not.toThrow();
    await until(() => !second.transport.isConnected(1), 'node 2 hears of it');
    await until(() => second.transport.isConnected(1), 'node 2 calls again');
  });

  it('ends when its certificate does', async () => {
    const clock = new SetClock();
    const notAfter = new Date(Date.now() + HOUR_MS);
    const [first, second] = await caller(
      { tls: certified(2, authority, notAfter) },
      { tls: certified(1), clock, pingIntervalMs: 20 },
    );
    clock.aheadMs = 2 * HOUR_MS;
    await until(() => first.transport.counters.refusedStreams > 0, 'its stream ends');
    expect(first.warnings[0]).toMatch(
      /the certificate has ended on .*, the caller says it is node 2 of cluster "test"/,
    );
    await until(() => second.warnings.length > 0, 'the caller hears of it');
    expect(second.warnings[0]).toMatch(/no connection to node 1 at .*: the certificate has ended on /);
    clock.aheadMs = 0;
    await until(() => second.transport.isConnected(1), 'the clock was wrong');
  });

  it('gets nothing more when the certificate of the called node ends', async () => {
    const clock = new SetClock();
    const notAfter = new Date(Date.now() + HOUR_MS);
    const [first, second] = await caller(
      { tls: certified(2), clock, pingIntervalMs: 20 },
      { tls: certified(1, authority, notAfter) },
    );
    clock.aheadMs = 2 * HOUR_MS;
    await until(() => !second.transport.isConnected(1), 'its stream ends');
    expect(second.warnings[0]).toMatch(
      /^ended the stream to node 1: the certificate has ended on .*, but node 1 of cluster "test" was called$/,
    );
    const count = first.received.length;
    second.transport.send([vote(2, 1, 1)]);
    await until(() => second.transport.counters.refusedServers > 0, 'it calls again');
    expect(first.received).toHaveLength(count);
    expect(second.transport.isConnected(1)).toBe(false);
    clock.aheadMs = 0;
    await until(() => second.transport.isConnected(1), 'the clock was wrong');
  });
});

describe('certificates of an intermediate authority', () => {
  const root = LocalAuthority.create('root');
  const between = root.issueAuthority('between');
  const chained = (nodeId: NodeId): TransportTls => {
    const { cert, key } = between.issue({
      subject: `node ${nodeId}`,
      uris: [nodeCertificateUri({ clusterName, nodeId })],
    });
    return { ca: root.certificate, cert: Buffer.concat([cert, between.certificate]), key };
  };

  it('count as long as the root is trusted, whatever else changes', async () => {
    const [first, second] = await caller(
      { tls: chained(2), pingIntervalMs: 20 },
      { tls: chained(1), pingIntervalMs: 20 },
    );
    first.transport.setTls({ ...chained(1), ca: Buffer.concat([root.certificate, authority.certificate]) });
    second.transport.setTls(chained(2));
    await until(() => second.transport.peerMetrics(1)?.reconnects === 1, 'node 2 is connected anew');
    second.transport.send([vote(2, 1, 1)]);
    await until(() => first.received.length > 0, 'a message arrives');
    expect([first.warnings, second.warnings]).toEqual([[], []]);
    expect(first.transport.counters).toMatchObject({ refusedStreams: 0, refusedConnections: 0 });
    first.transport.setTls({ ...chained(1), ca: authority.certificate });
    await until(() => first.transport.counters.refusedStreams === 1, 'its stream ends');
  });
});
