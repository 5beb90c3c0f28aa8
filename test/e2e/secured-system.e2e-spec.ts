import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { tlsFetch } from '@concordat/foundation';
import pg from 'pg';
import { LocalSecurity } from '../../apps/lab/src/local-system/security/index.js';
import { startLocalSystem, type LocalSystem, type SystemFile } from '../support/local-system.js';
import { credit, debit } from '../support/rest.js';
import { describeSecuredBroker } from './secured-broker.js';

jest.setTimeout(180_000);

/** With both roads there are streams and a broker. */
const LINKS = process.env['CONCORDAT_NIGHTLY'] === '1' ? (['direct', 'kafka', 'both'] as const) : (['both'] as const);
/** Enough for a transfer; each process takes a second to start. */
const PARTS = ['coordinator-1', 'coordinator-2', 'coordinator-3', 'bank-a', 'bank-b', 'postgres-a', 'postgres-b'];

describe.each(LINKS)('a secured local system on the link %s', (link) => {
  let system: LocalSystem;
  let state: SystemFile;
  let security: LocalSecurity;
  let ask: typeof globalThis.fetch;

  beforeAll(async () => {
    system = await startLocalSystem({ link, isSecure: true, only: link === 'direct' ? PARTS : [...PARTS, 'kafka'] });
    state = await system.systemFile();
    security = LocalSecurity.of(system.directory, state.clusterName);
    ask = tlsFetch(() => ({ ca: readFileSync(security.certificates.caFile) }));
  });

  afterAll(() => system?.stop());

  const portOf = (name: string): number => state.processes.find((one) => one.name === name)!.ports['http']!;
  const url = (call: string): string => `https://127.0.0.1:${portOf('coordinator-1')}${call}`;
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

  async function balanceOf(bank: string, account: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${portOf(bank)}/accounts/${account}`);
    return ((await answer.json()) as { balance: number }).balance;
  }

  it('commits a transfer for a client with a JWT, whose it is from then on', async () => {
    const before = [await balanceOf('bank-a', 'acc-1'), await balanceOf('bank-b', 'acc-2')];
    const jwt = await security.credentials.jwt({ subject: 'alice', roles: ['client'] });
    const answer = await ask(url('/v1/transactions/execute?wait=ended'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(jwt) },
      body: JSON.stringify({ branches: [debit('acc-1', 30), credit('acc-2', 30)] }),
    });
    const body = (await answer.json()) as { id: string };
    expect([answer.status, body]).toMatchObject([200, { outcome: 'committed', owner: 'jwt:alice' }]);
    expect([await balanceOf('bank-a', 'acc-1'), await balanceOf('bank-b', 'acc-2')]).toEqual([
      before[0]! - 30,
      before[1]! + 30,
    ]);
    const asOther = await ask(url(`/v1/transactions/${body.id}`), {
      headers: bearer(security.credentials.token('client')),
    });
    expect(asOther.status).toBe(404);
  });

  it('refuses who says nothing, who has another role, and who speaks plain text', async () => {
    expect((await ask(url('/v1/cluster'))).status).toBe(401);
    const asObserver = { method: 'POST', headers: bearer(security.credentials.token('observer')) };
    expect((await ask(url('/v1/transactions'), asObserver)).status).toBe(403);
    const ended = await security.credentials.jwt({ subject: 'alice', roles: ['client'], seconds: -60 });
    expect((await ask(url('/v1/transactions'), { headers: bearer(ended) })).status).toBe(401);
    await expect(fetch(url('/v1/cluster').replace('https', 'http'))).rejects.toThrow('fetch failed');
    await expect(fetch(url('/healthz'))).rejects.toThrow('fetch failed'); // an authority of its own
  });

  it('keeps its secrets for its user, and its databases for TLS', async () => {
    const files = [security.directory, security.credentials.tokenFile, path.join(system.directory, 'system.json')];
    expect(files.map((file) => statSync(file).mode & 0o077)).toEqual([0, 0, 0]);
    const { databaseUrl } = state.processes.find(({ name }) => name === 'bank-a')!;
    const plain = new pg.Client({ connectionString: databaseUrl!.replace(/\?.*/, '') });
    plain.on('error', () => undefined);
    await expect(plain.connect()).rejects.toThrow('no encryption');
  });

  if (link !== 'direct') {
    describe('its broker', () => {
      const metrics = async (at: string): Promise<string> =>
        await (await ask(at, { headers: bearer(security.credentials.token('metrics')) })).text();
      const coordinators = () =>
        [1, 2, 3].map((id) => ({
          url: `https://127.0.0.1:${portOf(`coordinator-${id}`)}`,
          audit: path.join(system.directory, `logs/coordinator-${id}.audit.jsonl`),
        }));
      describeSecuredBroker(() => ({ link, system, state, security, coordinators: coordinators(), metrics }));
    });
  }
});
