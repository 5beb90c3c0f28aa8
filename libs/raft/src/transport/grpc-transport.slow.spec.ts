import { connect as connectHttp2 } from 'node:http2';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { Clock, Timer } from '@concordat/foundation';
import { exchangeMethod, identityMetadata } from './exchange-service.js';
import { decodeEcho } from './message-decoder.js';
import { encodeEcho, encodeFrame } from './message-encoder.js';
import { RECONNECT } from './outgoing-stream.js';
import { between } from '../core/testing/members.js';
import { append, TransportHarness, until, vote } from './testing/transport-harness.js';

jest.setTimeout(30_000); // what is waited for in vain says so itself, before that

const harness = new TransportHarness();
type Call = ServerDuplexStream<Buffer, Buffer>;

/** A server of our making, for one that misbehaves. */
async function misbehavingServer(exchange: (call: Call) => void): Promise<string> {
  const server = new Server();
  server.addService({ exchange: exchangeMethod }, { exchange });
  harness.onEnd(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return `127.0.0.1:${port}`;
}

interface Relay {
  readonly address: string;
  /** no byte passes any more, in either direction, and nobody is told */
  freeze(): void;
}

/** A message as gRPC frames it: not compressed, its length in four bytes. */
function grpcMessage(bytes: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

/** Stands between two nodes, as a network does. */
async function relayTo(port: number): Promise<Relay> {
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
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
      server.close();
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

/** Real time, with a note of every delay that was asked for. */
class RecordingClock implements Clock {
  readonly delaysMs: number[] = [];

  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    this.delaysMs.push(delayMs);
    const handle = setTimeout(action, Math.min(delayMs, 20)); // the test need not wait as long
    return { cancel: () => clearTimeout(handle) };
  }
}

afterEach(() => harness.end());

describe('GrpcTransport and slow peers', () => {
  it('holds a bounded number of bytes for a peer that does not read', async () => {
    const address = await misbehavingServer((call) => {
      call.pause();
      call.sendMetadata(new Metadata());
    });
    const maximumBufferedBytes = 8 * 1024 * 1024;
    const node = await harness.start(1, {
      seeds: new Map([[2, address]]),
      maximumBufferedBytes,
      maximumMessageBytes: maximumBufferedBytes,
    });
    await until(() => node.transport.isConnected(2), 'it is connected');
    for (let round = 1; round <= 100; round++) {
      node.transport.send([append(1, 2, round, 512 * 1024)]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(node.transport.bufferedBytes(2)).toBeLessThanOrEqual(maximumBufferedBytes);
    }
    expect(node.transport.counters.droppedMessages).toBeGreaterThan(50);
    const metrics = node.transport.peerMetrics(2);
    expect(metrics).toMatchObject({ connected: true, droppedMessages: node.transport.counters.droppedMessages });
    expect(metrics?.bufferedBytes).toBe(node.transport.bufferedBytes(2));
  });

  it('holds nothing for a dead peer', async () => {
    const node = await harness.start(1, { seeds: new Map([[2, '127.0.0.1:1']]) });
    for (let round = 1; round <= 100; round++) node.transport.send([append(1, 2, round, 100_000)]);
    expect(node.transport.bufferedBytes(2)).toBe(0);
    expect(node.transport.isConnected(2)).toBe(false);
    expect(node.transport.counters.droppedMessages).toBe(100);
  });

  it('holds little for a node that it is just calling for the first time', async () => {
    const node = await harness.start(1, { seeds: new Map([[2, '127.0.0.1:1']]) });
    node.transport.setPeers(new Map()); // node 2 is called on demand
    for (let round = 1; round <= 100; round++) node.transport.send([append(1, 2, round, 100_000)]);
    expect(node.transport.bufferedBytes(2)).toBeGreaterThan(900_000);
    expect(node.transport.bufferedBytes(2)).toBeLessThanOrEqual(1024 * 1024);
    await until(() => node.transport.bufferedBytes(2) === 0, 'the attempt has failed');
    expect(node.transport.counters.droppedMessages).toBe(100);
  });

  it('is called anew after a moment when it does not end the stream that says no group', async () => {
    let calls = 0;
    const address = await misbehavingServer((call) => {
      calls++;
      call.sendMetadata(new Metadata());
    });
    const node = await harness.start(1, { seeds: new Map([[2, address]]) });
    await until(() => node.transport.isConnected(2), 'it is connected');
    node.transport.setIdentity({ incarnation: 1, groupId: 7 });
    await until(() => calls === 2 && node.transport.isConnected(2), 'it is connected anew');
    expect(node.transport.peerMetrics(2)?.reconnects).toBe(0);
    expect(node.warnings).toEqual([]);
  });

  it('keeps no echoes for a caller that does not read them', async () => {
    const node = await harness.start(1);
    // gRPC's own client reads ahead whatever its user does, so this one speaks HTTP/2 by itself.
    const session = connectHttp2(`http://${node.address}`, { settings: { initialWindowSize: 1024 } });
    harness.onEnd(() => session.destroy());
    const stream = session.request({
      ':method': 'POST',
      ':path': exchangeMethod.path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...identityMetadata({ clusterName: 'test', ...between(2, 1) }).toHttp2Headers(),
    });
    const pings = Array.from({ length: 2000 }, (_, at) => encodeFrame([], at + 1));
    for (const frame of [...pings, encodeFrame([vote(2, 1, 5)])]) stream.write(grpcMessage(frame));
    await until(() => node.received.length > 0, 'it has read everything');
    const echoes: number[] = [];
    let unread = Buffer.alloc(0);
    stream.on('data', (bytes: Buffer) => {
      unread = Buffer.concat([unread, bytes]);
      for (let end = 5 + (unread[4] ?? 0); unread.length >= end && unread.length > 5; end = 5 + (unread[4] ?? 0)) {
        echoes.push(decodeEcho(unread.subarray(5, end)).ping);
        unread = unread.subarray(end);
      }
    });
    await until(() => {
      const hasLeft = stream.writableLength === 0; // one ping at a time: a heap of them would only slow both down
      if (hasLeft) stream.write(grpcMessage(encodeFrame([], 4711)));
      return echoes.at(-1) === 4711;
    }, 'it gets echoes again as soon as it reads them');
    expect(echoes.filter((ping) => ping <= pings.length).length).toBeLessThan(500);
    expect(echoes[0]).toBe(1);
  });
});

describe('GrpcTransport and broken connections', () => {
  it('notices a peer that is frozen, and finds it again elsewhere', async () => {
    const first = await harness.start(1);
    const relay = await relayTo(first.transport.port);
    const second = await harness.start(2, { seeds: new Map([[1, relay.address]]) });
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    relay.freeze();
    await until(() => !second.transport.isConnected(1), 'node 2 notices');
    expect(second.warnings[0]).toContain(`no connection to node 1 at ${relay.address}`);
    second.transport.setPeers(new Map([[1, first.address]]));
    await until(() => second.transport.isConnected(1), 'node 2 is connected again');
    second.transport.send([vote(2, 1, 1)]);
    await until(() => first.received.length > 0, 'the message arrives');
  });

  it('tries again after ever longer delays, up to a second, and says why once', async () => {
    const clock = new RecordingClock();
    const node = await harness.start(1, { seeds: new Map([[2, '127.0.0.1:1']]), clock, pingIntervalMs: 3_600_000 });
    const retries = (): number[] => clock.delaysMs.filter((delayMs) => delayMs <= RECONNECT.capMs);
    await until(() => retries().length >= 8, 'it has tried again');
    for (const [attempt, delayMs] of retries().entries()) {
      const full = Math.min(RECONNECT.capMs, RECONNECT.baseMs * 2 ** attempt);
      expect(delayMs).toBeGreaterThanOrEqual(full / 2);
      expect(delayMs).toBeLessThanOrEqual(full);
    }
    expect(node.warnings).toEqual([expect.stringContaining('no connection to node 2 at 127.0.0.1:1: ')]);
  });

  it('begins with short delays again after a connection', async () => {
    const clock = new RecordingClock();
    const address = await misbehavingServer((call) => {
      call.on('error', () => undefined);
      call.sendMetadata(new Metadata());
      call.end();
    });
    await harness.start(1, { seeds: new Map([[2, address]]), clock, pingIntervalMs: 3_600_000 });
    const retries = (): number[] => clock.delaysMs.filter((delayMs) => delayMs <= RECONNECT.capMs);
    await until(() => retries().length >= 8, 'it has tried again');
    expect(Math.max(...retries())).toBeLessThanOrEqual(RECONNECT.baseMs);
  });

  it('hangs up on a server that echoes rubbish', async () => {
    const address = await misbehavingServer((call) => {
      call.on('error', () => undefined);
      call.resume();
      call.write(Buffer.from('rubbish'));
    });
    const node = await harness.start(1, { seeds: new Map([[2, address]]) });
    await until(() => node.transport.counters.malformedFrames > 1, 'it was heard twice');
    expect(node.warnings[0]).toContain('ended the stream to node 2: an echo could not be read');
  });
});

describe('GrpcTransport.peerMetrics', () => {
  it('knows what went to a peer, what came from it, and how long the way is', async () => {
    const first = await harness.start(1);
    const second = await harness.start(2, { seeds: new Map([[1, first.address]]), pingIntervalMs: 5 });
    await until(() => second.transport.peerMetrics(1)?.roundTripMs !== undefined, 'a round trip was measured');
    second.transport.send([vote(2, 1, 1), append(2, 1, 2, 1000)]);
    await until(() => first.received.length === 2, 'the messages arrive');
    const sent = second.transport.peerMetrics(1);
    expect(sent).toMatchObject({
      connected: true,
      sentMessages: 2,
      receivedMessages: 0,
      droppedMessages: 0,
      reconnects: 0,
    });
    expect(sent?.roundTripMs).toBeGreaterThan(0);
    expect(sent?.sentBytes).toBeGreaterThan(1000);
    await until(
      () => first.transport.peerMetrics(2)?.receivedBytes === second.transport.peerMetrics(1)?.sentBytes,
      'both count alike',
    );
    expect(first.transport.peerMetrics(2)).toMatchObject({ connected: false, sentMessages: 0, receivedMessages: 2 });
    expect(first.transport.peerMetrics(3)).toBeUndefined();
  });

  it('measures anew with each ping, and takes no number that was not asked for', async () => {
    const pings: Call[] = [];
    const address = await misbehavingServer((call) => {
      call.on('error', () => undefined);
      call.sendMetadata(new Metadata());
      call.on('data', () => pings.push(call));
    });
    const node = await harness.start(1, { seeds: new Map([[2, address]]), pingIntervalMs: 5 });
    await until(() => pings.length === 1, 'it pings');
    pings[0]?.write(encodeEcho({ ping: 99, clock: 7 }));
    pings[0]?.write(encodeEcho({ ping: 1, clock: 0 }));
    await until(() => pings.length === 2, 'it pings again, once the first is answered');
    const first = node.transport.peerMetrics(2)?.roundTripMs;
    expect(first).toBeGreaterThan(0);
    expect(node.transport.peerClock(2)).toBeUndefined(); // it has not told
    pings[0]?.write(encodeEcho({ ping: 2, clock: 1_760_000_000_000 }));
    await until(() => node.transport.peerMetrics(2)?.roundTripMs !== first, 'the second is measured');
    const { unixMs, readAt, errorMs } = node.transport.peerClock(2)!;
    expect(unixMs).toBe(1_760_000_000_000);
    expect(errorMs).toBeCloseTo(node.transport.peerMetrics(2)!.roundTripMs! / 2);
    expect(readAt + errorMs).toBeLessThanOrEqual(performance.now());
  });
});
