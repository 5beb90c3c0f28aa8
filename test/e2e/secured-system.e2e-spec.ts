import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { tlsFetch } from '@concordat/foundation';
import pg from 'pg';
import { LocalSecurity } from '../../apps/lab/src/local-system/security/index.js';
import { IS_NIGHTLY } from '../support/nightly.js';
import { startLocalSystem, type LocalSystem, type SystemFile } from '../support/local-system.js';
import { credit, debit } from '../support/rest.js';
import { describeCanaries } from './secret-canaries.js';
import { describeSecuredBroker } from './secured-broker.js';
import { SecretsInFiles } from './secrets-in-files.js';

jest.setTimeout(180_000);

/** With both roads there are streams and a broker. */
const LINKS = IS_NIGHTLY ? (['direct', 'kafka', 'both'] as const) : (['both'] as const);
/** What each scenario checks, beside the books; with Kafka the messages, too. */
const SCENARIOS = {
  intruder: {
    checks: [
      'at REST, somebody without a credential',
      'at REST, somebody with the stolen token of an operator',
      'at the port for nodes, a node that is none',
      'at REST, somebody with the stolen token of a client',
      'the list of transactions shows the stolen token only its own',
      'the transfer still waits, as before',
      'and ends as its client wants',
      'at the service inventory of the shop, a caller that is none',
      'refused contexts are counted',
      'everything that was refused is counted',
      'everything that coordinators have refused is in their audits',
    ],
    onDirect: ['at the port for direct streams, a participant that is none'],
    onKafka: ['forged and repeated messages'],
  },
  'rotate-certificates': {
    checks: [
      'no client was refused meanwhile',
      'no transfer has failed',
      'no checkout has failed',
      'no call between services was refused',
      'between services, somebody who has kept the old key',
      'no message became a dead letter',
      'somebody who has kept what is retired',
    ],
    onDirect: [],
    onKafka: ['messages by retired keys'],
  },
} as const;
const BOOKS = [
  'every client was answered',
  'pg_prepared_xacts empty',
  'in-doubt list empty',
  'sum of money',
  'per-account replay',
  'all nodes agree with what clients were told',
];
const SCENARIO_TIMEOUT_MS = 250_000;

describe.each(LINKS)('a secured local system on the link %s', (link) => {
  let system: LocalSystem;
  let state: SystemFile;
  let security: LocalSecurity;
  let ask: typeof globalThis.fetch;
  const secrets = new SecretsInFiles();

  beforeAll(async () => {
    system = await startLocalSystem({ link, isSecure: true });
    state = await system.systemFile();
    security = LocalSecurity.of(system.directory, state.clusterName);
    ask = tlsFetch(() => ({ ca: readFileSync(security.certificates.caFile) }));
    secrets.collect(security.directory); // a scenario replaces many of them
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

  // the last ones: they replace the authority and every credential
  it.each(['intruder', 'rotate-certificates'] as const)(
    'stands the scenario %s',
    async (name) => {
      const { checks, onDirect, onKafka } = SCENARIOS[name];
      const expected = [...checks, ...(link === 'kafka' ? [] : onDirect), ...(link === 'direct' ? [] : onKafka)];
      expect((await system.scenario(name)).toSorted()).toEqual([...expected, ...BOOKS].toSorted());
    },
    SCENARIO_TIMEOUT_MS,
  );

  describe('after all of that', () => {
    describeCanaries(() => ({ link, system, state, security, secrets, ask }));
  });
});
