import {
  Client,
  credentials,
  logVerbosity,
  Metadata,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type ServiceError,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import type { Message, NodeId } from '../core/types.js';
import { exchangeMethod, identityMetadata } from './exchange-service.js';
import { GrpcTransport } from './grpc-transport.js';
import type { GrpcTransportOptions } from './grpc-transport.types.js';
import { encodeFrame } from './message-codec.js';

setLogVerbosity(logVerbosity.NONE); // gRPC itself writes of failed bindings to the console

const running: { stop(): Promise<void> }[] = [];
const timeoutMs = 10_000;

/** Waits for the event loop to bring about a condition. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in vain waited until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Node {
  readonly transport: GrpcTransport;
  readonly received: Message[];
  readonly warnings: string[];
}

async function startNode(
  nodeId: NodeId,
  peers: readonly (readonly [NodeId, string])[],
  options: Partial<GrpcTransportOptions> = {},
): Promise<Node> {
  const received: Message[] = [];
  const warnings: string[] = [];
  const transport = new GrpcTransport({
    nodeId,
    clusterName: 'test',
    listenAddress: '127.0.0.1:0',
    peers: new Map(peers),
    logger: { ...silentLogger, warn: (text) => void warnings.push(text) },
    ...options,
  });
  running.push(transport);
  await transport.start((message) => void received.push(message));
  return { transport, received, warnings };
}

const address = (node: Node): string => `127.0.0.1:${node.transport.port}`;

/** Node 1 (the receiver) and node 2, which knows where node 1 listens. */
async function startPair(): Promise<{ first: Node; second: Node }> {
  const first = await startNode(1, [[2, '127.0.0.1:1']]);
  const second = await startNode(2, [[1, address(first)]]);
  await until(() => second.transport.isConnected(1), 'node 2 is connected');
  return { first, second };
}

const vote = (from: NodeId, to: NodeId, term: number): Message => ({
  type: 'request-vote',
  from,
  to,
  term,
  lastLogIndex: 0,
  lastLogTerm: 0,
});

function append(from: NodeId, to: NodeId, term: number, dataBytes: number): Message {
  const entries = [{ index: 1, term: 1, kind: 'normal' as const, data: Buffer.alloc(dataBytes, term) }];
  return {
    type: 'append-entries',
    from,
    to,
    term,
    previousIndex: 0,
    previousTerm: 0,
    entries,
    commitIndex: 0,
    round: 0,
  };
}

/** A stream by hand, as a faulty or foreign node would open it; ends with the status the server gives. */
function callByHand(target: string, metadata: Metadata, frames: readonly Buffer[]): Promise<ServiceError | null> {
  const client = new Client(target, credentials.createInsecure());
  running.push({ stop: () => Promise.resolve(client.close()) });
  return new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = exchangeMethod;
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, metadata, resolve);
    for (const frame of frames) call.write(frame);
  });
}

afterEach(async () => {
  for (const resource of running.splice(0)) await resource.stop();
});

