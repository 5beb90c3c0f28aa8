import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { GrpcTransportOptions } from './grpc-transport.types.js';
import { append, termsOf, TransportHarness, until, vote, type TestNode } from './testing/transport-harness.js';

const PING_MS = 100;
const INCARNATION = 77;
const harness = new TransportHarness();

/** A process of node 2 that calls node 1. */
function process2(
  first: string,
  incarnation = INCARNATION,
  options: Partial<GrpcTransportOptions> = {},
): Promise<TestNode> {
  return harness.start(2, { seeds: new Map([[1, first]]), pingIntervalMs: PING_MS, ...options }, { incarnation });
}

/** Sends until it has arrived, as Raft does. */
async function insist(from: TestNode, to: TestNode, term: number): Promise<void> {
  await until(() => {
    from.transport.send([vote(2, 1, term)]);
    return termsOf(to).includes(term);
  }, `term ${term} has arrived`);
}

/** Stands between two nodes; frozen, no byte passes any more, and nobody is told; cut, both sides are told. */
async function relayTo(address: string): Promise<{ readonly address: string; freeze(): void; cut(): void }> {
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(Number(address.split(':')[1]), '127.0.0.1');
    sockets.push(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  harness.onEnd(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    freeze: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

afterEach(() => harness.end());

describe('GrpcTransport and two processes of one node', () => {
  it('hears the process that is connected, and tells another one of the same directory that it is the second', async () => {
    const first = await harness.start(1, { pingIntervalMs: PING_MS });
    const original = await process2(first.address);
    await until(() => original.transport.isConnected(1), 'the original is connected');
    const copy = await process2(first.address);
    await until(() => {
      copy.transport.send([vote(2, 1, 666)]);
      original.transport.send([append(2, 1, 7, 1)]);
      return copy.witnesses.length > 0;
    }, 'the copy was told');
    expect(new Set(copy.witnesses)).toEqual(new Set([1]));
    expect(new Set(termsOf(first))).toEqual(new Set([7]));
    expect(copy.warnings.join()).toContain(
      'another process of node 2 with the same data directory, or a copy of it, runs and is connected from 127.0.0.1:',
    );
    expect(first.warnings.join()).toContain('end one of them');
    expect(original.witnesses).toEqual([]);
    expect(original.transport.isConnected(1)).toBe(true);
    expect(original.transport.peerMetrics(1)?.reconnects).toBe(0);
    expect(copy.transport.isConnected(1)).toBe(false);
    expect(first.transport.counters.refusedStreams).toBeGreaterThan(1);
  });

  it('lets a second process hear nothing from a node that does not hear it', async () => {
    const first = await harness.start(1, { pingIntervalMs: PING_MS });
    const original = await process2(first.address);
    await until(() => original.transport.isConnected(1), 'the original is connected');
    const copy = await process2(first.address);
    await until(() => first.transport.counters.refusedStreams > 0, 'the copy was refused');
    await until(() => copy.warnings.length > 0, 'it knows');
    first.transport.setPeers(new Map([[2, copy.address]])); // as when an address has moved to the copy
    await until(() => first.transport.isConnected(2), 'the copy is called');
    first.transport.send([vote(1, 2, 5)]);
    await until(() => copy.transport.counters.misaddressedMessages > 0, 'it has come to the copy');
    expect(copy.received).toEqual([]);
  });

  it('hears a restarted process at once', async () => {
    const first = await harness.start(1);
    const original = await process2(first.address);
    await insist(original, first, 1);
    await original.transport.stop();
    const restarted = await process2(first.address);
    await insist(restarted, first, 2);
    expect([restarted.witnesses, restarted.warnings]).toEqual([[], []]);
  });

  it('hears a restarted process at once when its predecessor was killed, however long a silent one is waited for', async () => {
    const first = await harness.start(1, { pingIntervalMs: 60_000 });
    const relay = await relayTo(first.address);
    const original = await process2(relay.address);
    await insist(original, first, 1);
    relay.cut(); // as the system does when a process is killed
    const restarted = await process2(first.address);
    await insist(restarted, first, 2);
    expect(restarted.witnesses).toEqual([]);
  });

  it('hears a restarted process when its predecessor has fallen silent without a word', async () => {
    const first = await harness.start(1, { pingIntervalMs: PING_MS });
    const relay = await relayTo(first.address);
    const original = await process2(relay.address);
    await insist(original, first, 1);
    relay.freeze();
    const restarted = await process2(first.address);
    await insist(restarted, first, 2);
    expect(restarted.witnesses).toEqual([]);
    expect(restarted.warnings.join()).toContain('it may be dead, ask again');
  });

  it('hears processes on different directories side by side', async () => {
    const first = await harness.start(1, { pingIntervalMs: PING_MS });
    const [one, other] = [await process2(first.address), await process2(first.address, INCARNATION + 1)];
    for (let term = 1; term <= 20; term++) await insist(term % 2 === 0 ? one : other, first, term);
    for (const { transport, witnesses } of [one, other]) {
      expect(witnesses).toEqual([]);
      expect(transport.isConnected(1)).toBe(true);
      expect(transport.peerMetrics(1)?.reconnects).toBe(0);
    }
  });

  it('hears one that does not say which process it is, as before', async () => {
    const first = await harness.start(1);
    const [one, other] = [await process2(first.address, 0), await process2(first.address, 0)];
    await insist(one, first, 1);
    await insist(other, first, 2);
    expect([one.witnesses, other.witnesses]).toEqual([[], []]);
  });
});
