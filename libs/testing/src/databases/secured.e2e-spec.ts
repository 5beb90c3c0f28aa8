import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConcordatClient } from '@concordat/client';
import { Client } from 'pg';
import { PlannedService, type Plan } from '../../../../test/support/sdk/planned-service.js';
import { freePort } from '../../../../test/support/postgres.js';
import { startTestCoordinator, type TestCoordinator } from '../index.js';
import { startTestDatabases, type TestDatabases } from './index.js';

jest.setTimeout(120_000);

/** Each service has the roles that it needs, and no more: only the first one begins transactions. */
const ROLES = { orders: 'client,participant:orders', inventory: 'participant:inventory' } as const;
type Name = keyof typeof ROLES;
const NAMES = Object.keys(ROLES) as Name[];

let databases: TestDatabases<Name>;
let coordinator: TestCoordinator;
let directory: string;
const services: NestFastifyApplication[] = [];
const urls: Partial<Record<Name, string>> = {};
const tokens = new Map<string, string>();

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'concordat-secured-'));
  const lines = [...Object.entries(ROLES), ['watcher', 'observer'] as const].map(([name, roles]) => {
    const token = `cct_${randomBytes(32).toString('base64url')}`;
    tokens.set(name, token);
    return `sha256:${createHash('sha256').update(token).digest('hex')} ${name} ${roles}`;
  });
  const file = path.join(directory, 'tokens');
  writeFileSync(file, lines.join('\n'), { mode: 0o600 });
  databases = await startTestDatabases(NAMES);
  coordinator = await startTestCoordinator({ environment: { CONCORDAT_AUTH_TOKEN_FILE: file } });
  const inventory = await start('inventory', []);
  await start('orders', [inventory]);
  await coordinator.participantsReady(NAMES);
});

afterAll(async () => {
  await Promise.all(services.map((service) => service.close()));
  await coordinator?.stop();
  await databases?.stop();
  rmSync(directory, { recursive: true });
});

async function start(participant: Name, propagateTo: readonly string[]): Promise<string> {
  const host = `127.0.0.1:${await freePort()}`;
  const token = tokens.get(participant)!;
  const options = { participant, databaseUrl: databases.urls[participant], coordinators: [coordinator.url], token };
  const service = await NestFactory.create<NestFastifyApplication>(
    PlannedService.with({ ...options, propagateTo }),
    new FastifyAdapter(),
    { logger: ['error', 'fatal'] },
  );
  services.push(service);
  await service.listen(Number(host.split(':')[1]), '127.0.0.1');
  urls[participant] = `http://${host}`;
  return host;
}

async function words(): Promise<string[][]> {
  return Promise.all(
    NAMES.map(async (name) => {
      const client = new Client({ connectionString: databases.urls[name] });
      await client.connect();
      try {
        return (await client.query<{ word: string }>('SELECT word FROM word')).rows.map(({ word }) => word);
      } finally {
        await client.end();
      }
    }),
  );
}

async function begin(plan: Plan): Promise<number> {
  const response = await fetch(`${urls.orders}/begin`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ plan }),
  });
  await response.text();
  return response.status;
}

describe('services before a coordinator that asks who calls', () => {
  it('commit and roll back a global transaction, each with the roles that it needs', async () => {
    const call = (plan: Plan): Plan[number] => ({ call: urls.inventory!, path: 'join', plan });
    expect(await begin([{ add: 'order' }, call([{ add: 'reservation' }])])).toBe(201);
    expect(await begin([{ add: 'second' }, call([{ add: 'none' }, { fail: 'SOLD_OUT' }])])).toBe(500);
    expect(await words()).toEqual([['order'], ['reservation']]);
    await coordinator.expectNothingInDoubt({ databases });
    const observer = new ConcordatClient({ coordinators: [coordinator.url], token: tokens.get('watcher') });
    const { items } = await observer.listPage();
    expect(items.map(({ owner, outcome }) => [owner, outcome])).toEqual([
      ['token:orders', 'aborted'],
      ['token:orders', 'committed'],
    ]);
  });
});
