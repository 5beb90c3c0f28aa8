import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ConcordatClient } from '@concordat/client';
import { createLeanFetch } from './lean-fetch.js';

const ID = '01890000-0000-7000-8000-000000000001';
const NOT_FOUND = {
  type: 'urn:x',
  title: 'not found',
  status: 404,
  code: 'TRANSACTION_NOT_FOUND',
  detail: 'there is none',
  instance: '/',
};

let server: Server;
let url: string;
let listener: RequestListener;
let connections: number;

beforeEach(async () => {
  connections = 0;
  listener = (_request, response) => response.end('answered');
  server = createServer((request, response) => listener(request, response));
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.close();
  server.closeAllConnections();
});

describe('the lean fetch', () => {
  it('sends method, headers and text, and reads status, headers and text', async () => {
    const seen: unknown[] = [];
    listener = (request, response) => {
      request.setEncoding('utf8');
      request.on('data', (text: string) => seen.push(request.method, request.headers['x-one'], text));
      request.on('end', () => response.writeHead(201, { 'X-Two': '2' }).end('ö'));
    };
    const headers = new Headers({ 'x-one': '1' });
    const response = await createLeanFetch()(url, { method: 'POST', headers, body: 'ä' });
    expect([response.ok, response.status, response.headers.get('x-two'), await response.text()]).toEqual([true, 201, '2', 'ö']); // prettier-ignore
    expect(response.headers.get('absent')).toBeNull();
    expect(seen).toEqual(['POST', '1', 'ä']);
  });

  it('keeps its connection', async () => {
    const fetch = createLeanFetch();
    for (let call = 0; call < 5; call++) expect(await (await fetch(url)).text()).toBe('answered');
    expect(connections).toBe(1);
  });

  it('says by the code of the system that nothing was sent', async () => {
    await expect(createLeanFetch()('http://127.0.0.1:1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('rejects when the connection breaks, before the answer and within it', async () => {
    listener = (_request, response) => void response.destroy();
    await expect(createLeanFetch()(url)).rejects.toMatchObject({ code: 'ECONNRESET' });
    listener = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.destroy());
    };
    await expect(createLeanFetch()(url)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('ends with the reason of its signal, before and after it was sent', async () => {
    const reason = new Error('enough');
    await expect(createLeanFetch()(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    listener = () => controller.abort(reason);
    await expect(createLeanFetch()(url, { signal: controller.signal })).rejects.toBe(reason);
  });

  it('serves the client of the coordinators', async () => {
    const client = new ConcordatClient({ coordinators: [url], fetch: createLeanFetch() });
    listener = (_request, response) => response.writeHead(204).end();
    await client.locks.calls.release('one', { owner: 'me', fencingToken: 1 });
    listener = (_request, response) =>
      response.writeHead(404, { 'content-type': 'application/problem+json' }).end(JSON.stringify(NOT_FOUND));
    await expect(client.get(ID)).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
  });
});
