import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import { Http2Client } from './testing/http2-client.js';
import {
  frame,
  headersOf,
  opening,
  ping,
  requestFields,
  resetOf,
  setting,
  settings,
  settingsAck,
} from './testing/raw-http2.js';
import { TestCertificates } from './testing/test-certificates.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const TIMEOUT_MS = 1_000;
const certificates = new TestCertificates();
const trusted = { ca: certificates.authority.certificate };
const lines: string[] = [];
let node: TestNode;
let url: string;
let beside: Http2Client;
beforeAll(async () => {
  const logger = { ...silentLogger, warn: (text: string) => void lines.push(text) };
  node = await createTestNode({ ...certificates.node(1), CONCORDAT_REQUEST_TIMEOUT_MS: String(TIMEOUT_MS) }, logger);
  url = await node.listen();
});
afterEach(async () => {
  beside = await Http2Client.connect(url, trusted);
  expect((await beside.ask('/healthz')).status).toBe(200);
  beside.destroy();
});
afterAll(async () => {
  await node.app.close();
  certificates.remove();
});

/** A session of HTTP/2 that has sent these bytes. */
async function send(...parts: Buffer[]): Promise<{ socket: TLSSocket; received: () => Buffer }> {
  const socket = connect({ ...trusted, port: Number(new URL(url).port), host: '127.0.0.1', ALPNProtocols: ['h2'] });
  socket.on('error', () => undefined);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
  await once(socket, 'secureConnect');
  socket.write(Buffer.concat([opening, ...parts]));
  return { socket, received: () => Buffer.concat(chunks) };
}

async function closed(socket: TLSSocket): Promise<void> {
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
}

const HEALTH = requestFields('GET', '/healthz');
const KEEP_OPEN = headersOf(1, requestFields('POST', '/v1/transactions'), 0x4);
const times = (count: number, part: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => part(index)));

describe('a session of HTTP/2 that floods', () => {
  it.each([
    ['pings', () => times(30_000, () => ping)],
    ['settings', () => times(30_000, () => settings(setting(0x4, 65_535)))],
    ['settings that say nothing', () => times(50_000, () => settings())],
    ['priorities', () => times(30_000, () => frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 1])))],
    ['windows', () => times(30_000, () => frame(8, 0, 0, Buffer.from([0, 0, 0, 1])))],
    ['frames of an unknown type', () => times(30_000, () => frame(77, 0, 0, Buffer.alloc(8)))],
    ['empty pieces of a body', () => times(50_000, () => frame(0, 0, 1))],
    [
      'requests that it gives up',
      () => times(600, (index) => Buffer.concat([headersOf(3 + 2 * index, HEALTH), resetOf(3 + 2 * index)])),
    ],
    [
      'requests beyond those that it may have at a time',
      () => times(2_000, (index) => headersOf(3 + 2 * index, HEALTH, 0x4)),
    ],
    ['requests that are malformed', () => times(2_000, (index) => headersOf(3 + 2 * index, [[':path', '/']]))],
  ])('%s is ended', async (_what, flood) => {
    const { socket } = await send(settingsAck, KEEP_OPEN, flood());
    await closed(socket);
  });

  it('is told of in the log, once in a while', () => {
    const told = lines.filter((line) => line.includes('HTTP/2'));
    expect(told).toEqual([expect.stringMatching(/^1 HTTP\/2 sessions ended .*: (frames|resets)$/)]);
  });
});

describe('a session of HTTP/2 that does not go on', () => {
  it('is ended, wherever it stands', async () => {
    const sessions = await Promise.all(
      [
        [],
        [settingsAck],
        [settingsAck, headersOf(1, HEALTH, 0x1)], // within the headers of its first request
        [settingsAck, headersOf(1, HEALTH).subarray(0, 20)], // and within a frame
        [settingsAck, KEEP_OPEN, headersOf(3, HEALTH, 0x1)], // beside another request
        [headersOf(1, HEALTH)], // without an answer to our settings
      ].map((parts) => send(...parts)),
    );
    await Promise.all(sessions.map(({ socket }) => closed(socket)));
  });
});
