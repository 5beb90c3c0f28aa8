import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';
import { ConnectionListener } from './connection-listener.js';
import { MAXIMUM_CONNECTIONS, UNACCEPTED_BYTES } from './connection-table.js';
import { between } from '../core/testing/members.js';
import { exchangeMethod, identityMetadata } from './exchange-service.js';
import { encodeFrame } from './message-encoder.js';
import type { MutableCounters } from './grpc-transport.types.js';
import { RefusalLog } from './refusal-log.js';
import { TestAuthority } from './testing/test-authority.js';
import { expectToHear, TransportHarness, until, vote, type TestNode } from './testing/transport-harness.js';
import { TurnClock } from './testing/turn-clock.js';

jest.setTimeout(120_000); // what is waited for in vain says so itself, before that

const harness = new TransportHarness();
afterEach(() => harness.end());

const aFastClock = (): TurnClock => new TurnClock(25);

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const frame = (type: number, payload = Buffer.alloc(0), streamId = 0): Buffer => {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
};
const SETTINGS = frame(4);
const PING = frame(6, Buffer.alloc(8, 1));
const GREETING = Buffer.concat([PREFACE, SETTINGS]);

const authority = TestAuthority.create();
const clusterName = 'test';
const tlsOf = (nodeId: NodeId) => authority.issue({ clusterName, nodeId });

/** A caller that has said these bytes and says no more; it reads what comes. */
function say({ transport }: TestNode, bytes: Buffer | string): Socket {
  const socket = connect(transport.port, '127.0.0.1', () => void (bytes.length > 0 && socket.write(bytes)));
  socket.resume();
  socket.on('error', () => undefined);
  harness.onEnd(() => void socket.destroy());
  return socket;
}