describe('GrpcTransport', () => {
  it('delivers to each peer in order, a turn’s messages together', async () => {
    const { first, second } = await startPair();
    for (let term = 1; term <= 2000; term += 2) {
      second.transport.send([vote(2, 1, term), append(2, 1, term + 1, 100)]);
      if (term % 7 === 0) await Promise.resolve();
    }
    await until(() => first.received.length === 2000, 'everything has arrived');
    expect(first.received.map((message) => message.term)).toEqual(Array.from({ length: 2000 }, (_, at) => at + 1));
    expect(second.transport.counters).toMatchObject({ sentMessages: 2000, droppedMessages: 0 });
    expect(second.transport.bufferedBytes(1)).toBeLessThan(1024 * 1024);
  });

  it('carries a large snapshot, and what follows behind it', async () => {
    const { first, second } = await startPair();
    const data = Buffer.alloc(80 * 1024 * 1024, 7);
    const snapshot = { metadata: { index: 5, term: 1, voters: [1, 2] }, data };
    const install: Message = { type: 'install-snapshot', from: 2, to: 1, term: 1, snapshot };
    second.transport.send([install, install, vote(2, 1, 2)]);
    await until(() => first.received.length === 2, 'the snapshot has arrived');
    const [message, next] = first.received;
    expect(message?.type === 'install-snapshot' && data.equals(message.snapshot.data)).toBe(true);
    expect(next?.type).toBe('request-vote');
    expect(second.transport.counters.droppedMessages).toBe(1); // one large message at a time
    await until(() => second.transport.bufferedBytes(1) === 0, 'nothing is left in the buffer');
  });

  it('finds a peer that was restarted', async () => {
    const { first, second } = await startPair();
    const { port } = first.transport;
    await first.transport.stop();
    await until(() => !second.transport.isConnected(1), 'node 2 notices');
    second.transport.send([vote(2, 1, 1)]);
    expect(second.transport.counters.droppedMessages).toBe(1);
    expect(second.transport.bufferedBytes(1)).toBe(0);

    const again = await startNode(1, [[2, '127.0.0.1:1']], { listenAddress: `127.0.0.1:${port}` });
    await until(() => second.transport.isConnected(1), 'node 2 is connected again');
    second.transport.send([vote(2, 1, 2)]);
    await until(() => again.received.length > 0, 'the message has arrived');
    expect(again.received.map((message) => message.term)).toEqual([2]);
  });

  it('says so when its address is taken', async () => {
    const first = await startNode(1, []);
    await expect(startNode(2, [], { listenAddress: address(first) })).rejects.toMatchObject({
      code: 'RAFT_TRANSPORT_BIND_FAILED',
    });
  });

  it('drops messages to unknown nodes and those above the limit', async () => {
    const first = await startNode(1, [[2, '127.0.0.1:1']]);
    const second = await startNode(2, [[1, address(first)]], { maxMessageBytes: 1000 });
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    second.transport.send([vote(2, 9, 1), append(2, 1, 2, 2000), vote(2, 1, 3)]);
    await until(() => first.received.length > 0, 'the message has arrived');
    expect(first.received.map((message) => message.term)).toEqual([3]);
    expect(second.transport.counters.droppedMessages).toBe(2);
  });
});

describe('GrpcTransport among strangers', () => {
  it('refuses another cluster, another addressee, an unknown and a nameless caller', async () => {
    const node = await startNode(1, [[2, '127.0.0.1:1']]);
    const refused = [
      [
        identityMetadata({ clusterName: 'blue', from: 2, to: 1 }),
        'the caller is of cluster "blue", this node of "test"',
      ],
      [identityMetadata({ clusterName: 'test', from: 2, to: 3 }), 'the caller looks for node 3, but this is node 1'],
      [identityMetadata({ clusterName: 'test', from: 7, to: 1 }), 'node 7 is no peer of node 1'],
      [new Metadata(), 'the caller does not say which node it is'],
    ] as const;
    for (const [metadata, details] of refused) {
      const error = await callByHand(address(node), metadata, [encodeFrame([vote(2, 1, 1)])]);
      expect(error?.details).toBe(details);
      expect(node.warnings.some((line) => line.includes(details))).toBe(true);
    }
    expect(node.received).toEqual([]);
    expect(node.transport.counters.refusedStreams).toBe(4);
  });

  it('tells the refused node why, once, and does not call it connected', async () => {
    const first = await startNode(1, [[2, '127.0.0.1:1']]);
    const second = await startNode(2, [[1, address(first)]], { clusterName: 'blue' });
    await until(() => first.transport.counters.refusedStreams >= 3, 'it was refused repeatedly');
    expect(second.transport.isConnected(1)).toBe(false);
    expect(second.warnings).toEqual([expect.stringContaining('the caller is of cluster "blue", this node of "test"')]);
    expect(first.warnings.filter((line) => line.startsWith('refused'))).toHaveLength(1);
  });

  it('drops messages that do not fit their stream', async () => {
    const node = await startNode(1, [[2, '127.0.0.1:1']]);
    const metadata = identityMetadata({ clusterName: 'test', from: 2, to: 1 });
    void callByHand(address(node), metadata, [encodeFrame([vote(3, 1, 1), vote(2, 3, 2), vote(2, 1, 3)])]);
    await until(() => node.received.length > 0, 'the message has arrived');
    expect(node.received.map((message) => message.term)).toEqual([3]);
    expect(node.transport.counters.misaddressedMessages).toBe(2);
  });

  it('ends a stream with a malformed frame and goes on', async () => {
    const { first, second } = await startPair();
    const metadata = identityMetadata({ clusterName: 'test', from: 2, to: 1 });
    const frames = [encodeFrame([vote(2, 1, 1)]), Buffer.from('rubbish'), encodeFrame([vote(2, 1, 2)])];
    const error = await callByHand(address(first), metadata, frames);
    expect(error?.details).toBe('a frame could not be read');
    expect(first.received.map((message) => message.term)).toEqual([1]);
    expect(first.transport.counters.malformedFrames).toBe(1);
    await until(() => second.transport.isConnected(1), 'the replaced stream is there again');
    await until(() => {
      second.transport.send([vote(2, 1, 9)]);
      return first.received.some((message) => message.term === 9);
    }, 'the real node is heard');
  });
});

