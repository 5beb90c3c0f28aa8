import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { page } from './page.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

describe('a page', () => {
  let server: FastifyInstance;
  beforeEach(() => void (server = fastify()));
  afterEach(() => server.close());
  const status = async (): Promise<number> => (await server.inject({ method: 'GET', url: '/' })).statusCode;

  it('is made once, however many ask for it at the same time', async () => {
    let made = 0;
    const make = async (): Promise<Buffer> => {
      made++;
      await new Promise((resolve) => setImmediate(resolve));
      return Buffer.from('text');
    };
    server.get('/', page('text/css', make));
    expect(await Promise.all([status(), status(), status()])).toEqual([200, 200, 200]);
    expect([await status(), made]).toEqual([200, 1]);
  });

  it('is made again when that has failed', async () => {
    let made = 0;
    const make = (): Promise<Buffer> =>
      ++made === 1 ? Promise.reject(new Error('too many open files')) : Promise.resolve(Buffer.from('text'));
    server.get('/', page('text/css', make));
    expect([await status(), await status(), await status(), made]).toEqual([500, 200, 200, 2]);
  });
});

describe('what everybody may read', () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await createTestNode();
  });
  afterAll(() => node.app.close());

  it.each(['/docs', '/docs/start.js', '/docs/swagger-ui.css', '/docs/swagger-ui-bundle.js', '/openapi.json'])(
    'is not sent again to who has it: %s',
    async (url) => {
      const ask = (headers: Record<string, string> = {}) => node.app.inject({ method: 'GET', url, headers });
      const { headers, statusCode } = await ask();
      const etag = String(headers['etag']);
      expect([statusCode, headers['cache-control']]).toEqual([200, 'no-cache']);
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const again = await ask({ 'if-none-match': known });
        expect([again.statusCode, again.body, again.headers['etag']]).toEqual([304, '', etag]);
      }
      expect((await ask({ 'if-none-match': '"other"' })).statusCode).toBe(200);
    },
  );
});
