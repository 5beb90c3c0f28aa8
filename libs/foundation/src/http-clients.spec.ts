import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { limitClients, requestTimeouts, type ClientLimits } from './http-clients.js';
import { silentLogger } from './logger.js';

const MIB = 1024 * 1024;
const UNREAD_TIMEOUT_MS = 500;
/** More than the system takes for a client that does not read. */
const LARGE = Buffer.alloc(24 * MIB, 'x');
const BYTES_IN_HAND = 64 * MIB;
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

interface Limited {
  readonly server: Server;
  readonly port: number;
  readonly warnings: string[];
}

async function limited(listener: RequestListener, limits: Partial<ClientLimits> = {}): Promise<Limited> {
  const { requestTimeout, http } = requestTimeouts(1_000);
  const server = createServer({ ...http, requestTimeout }, listener);
  const warnings: string[] = [];
  limitClients(server, {
    connections: { wanted: 100 },
    logger: { ...silentLogger, warn: (text) => void warnings.push(text) },
    unreadTimeoutMs: UNREAD_TIMEOUT_MS,
    maximumBytes: BYTES_IN_HAND,
    ...limits,
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port, warnings };
}

/** A client that has sent these bytes, and reads only when it is told to. */
async function send({ port }: Limited, bytes: string | Buffer): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' }).pause();
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

/** Reads to the end, or until the connection breaks. */
async function readAll(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  socket.resume();
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
  return bytes;
}

function connectionsOf({ server }: Limited): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`in vain waited until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const answerLarge: RequestListener = (_request, response) => void response.setHeader('connection', 'close').end(LARGE);

describe('a client that does not read its answer', () => {
  it('is cut off, and one that reads slowly gets all of it', async () => {
    const one = await limited(answerLarge);
    const stalled = await send(one, GET);
    const slow = await send(one, GET);
    let read = 0;
    slow.on('data', (chunk: Buffer) => {
      read += chunk.length;
      if (read % (6 * MIB) < chunk.length) slow.pause(); // a few times, for less than the limit each
    });
    const goOn = setInterval(() => slow.resume(), UNREAD_TIMEOUT_MS / 2);
    await new Promise((resolve) => slow.once('close', resolve));
    clearInterval(goOn);
    expect(read).toBeGreaterThan(LARGE.length);
    await until(async () => (await connectionsOf(one)) === 0, 'the other one is cut off');
    expect(await readAll(stalled)).toBeLessThan(LARGE.length);
  });

  it('is given all the time while there is no answer, or one that goes on', async () => {
    let answer = (): void => undefined;
    const one = await limited((request, response) => {
      if (request.url === '/events') response.write('hello');
      else answer = (): void => void response.setHeader('connection', 'close').end('done');
    });
    const waiting = await send(one, GET);
    await send(one, GET.replace('/', '/events'));
    await new Promise((resolve) => setTimeout(resolve, 3 * UNREAD_TIMEOUT_MS));
    expect(await connectionsOf(one)).toBe(2);
    answer();
    expect(await readAll(waiting)).toBeGreaterThan(4);
  });
});

describe('what clients have in hand is bounded in bytes', () => {
  it('in answers that are not read: the oldest go, and others are served', async () => {
    const one = await limited(answerLarge, { unreadTimeoutMs: 60_000 });
    const unread: Socket[] = [];
    for (let count = 0; count < 8; count++) unread.push(await send(one, GET));
    await until(async () => (await connectionsOf(one)) <= BYTES_IN_HAND / (LARGE.length - 8 * MIB), 'some are cut off');
    expect(one.warnings).toEqual([expect.stringContaining('HTTP clients disconnected')]);
    expect(await readAll(await send(one, GET))).toBeGreaterThan(LARGE.length);
    expect(await readAll(unread[0]!)).toBeLessThan(LARGE.length);
  });

  it('in bodies that have not come whole', async () => {
    const one = await limited(
      (request, response) => {
        const chunks: Buffer[] = [];
        request.on('error', () => undefined);
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on(
          'end',
          () => void response.setHeader('connection', 'close').end(String(Buffer.concat(chunks).length)),
        );
      },
      { maximumBytes: 8 * MIB },
    );
    const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${MIB}\r\n\r\n`;
    for (let count = 0; count < 20; count++) {
      await send(one, Buffer.concat([Buffer.from(head), Buffer.alloc(MIB - 1)]));
    }
    await until(async () => (await connectionsOf(one)) <= 8, 'some are cut off');
    const whole = await send(one, Buffer.concat([Buffer.from(head), Buffer.alloc(MIB)]));
    let text = '';
    whole.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    await readAll(whole);
    expect(text).toContain(String(MIB));
  });
});

describe('a connection that cannot be accepted', () => {
  it('ends nothing, and idle ones make room', async () => {
    const one = await limited((_request, response) => void response.end('x'));
    const idle = await send(one, GET);
    await once(idle.resume(), 'data');
    one.server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE', syscall: 'accept' }));
    await readAll(idle);
    expect(one.warnings).toEqual(['1 HTTP connections could not be accepted: accept EMFILE']);
    await once((await send(one, GET)).resume(), 'data');
  });

  it('is told from an address that cannot be listened on', async () => {
    const one = await limited(() => undefined);
    const other = createServer();
    limitClients(other, { connections: {}, logger: silentLogger });
    other.listen(one.port, '127.0.0.1');
    const [error] = (await once(other, 'error').catch((caught: unknown) => [caught])) as [{ code: string }];
    expect(error.code).toBe('EADDRINUSE');
  });
});
