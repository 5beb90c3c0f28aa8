import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { FastifyAdapter } from '@nestjs/platform-fastify';
import { silentLogger } from '@concordat/foundation';
import type { FastifyInstance } from 'fastify';
import { createHttpAdapter } from './bootstrap.js';

const HALF = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{';

let adapter: FastifyAdapter;
let port: number;
const sockets: Socket[] = [];
beforeEach(async () => {
  adapter = createHttpAdapter(silentLogger, 400);
  const fastify: FastifyInstance = adapter.getInstance();
  fastify.post('/', () => ({}));
  await fastify.listen({ port: 0, host: '127.0.0.1' });
  port = (adapter.getHttpServer().address() as AddressInfo).port;
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await adapter.close();
});

/** What is answered until the connection ends. */
function answered(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => void (bytes !== '' && socket.write(bytes)));
    sockets.push(socket);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

describe('the HTTP server of a bank', () => {
  it.each([
    ['in the middle of a body', HALF],
    ['in the middle of its headers', HALF.slice(0, 20)],
    ['before its first byte', ''],
  ])('gives up a client that stops %s', async (_where, bytes) => {
    expect(await answered(bytes)).toMatch(/^HTTP\/1.1 408 /);
  });

  it('takes so many connections and no more, and survives one that cannot be accepted', async () => {
    const server = adapter.getHttpServer();
    expect(server.maxConnections).toBeLessThanOrEqual(1_000);
    server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE', syscall: 'accept' }));
    const whole = HALF.replace('100', '2').replace('Host: a', 'Host: a\r\nConnection: close');
    expect(await answered(`${whole}}`)).toMatch(/^HTTP\/1.1 200 /);
  });
});
