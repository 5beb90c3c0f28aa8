import { createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { NodeId } from '../core/types.js';
import { identityMetadata } from './exchange-service.js';
import { MAXIMUM_INCOMING_STREAMS } from './incoming-streams.js';
import { encodeFrame } from './message-encoder.js';
import { append, termsOf, TransportHarness, until, vote, type TestNode } from './testing/transport-harness.js';

const harness = new TransportHarness();

const peers = (...nodes: readonly (readonly [NodeId, string])[]): ReadonlyMap<NodeId, string> => new Map(nodes);

/** An address that was free a moment ago, for a node that must know its own before it starts. */
async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

async function startAdvertising(nodeId: NodeId, options: Parameters<typeof harness.start>[1] = {}): Promise<TestNode> {
  const address = await freeAddress();
  return harness.start(nodeId, { listenAddress: address, advertisedAddress: address, ...options });
}

/** Sends until something has arrived, as Raft does. */
async function insist(from: TestNode, to: TestNode, fromId: NodeId, toId: NodeId): Promise<void> {
  const count = to.received.length;
  await until(() => {
    from.transport.send([vote(fromId, toId, 1)]);
    return to.received.length > count;
  }, `node ${toId} hears node ${fromId}`);
}

afterEach(() => harness.end());

describe('GrpcTransport.setPeers', () => {
  it('names the peers before the start, and others later', async () => {
    const [second, third] = [await harness.start(2), await harness.start(3)];
    const first = await harness.start(1, { seeds: peers([2, second.address]) });
    await until(() => first.transport.isConnected(2), 'node 2 is reached');
    first.transport.setPeers(peers([1, first.address], [2, second.address], [3, third.address]));
    await until(() => first.transport.isConnected(3), 'node 3 is reached');
    expect(first.transport.peerMetrics(2)?.reconnects).toBe(0);
    expect(first.transport.peerMetrics(1)).toBeUndefined();
    first.transport.send([vote(1, 1, 1), vote(1, 3, 2)]);
    await until(() => third.received.length > 0, 'node 3 hears');
    expect(first.transport.counters.droppedMessages).toBe(1); // nobody calls himself
  });

  it('leaves a stream alone whose address is the same, and one that has no address any more', async () => {
    const { first, second } = await harness.startPair();
    second.transport.setPeers(peers([1, first.address]));
    second.transport.setPeers(peers([1, '']));
    expect(second.transport.isConnected(1)).toBe(true);
    second.transport.send([vote(2, 1, 1)]);
    await until(() => first.received.length > 0, 'the message arrives');
    expect(second.transport.peerMetrics(1)?.reconnects).toBe(0);
  });

  it('follows a peer to another address, with what was queued delivered to the old one', async () => {
    const { first, second } = await harness.startPair();
    const moved = await harness.start(1);
    second.transport.send([vote(2, 1, 1)]);
    second.transport.setPeers(peers([1, moved.address]));
    expect(second.transport.isConnected(1)).toBe(false);
    await until(() => second.transport.isConnected(1), 'the new address is reached');
    second.transport.send([vote(2, 1, 2)]);
    await until(() => first.received.length > 0 && moved.received.length > 0, 'both have arrived');
    expect([termsOf(first), termsOf(moved)]).toEqual([[1], [2]]);
  });

  it('keeps the address when another is none, and says so', async () => {
    const { second } = await harness.startPair();
    for (const address of ['nonsense', 'http://127.0.0.1:1', '127.0.0.1:0', '127.0.0.1:70000', ' ', 'x'.repeat(600)])
      second.transport.setPeers(peers([1, address]));
    expect(second.transport.isConnected(1)).toBe(true);
    expect(second.warnings).toHaveLength(6);
    expect(second.warnings[0]).toBe('node 1 cannot be called at "nonsense": this is not host:port');
  });

  it('lets a removed peer have its last message, then leaves it', async () => {
    const first = await harness.start(1);
    const options = { seeds: peers([1, first.address]), idleTimeoutMs: 50, pingIntervalMs: 10 };
    const second = await harness.start(2, options);
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    second.transport.send([append(2, 1, 1, 3_000_000)]);
    second.transport.setPeers(peers());
    second.transport.send([vote(2, 1, 2)]);
    await until(() => first.received.length === 2, 'the last messages have arrived');
    await until(() => !second.transport.isConnected(1), 'the stream is closed');

    await insist(second, first, 2, 1); // Raft still has something to say
    await until(() => !second.transport.isConnected(1), 'that stream is closed, too');
  });

  it('does not call a removed peer again that is gone', async () => {
    const { first, second } = await harness.startPair();
    await first.transport.stop();
    await until(() => !second.transport.isConnected(1), 'node 2 notices');
    second.transport.setPeers(peers());
    const again = await harness.start(1, { listenAddress: first.address });
    const third = await harness.start(3);
    second.transport.setPeers(peers([3, third.address]));
    await until(() => second.transport.isConnected(3), 'another peer is reached');
    expect(second.transport.isConnected(1)).toBe(false);
    expect(again.received).toEqual([]);
  });

  it('takes over the stream of a node that becomes a peer', async () => {
    const first = await harness.start(1);
    const second = await harness.start(2, { seeds: peers([1, first.address]), idleTimeoutMs: 50, pingIntervalMs: 10 });
    second.transport.setPeers(peers());
    await insist(second, first, 2, 1);
    second.transport.setPeers(peers([1, '']));
    const measured = second.transport.peerMetrics(1)?.sentBytes ?? 0;
    await until(() => (second.transport.peerMetrics(1)?.sentBytes ?? 0) > measured + 40, 'some more pings were sent');
    expect(second.transport.isConnected(1)).toBe(true);
  });
});

describe('GrpcTransport and nodes it does not know', () => {
  it('answers a caller at the address it advertises, at once, and lets go when there is silence', async () => {
    const joining = await harness.start(4, { idleTimeoutMs: 50, pingIntervalMs: 10 });
    const leader = await startAdvertising(1, { seeds: peers([4, joining.address]) });
    await until(() => leader.transport.isConnected(4), 'the leader has called');
    leader.transport.send([vote(1, 4, 1)]);
    await until(() => joining.received.length > 0, 'it is heard');
    joining.transport.send([vote(4, 1, 2), vote(4, 1, 3)]); // while the stream is not there yet
    await until(() => leader.received.length === 2, 'the answers arrive');
    expect(termsOf(leader)).toEqual([2, 3]);
    await until(() => !joining.transport.isConnected(1), 'the stream back is closed');
    await insist(joining, leader, 4, 1);
  });

  it('has no answer for a caller that does not say where it listens', async () => {
    const joining = await harness.start(4);
    const leader = await harness.start(1, { seeds: peers([4, joining.address]) });
    await until(() => leader.transport.isConnected(4), 'the leader has called');
    leader.transport.send([vote(1, 4, 1)]);
    await until(() => joining.received.length > 0, 'it is heard');
    joining.transport.send([vote(4, 1, 2)]);
    expect(joining.transport.counters.droppedMessages).toBe(1);
    expect(joining.transport.peerMetrics(1)).toMatchObject({ receivedMessages: 1, droppedMessages: 1 });
  });

  it('answers a peer that has moved at its new place, while it still knows the old one', async () => {
    const behind = await harness.start(3, { seeds: peers([1, await freeAddress()]) });
    behind.transport.setPeers(peers([1, '']));
    const leader = await startAdvertising(1, { seeds: peers([3, behind.address]) });
    await until(() => leader.transport.isConnected(3), 'the leader has called');
    await insist(behind, leader, 3, 1);
  });

  it('calls a seed that is no peer only for a message', async () => {
    const first = await harness.start(1);
    const joining = await harness.start(4, { seeds: peers([1, first.address]), idleTimeoutMs: 50, pingIntervalMs: 10 });
    joining.transport.setPeers(peers()); // its log knows of no group yet
    await until(() => !joining.transport.isConnected(1), 'the first stream is closed');
    await insist(joining, first, 4, 1);
  });

  it('takes an advertised address for none that is not host:port', async () => {
    const node = await harness.start(1);
    for (const [nodeId, address] of ['/etc/passwd', 'unix:/tmp/x', '127.0.0.1:0', '[::1', 'x'.repeat(400)].entries()) {
      const metadata = identityMetadata({ clusterName: 'test', from: nodeId + 2, to: 1, address });
      void harness.call(node.address, metadata, [encodeFrame([vote(nodeId + 2, 1, 1)])]);
    }
    await until(() => node.received.length === 5, 'all are heard');
    node.transport.send([2, 3, 4, 5, 6].map((nodeId) => vote(1, nodeId, 1)));
    expect(node.transport.counters.droppedMessages).toBe(5);
  });

  it('hears a bounded number of nodes, and a peer before others', async () => {
    const node = await harness.start(1, { seeds: peers([200, '127.0.0.1:1']) });
    const ends = new Map<NodeId, Promise<string>>();
    let accepted = 0;
    const call = (nodeId: NodeId): Promise<string> => {
      const metadata = identityMetadata({ clusterName: 'test', from: nodeId, to: 1 });
      const end = harness.call(node.address, metadata, [], undefined, () => accepted++).then(({ details }) => details);
      ends.set(nodeId, end);
      return end;
    };
    for (let nodeId = 2; nodeId < MAXIMUM_INCOMING_STREAMS + 2; nodeId++) {
      void call(nodeId);
      await until(() => accepted === nodeId - 1, 'the stream is accepted');
    }
    expect(await call(199)).toBe('this node has 128 streams already');
    void call(200);
    expect(await ends.get(2)).toBe('makes room for a peer');
    await until(() => accepted === MAXIMUM_INCOMING_STREAMS + 1, 'the peer is accepted');
    expect(node.transport.counters.refusedStreams).toBe(1);
  });
});
