import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { livenessProblem, reachableHost } from './liveness.js';

const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));

async function portAnswering(status: number): Promise<number> {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/healthz' ? status : 404).end();
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '0.0.0.0', done));
  return (server.address() as AddressInfo).port;
}

describe('the liveness of a service', () => {
  it.each([
    ['0.0.0.0', '127.0.0.1'],
    ['::', '[::1]'],
    ['::1', '[::1]'],
    ['fd00::7', '[fd00::7]'],
    ['10.0.0.7', '10.0.0.7'],
    ['coordinator-1', 'coordinator-1'],
  ])('one that listens at %s is reached at %s', (listens, reached) => expect(reachableHost(listens)).toBe(reached));

  it('has no problem when it answers, also where it listens on all addresses', async () => {
    expect(await livenessProblem({ host: '0.0.0.0', port: await portAnswering(200) })).toBeUndefined();
  });

  it('says what was answered', async () => {
    const port = await portAnswering(500);
    expect(await livenessProblem({ host: '127.0.0.1', port })).toContain(`:${port}/healthz answered with status 500.`);
  });

  it('says that nothing answers', async () => {
    const port = await portAnswering(200);
    await new Promise((done) => servers.pop()!.close(done));
    expect(await livenessProblem({ host: '127.0.0.1', port })).toMatch(/does not answer: .*ECONNREFUSED/);
  });
});