function sayOverTls({ transport }: TestNode, bytes: Buffer | string): Socket {
  const { ca, cert, key } = tlsOf(2);
  const options = { ca, cert, key, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
  const socket = connectTls({ port: transport.port, host: '127.0.0.1', ...options }, () => {
    if (bytes.length > 0) socket.write(bytes);
  });
  socket.resume();
  socket.on('error', () => undefined);
  harness.onEnd(() => void socket.destroy());
  return socket;
}

/** A session of HTTP/2 that answers pings. */
function session(address: string): ClientHttp2Session {
  const client = connectHttp2(`http://${address}`);
  client.on('error', () => undefined);
  harness.onEnd(() => client.destroy());
  return client;
}

/** A stream that is not ended by its caller. */
function open(client: ClientHttp2Session, from: NodeId, cluster = clusterName): ClientHttp2Stream {
  const stream = client.request({
    ':method': 'POST',
    ':path': exchangeMethod.path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...identityMetadata({ clusterName: cluster, ...between(from, 1) }).toHttp2Headers(),
  });
  stream.on('error', () => undefined);
  stream.resume();
  return stream;
}

function closed(one: { readonly destroyed: boolean }): boolean {
  return one.destroyed;
}

describe('a caller that does not go on', () => {
  it.each([
    ['says nothing', ''],
    ['says half a greeting', PREFACE.subarray(0, 10)],
    ['greets, and answers no pings', GREETING],
    ['says half a frame', Buffer.concat([GREETING, frame(1, Buffer.alloc(500), 1).subarray(0, 100)])],
  ])('and %s is given up', async (_what, bytes) => {
    const node = await harness.start(1, { clock: aFastClock() });
    const callers = Array.from({ length: 20 }, () => say(node, bytes));
    await until(() => callers.every(closed), 'all are given up');
    await expectToHear(harness, node);
  });

  it.each([
    ['no TLS', say],
    ['nothing after its certificate', sayOverTls],
  ])('and says %s is given up', async (_what, call) => {
    const node = await harness.start(1, { clock: aFastClock(), tls: tlsOf(1) });
    const callers = Array.from({ length: 20 }, () => call(node, ''));
    await until(() => callers.every(closed), 'all are given up');
    await expectToHear(harness, node, { tls: tlsOf(9) });
  });

  it('and opens no stream, or keeps one that was refused, is given up', async () => {
    const node = await harness.start(1, { clock: aFastClock() });
    const callers = Array.from({ length: 20 }, () => session(node.address));
    for (const caller of callers.slice(0, 10)) open(caller, 2, 'another');
    await until(() => callers.every(closed), 'all are given up');
    expect(node.transport.counters.refusedStreams).toBe(10);
    expect(node.warnings.some((line) => line.includes('it has had no stream for too long'))).toBe(true);
    await expectToHear(harness, node);
  });

  it('and sends on and on without a stream is given up at once, though it reads all answers', async () => {
    const node = await harness.start(1);
    const caller = say(node, GREETING);
    const pings = Buffer.concat(Array.from({ length: 300 }, () => PING)); // more at once is a flood
    let [sentBytes, readBytes, dueBytes] = [0, 0, 0];
    caller.on('data', (bytes: Buffer) => {
      readBytes += bytes.length;
      if (readBytes >= dueBytes) sendMore();
    });
    const sendMore = (): void => {
      caller.write(pings);
      sentBytes += pings.length;
      dueBytes = readBytes + pings.length;
    };
    await until(() => closed(caller), 'it is given up');
    expect(sentBytes).toBeGreaterThan(UNACCEPTED_BYTES);
    expect(node.warnings.some((line) => line.includes('it has sent too much without a stream'))).toBe(true);
    await expectToHear(harness, node);
  });

  it('and is silent on its stream is given up, and a node with nothing to say is not', async () => {
    const clock = aFastClock();
    const node = await harness.start(1, { clock });
    const quiet = await harness.start(2, { clock, seeds: new Map([[1, node.address]]) });
    const callers = [3, 4, 5].map((from) => {
      const caller = session(node.address);
      open(caller, from);
      return caller;
    });
    await until(() => callers.every(closed), 'all are given up');
    expect(node.warnings.some((line) => line.includes('its stream has been silent for too long'))).toBe(true);
    expect(node.transport.counters.refusedConnections).toBe(callers.length);
    await until(() => quiet.transport.isConnected(1), 'the quiet node is connected');
  });

  it('and does not answer pings any more is given up, and not called back at where it was', async () => {
    const node = await harness.start(1);
    let toNode: Socket | undefined;
    let fromCaller: Socket | undefined;
    const relay = createServer((near) => {
      const far = connect(node.transport.port, '127.0.0.1');
      [fromCaller, toNode] = [near, far];
      for (const socket of [near, far]) {
        socket.on('error', () => undefined);
        harness.onEnd(() => void socket.destroy());
      }
      near.pipe(far);
      far.pipe(near);
    });
    await listen(relay);
    const caller = await harness.start(2, {
      seeds: new Map([[1, `127.0.0.1:${(relay.address() as AddressInfo).port}`]]),
    });
    await until(() => caller.transport.isConnected(1), 'it is connected');
    relay.close();
    fromCaller!.unpipe().pause(); // nothing that it says arrives any more
    await until(() => toNode!.readableEnded || toNode!.destroyed, 'it is given up');
    await expectToHear(harness, node);
  });
});

function listen(server: Server): Promise<void> {
  harness.onEnd(() => void server.close());
  return new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
}

describe('many callers', () => {
  it('without a stream never keep a node out', async () => {
    const node = await harness.start(1, { clock: new TurnClock(0) }); // none of them is given up
    const callers = Array.from({ length: MAXIMUM_CONNECTIONS + 20 }, () => say(node, ''));
    await until(() => callers.every(({ connecting }) => !connecting), 'all are connected');
    await expectToHear(harness, node);
    await until(() => callers.filter(closed).length === 21, 'as many as were too many have gone');
    expect(node.warnings.some((line) => line.includes('makes room for another'))).toBe(true);
  });

  it('with TLS, too', async () => {
    const node = await harness.start(1, { clock: new TurnClock(0), tls: tlsOf(1) });
    const callers = Array.from({ length: MAXIMUM_CONNECTIONS + 20 }, () => say(node, ''));
    await until(() => callers.every(({ connecting }) => !connecting), 'all are connected');
    await expectToHear(harness, node, { tls: tlsOf(9) });
  });

  it('with half frames of the largest size do not use up the memory', async () => {
    const maximumMessageBytes = 8 * 1024 * 1024;
    const node = await harness.start(1, { maximumMessageBytes });
    const header = Buffer.alloc(5);
    header.writeUInt32BE(maximumMessageBytes, 1);
    const half = Buffer.concat([header, Buffer.alloc(maximumMessageBytes - 1)]);
    const callers = Array.from({ length: 16 }, (_, at) => {
      const caller = session(node.address);
      const stream = open(caller, 20 + at);
      stream.write(half);
      return caller;
    });
    await until(() => callers.filter((caller) => !closed(caller)).length <= 1, 'all but one are given up');
    await expectToHear(harness, node);
  });
});

describe('a flood', () => {
  it.each([
    ['pings', PING],
    ['settings', SETTINGS],
  ])('of %s whose answers are not read ends the connection', async (_what, bytes) => {
    const node = await harness.start(1);
    const before = process.memoryUsage().rss;
    const socket = connect(node.transport.port, '127.0.0.1');
    harness.onEnd(() => void socket.destroy());
    socket.on('error', () => undefined);
    const chunk = Buffer.concat(Array.from({ length: 5_000 }, () => bytes));
    socket.write(GREETING);
    for (let sent = 0; sent < 400 && !closed(socket); sent++) {
      if (!socket.write(chunk)) await new Promise<void>((resolve) => whenDrained(socket, resolve));
    }
    await until(() => closed(socket), 'it is given up');
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024);
    await expectToHear(harness, node);
  });

  it('of streams that are cancelled at once leaves others alone', async () => {
    const node = await harness.start(1);
    const caller = session(node.address);
    for (let round = 0; round < 30 && !closed(caller); round++) {
      const streams = Array.from({ length: 10 }, (_, at) => open(caller, 2 + at));
      await new Promise((resolve) => setImmediate(resolve));
      for (const stream of streams) stream.close(8);
    }
    await expectToHear(harness, node);
  });

  it('of frames that are whole is heard, and leaves others alone', async () => {
    const node = await harness.start(1);
    const stream = open(session(node.address), 3);
    const bytes = encodeFrame([vote(3, 1, 7)]);
    const header = Buffer.alloc(5);
    header.writeUInt32BE(bytes.length, 1);
    stream.write(Buffer.concat(Array.from({ length: 5_000 }, () => Buffer.concat([header, bytes]))));
    await expectToHear(harness, node);
    await until(() => node.received.filter(({ term }) => term === 7).length === 5_000, 'all are heard');
  });
});

describe('a connection that cannot be accepted', () => {
  it('ends nothing, and one without a stream makes room', async () => {
    const [counters, refusals] = [{ refusedConnections: 0 } as MutableCounters, new RefusalLog(silentLogger)];
    const listening = {
      listenAddress: '127.0.0.1:0',
      tls: undefined,
      tlsMode: 'require' as const,
      clock: aFastClock(),
      counters,
      refusals,
    };
    const listener = new ConnectionListener({ ...listening, maximumUnfinishedBytes: 1 }, () => undefined);
    const port = await listener.start();
    harness.onEnd(() => listener.stop());
    const idle = connect(port, '127.0.0.1').resume();
    await until(() => listener.connections.size === 1, 'it is connected');
    const server = Reflect.get(listener, 'server') as Server;
    for (let count = 0; count < 3; count++) server.emit('error', new Error('accept EMFILE'));
    await until(() => closed(idle), 'the idle one has gone');
    expect([counters.refusedConnections, listener.connections.size]).toEqual([4, 0]);
  });
});

function whenDrained(socket: Socket, resolve: () => void): void {
  socket.once('drain', resolve);
  socket.once('close', resolve);
}
