import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestNode, type TestNode } from './testing/test-node.js';

const HALF =
  'POST /v1/transactions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{';
const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';

let node: TestNode;
let port: number;
const sockets: Socket[] = [];
beforeEach(async () => {
  node = await createTestNode({ CONCORDAT_REQUEST_TIMEOUT_MS: '400', CONCORDAT_MAX_CONNECTIONS: '16' });
  port = Number(new URL(await node.listen()).port);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await node.app.close();
});

/** A connection over which these bytes were sent. */
async function send(bytes: string): Promise<{ readonly socket: Socket; readonly text: () => string }> {
  const socket = connect({ port, host: '127.0.0.1' });
  sockets.push(socket);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  if (bytes !== '') socket.write(bytes);
  return { socket, text: () => text };
}

/** Also of a connection that was reset. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => (socket.destroyed ? resolve(undefined) : socket.once('close', resolve)));
}

describe('a client that does not go on', () => {
  it.each([
    ['in the middle of a body', HALF],
    [
      'in the middle of a chunked body',
      HALF.replace('Content-Length: 100', 'Transfer-Encoding: chunked').replace('{', '5\r\n{'),
    ],
    ['in the middle of its headers', HALF.slice(0, 40)],
    ['before its first byte', ''],
  ])('%s is answered 408 and given up', async (_where, bytes) => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => send(bytes)));
    await Promise.all(clients.map(({ socket }) => closed(socket)));
    for (const { text } of clients) expect(text()).toMatch(/^HTTP\/1.1 408 .*REQUEST_TIMEOUT/s);
    expect(node.transactions.calls).toEqual([]);
  });
});

describe('the limit of connections', () => {
  it('refuses what is beyond it, and idle connections make room', async () => {
    const idle = await Promise.all(Array.from({ length: 16 }, () => send(HEALTH)));
    for (const { socket, text } of idle) if (text() === '') await once(socket, 'data');
    const refused = await send(HEALTH);
    await closed(refused.socket);
    expect(refused.text()).toBe('');
    await Promise.all(idle.map(({ socket }) => closed(socket)));
    const served = await send(HEALTH);
    await once(served.socket, 'data');
    expect(served.text()).toContain('"live"');
  });

  it('is not moved by requests that are under way', async () => {
    const halves = await Promise.all(Array.from({ length: 16 }, () => send(HALF)));
    const refused = await send(HEALTH);
    await closed(refused.socket);
    expect(halves.every(({ socket }) => !socket.destroyed)).toBe(true);
  });
});

describe('a client that sends on behind what is no valid HTTP', () => {
  it('is waited for once, however much it sends', async () => {
    const responses: ServerResponse[] = [];
    node.app.getHttpServer().on('request', (_request: IncomingMessage, response: ServerResponse) => {
      responses.push(response);
    });
    const { socket, text } = await send('GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n');
    while (!text().includes('retry')) await once(socket, 'data');
    const before = responses[0]!.listenerCount('close');
    for (let count = 0; count < 100; count++) {
      await new Promise((resolve) => socket.write('@'.repeat(1_000), resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toContain('live');
    expect(responses[0]!.listenerCount('close')).toBeLessThanOrEqual(before + 1);
  });
});
