import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { StreamProxy } from './stream-proxy.js';

let echo: Server;
let proxy: StreamProxy;
let atServer: Socket[] = [];

beforeEach(async () => {
  atServer = [];
  echo = createServer((socket) => {
    atServer.push(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await StreamProxy.to((echo.address() as { port: number }).port);
});

afterEach(() => {
  proxy.close();
  for (const socket of atServer) socket.destroy();
  echo.close();
});

function call(): Socket {
  const [host, port] = proxy.address.split(':');
  return connect({ host: host!, port: Number(port) }).on('error', () => undefined);
}

async function connected(): Promise<Socket> {
  const socket = call();
  socket.write('hello');
  expect(String((await once(socket, 'data'))[0])).toBe('hello');
  return socket;
}

describe('a proxy for streams', () => {
  it('passes bytes both ways, and the end of a connection', async () => {
    const socket = await connected();
    socket.end();
    await once(atServer[0]!, 'close');
  });

  it('ends all when it is cut, and refuses others until it passes again', async () => {
    const socket = await connected();
    const closed = once(socket, 'close');
    proxy.cut();
    await closed;
    await once(call(), 'close');
    proxy.pass();
    (await connected()).destroy();
  });

  it('counts both ends of a swallowed connection, also when they close together', async () => {
    const socket = await connected();
    proxy.swallow();
    socket.destroy();
    atServer[0]!.destroy();
    while (proxy.noticedMs.length < 2) await new Promise((resolve) => setImmediate(resolve));
  });

  it('swallows bytes, and tells neither end that the other one has closed', async () => {
    const socket = await connected();
    expect(proxy.swallow()).toBe(1);
    const seen: string[] = [];
    atServer[0]!.on('data', (chunk) => seen.push(String(chunk)));
    socket.write('lost');
    socket.destroy();
    const unanswered = call();
    await once(unanswered, 'connect');
    while (proxy.noticedMs.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(proxy.noticedMs).toEqual([expect.any(Number)]);
    expect(atServer[0]!.destroyed).toBe(false);
    const closed = once(unanswered, 'close');
    proxy.pass();
    await Promise.all([closed, once(atServer[0]!, 'close')]);
    expect(seen).toEqual([]);
  });
});
