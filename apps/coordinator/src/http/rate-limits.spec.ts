import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CALL_RULES } from '../auth/call-rules.js';
import { Secured, type Bearer } from './testing/secured.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

let secured: Secured;
beforeAll(async () => {
  secured = await Secured.create();
});
afterAll(() => secured.remove());

const NETWORK = '2001:db8:1:2';

/** A node that is asked from addresses of the test's choice. */
class Asked {
  private constructor(readonly node: TestNode) {}

  static async create(environment: Readonly<Record<string, string>>): Promise<Asked> {
    return new Asked(await createTestNode(environment));
  }

  async statuses(count: number, url: string, from: { bearer?: Bearer; address?: string; authorization?: string } = {}) {
    const { bearer, address: remoteAddress = '10.0.0.1', authorization } = from;
    const headers = { ...(bearer && secured.header(bearer)), ...(authorization !== undefined && { authorization }) };
    // at the same time, so that they are of one window
    const calls = Array.from({ length: count }, () =>
      this.node.app.inject({ method: 'GET', url, headers, remoteAddress }),
    );
    return (await Promise.all(calls)).map(({ statusCode }) => statusCode);
  }

  close(): Promise<void> {
    return this.node.app.close();
  }
}

describe('the limit of a principal', () => {
  it('counts what it may not do, too', async () => {
    const asked = await Asked.create({ ...secured.environment, CONCORDAT_RATE_LIMIT: '3' });
    const [refused, allowed, ofAnother] = await Promise.all([
      asked.statuses(4, '/v1/in-doubt', { bearer: 'alice' }),
      asked.statuses(1, '/v1/cluster', { bearer: 'alice' }),
      asked.statuses(1, '/v1/cluster', { bearer: 'bob' }),
    ]);
    expect([refused, allowed, ofAnother]).toEqual([[403, 403, 403, 429], [429], [200]]);
    await asked.close();
  });

  it('counts what it may not do by force, and what there is not', async () => {
    const asked = await Asked.create({ ...secured.environment, CONCORDAT_RATE_LIMIT: '2' });
    const forced = { method: 'DELETE', url: '/v1/locks/a?owner=w&fencingToken=1&force=true' } as const;
    const headers = secured.header('alice');
    const calls = Array.from({ length: 3 }, () => asked.node.app.inject({ ...forced, headers }));
    const statuses = (await Promise.all(calls)).map(({ statusCode }) => statusCode);
    expect(statuses).toEqual([403, 403, 429]);
    expect(await asked.statuses(3, '/v1/nothing', { bearer: 'bob' })).toEqual([404, 404, 429]);
    await asked.close();
  });
});

describe('requests without a credential', () => {
  const limited = () => Asked.create({ ...secured.environment, CONCORDAT_RATE_LIMIT_ANONYMOUS: '4' });

  it('are bounded for each address, whatever they ask for', async () => {
    const asked = await limited();
    expect(await asked.statuses(2, '/v1/cluster')).toEqual([401, 401]);
    expect(await asked.statuses(1, '/docs')).toEqual([200]);
    expect(await asked.statuses(1, '/v1/nothing')).toEqual([401]);
    const open = Object.entries(CALL_RULES).filter(([, { roles, isProbe }]) => roles === 'everyone' && !isProbe);
    expect(open.length).toBeGreaterThan(4);
    for (const [call] of open) expect([call, await asked.statuses(1, call.split(' ')[1]!)]).toEqual([call, [429]]);
    const refused = await asked.node.app.inject({ method: 'GET', url: '/metrics', remoteAddress: '10.0.0.1' });
    expect(refused.json()).toMatchObject({ code: 'RATE_LIMITED', detail: expect.stringContaining('a credential') });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(1);
    expect(await asked.statuses(1, '/v1/cluster', { address: '10.0.0.2' })).toEqual([401]);
    await asked.close();
  });

  it('do not keep out probes, nor who shows a credential', async () => {
    const asked = await limited();
    await asked.statuses(5, '/openapi.json');
    expect(await asked.statuses(20, '/healthz')).toEqual(Array(20).fill(200));
    expect(await asked.statuses(20, '/readyz')).toEqual(Array(20).fill(200));
    expect(await asked.statuses(2, '/metrics', { bearer: 'prometheus' })).toEqual([200, 200]);
    expect(await asked.statuses(2, '/v1/cluster', { authorization: 'Bearer a.b.c' })).toEqual([401, 401]);
    await asked.close();
  });

  it('are counted for a network of IPv6 together, and for IPv4 under both of its names', async () => {
    const asked = await limited();
    for (const host of ['1', '2', '3', '4']) {
      expect(await asked.statuses(1, '/v1/cluster', { address: `${NETWORK}::${host}` })).toEqual([401]);
    }
    expect(await asked.statuses(1, '/v1/cluster', { address: `${NETWORK}:ffff::5` })).toEqual([429]);
    expect(await asked.statuses(1, '/v1/cluster', { address: '2001:db8:1:3::1' })).toEqual([401]);
    await asked.statuses(4, '/v1/cluster', { address: '10.0.0.9' });
    expect(await asked.statuses(1, '/v1/cluster', { address: '::ffff:10.0.0.9' })).toEqual([429]);
    await asked.close();
  });
});

describe('refused credentials', () => {
  it('are counted for a network of IPv6 together', async () => {
    const asked = await Asked.create({ ...secured.environment, CONCORDAT_RATE_LIMIT_REFUSED: '2' });
    const statuses: number[] = [];
    for (const host of ['1', '2', '3', '4']) {
      const address = `${NETWORK}::${host}`;
      statuses.push(...(await asked.statuses(1, '/v1/cluster', { authorization: 'Bearer a.b.c', address })));
    }
    expect(statuses).toEqual([401, 401, 429, 429]);
    await asked.close();
  });
});

describe('without authentication', () => {
  it('the limit of an address counts pages, and neither probes nor another address', async () => {
    const asked = await Asked.create({ CONCORDAT_RATE_LIMIT: '2' });
    const [pages, call] = await Promise.all([
      asked.statuses(3, '/openapi.json', { address: `${NETWORK}::1` }),
      asked.statuses(1, '/v1/cluster', { address: `${NETWORK}::2` }),
    ]);
    expect([pages, call]).toEqual([[200, 200, 429], [429]]);
    expect(await asked.statuses(3, '/readyz', { address: `${NETWORK}::1` })).toEqual([200, 200, 200]);
    expect(await asked.statuses(1, '/v1/cluster')).toEqual([200]);
    await asked.close();
  });
});
