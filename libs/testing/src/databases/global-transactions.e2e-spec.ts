import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Client } from 'pg';
import { PlannedService, type Plan, type PlannedServiceOptions } from '../../../../test/support/sdk/planned-service.js';
import { freePort } from '../../../../test/support/postgres.js';
import { startTestCoordinator, type CrashPoint, type TestCoordinator } from '../index.js';
import { startTestDatabases, type TestDatabases } from './index.js';

jest.setTimeout(120_000);

const NAMES = ['orders', 'inventory'] as const;
type Name = (typeof NAMES)[number];

let databases: TestDatabases<Name>;
let coordinator: TestCoordinator;
const services: NestFastifyApplication[] = [];
const urls: Partial<Record<Name, string>> = {};

beforeAll(async () => {
  databases = await startTestDatabases(NAMES);
  coordinator = await startTestCoordinator();
  const inventory = await start('inventory', []);
  await start('orders', [inventory]);
  await coordinator.participantsReady(NAMES);
});

afterAll(async () => {
  await Promise.all(services.map((service) => service.close()));
  await coordinator?.stop();
  await databases?.stop();
});

afterEach(async () => {
  await coordinator.reset();
  await coordinator.expectNothingInDoubt({ databases });
  for (const name of NAMES) await sql(name, 'TRUNCATE word');
});

/** An ordinary service with `ConcordatModule`. @returns its host and port */
async function start(participant: Name, propagateTo: PlannedServiceOptions['propagateTo']): Promise<string> {
  const host = `127.0.0.1:${await freePort()}`;
  const options = { participant, databaseUrl: databases.urls[participant], coordinators: [coordinator.url] };
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

async function sql<Row extends object>(name: Name, text: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: databases.urls[name] });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

const words = (): Promise<string[][]> =>
  Promise.all(NAMES.map(async (name) => (await sql<{ word: string }>(name, 'SELECT word FROM word')).map(({ word }) => word))); // prettier-ignore

const order = (...rest: Plan): Plan => [
  { add: 'order' },
  { call: urls.inventory!, path: 'join', plan: [{ add: 'reservation' }] },
  ...rest,
];

async function begin(plan: Plan, route = 'begin'): Promise<{ status: number; code?: string; message?: string }> {
  const response = await fetch(`${urls.orders}/${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ plan }),
  });
  const text = await response.text();
  return { status: response.status, ...(text === '' ? {} : (JSON.parse(text) as object)) };
}

const EVERYWHERE = [['order'], ['reservation']];
const NOWHERE = [[], []];

describe('services with @GlobalTransaction', () => {
  it('commit without faults', async () => {
    expect(await begin(order())).toEqual({ status: 201 });
    expect(await words()).toEqual(EVERYWHERE);
  });

  it('abortNext: the method gets TRANSACTION_ABORTED with the reason', async () => {
    coordinator.abortNext({ participant: 'inventory', participantCode: 'SOLD_OUT', detail: 'none left' });
    const { status, code, message } = await begin(order());
    expect([status, code]).toEqual([500, 'TRANSACTION_ABORTED']);
    expect(message).toContain('by inventory (PARTICIPANT_REFUSED, SOLD_OUT): none left');
    expect(await words()).toEqual(NOWHERE);
  });

  it('loseReply: a vote that never comes is an abort at the deadline, one that comes later is none', async () => {
    const loss = coordinator.loseReply('inventory', 'prepare');
    expect((await begin(order(), 'begin-short')).code).toBe('TRANSACTION_ABORTED');
    expect(loss.hits).toBeGreaterThan(0);
    expect(await words()).toEqual(NOWHERE);
    const one = coordinator.loseReply('inventory', 'prepare', { times: 1 });
    expect((await begin(order())).status).toBe(201);
    expect(one.hits).toBe(1);
  });

  it('delay and duplicate change nothing', async () => {
    coordinator.delay('inventory', [20, 60]);
    coordinator.duplicate('orders');
    expect((await begin(order())).status).toBe(201);
    expect(await words()).toEqual(EVERYWHERE);
  });

  it('failOver between a call and the commit: the open transaction goes on', async () => {
    const { term } = coordinator;
    const server = createServer(
      (_request, response) =>
        void coordinator.failOver().then(
          () => response.end(),
          () => response.destroy(),
        ),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect((await begin(order({ tell: `http://127.0.0.1:${port}/` }))).status).toBe(201);
    server.close();
    server.closeAllConnections();
    expect(coordinator.term).toBeGreaterThan(term);
    expect(await words()).toEqual(EVERYWHERE);
  });

  it.each<['crashBefore' | 'crashAfter', CrashPoint]>(
    (['begin', 'enlist', 'commit-requested', 'prepare', 'commit', 'decision', 'end'] as const).flatMap((point) => [
      ['crashBefore', point],
      ['crashAfter', point],
    ]),
  )('%s(%j): everywhere or nowhere, and the method was told the truth', async (method, point) => {
    const crash = coordinator[method](point);
    const { status } = await begin(order());
    await crash.happened;
    await coordinator.recover();
    await coordinator.expectNothingInDoubt({ databases });
    expect(await words()).toEqual(status === 201 ? EVERYWHERE : NOWHERE);
  });
});