describe('GrpcTransport and slow peers', () => {
  it('holds a bounded number of bytes for a peer that does not read', async () => {
    const server = new Server();
    server.addService(
      { exchange: exchangeMethod },
      {
        exchange: (call: { pause(): void; sendMetadata(metadata: Metadata): void }) => {
          call.pause();
          call.sendMetadata(new Metadata());
        },
      },
    );
    running.push({ stop: () => Promise.resolve(server.forceShutdown()) });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    const maxBufferedBytes = 8 * 1024 * 1024;
    const node = await startNode(1, [[2, `127.0.0.1:${port}`]], { maxBufferedBytes });
    await until(() => node.transport.isConnected(2), 'it is connected');
    for (let round = 1; round <= 100; round++) {
      node.transport.send([append(1, 2, round, 512 * 1024)]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(node.transport.bufferedBytes(2)).toBeLessThanOrEqual(maxBufferedBytes);
    }
    expect(node.transport.counters.droppedMessages).toBeGreaterThan(50);
  });

  it('holds nothing for a dead peer', async () => {
    const node = await startNode(1, [[2, '127.0.0.1:1']]);
    for (let round = 1; round <= 100; round++) node.transport.send([append(1, 2, round, 100_000)]);
    expect(node.transport.bufferedBytes(2)).toBe(0);
    expect(node.transport.isConnected(2)).toBe(false);
    expect(node.transport.counters.droppedMessages).toBe(100);
  });
});

describe('GrpcTransport at the end', () => {
  it('lets the last word out', async () => {
    const { first, second } = await startPair();
    second.transport.send([append(2, 1, 1, 1_000_000), vote(2, 1, 2)]);
    await second.transport.stop();
    await until(() => first.received.length === 2, 'both messages have arrived');
  });

  it('leaves nothing open', async () => {
    const network = (): string[] =>
      process.getActiveResourcesInfo().filter((name) => /^(TCP|Timeout$|Immediate$)/.test(name));
    await until(() => network().every((name) => !name.startsWith('TCP')), 'earlier tests have let go');
    const before = network().length;
    const { first, second } = await startPair();
    first.transport.send([vote(1, 2, 1)]);
    expect(network().length).toBeGreaterThan(before);
    await first.transport.stop();
    await second.transport.stop();
    await second.transport.stop();
    await until(() => network().length <= before, 'sockets and timers are gone');
    second.transport.send([vote(2, 1, 1)]);
    expect(second.transport.isConnected(1)).toBe(false);
  });
});
