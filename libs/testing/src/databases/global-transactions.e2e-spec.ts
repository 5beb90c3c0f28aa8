import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { CONTEXT_HEADER, join, startParticipant, type RunningParticipant } from '@concordat/participant';
import { Client, Pool } from 'pg';
import { PlannedService, type Plan, type PlannedServiceOptions } from '../../../../test/support/sdk/planned-service.js';
import { freePort } from '../../../../test/support/postgres.js';
import { startTestCoordinator, type CrashPoint, type TestCoordinator } from '../index.js';
import { startTestDatabases, type TestDatabases } from './index.js';

jest.setTimeout(120_000);

const NAMES = ['orders', 'inventory'] as const;
type Name = (typeof NAMES)[number];

/** of services without a framework */
const PLAIN_NAMES = ['billing', 'payments'] as const;

let databases: TestDatabases<Name | (typeof PLAIN_NAMES)[number]>;
let coordinator: TestCoordinator;
const services: NestFastifyApplication[] = [];
const urls: Partial<Record<Name, string>> = {};

beforeAll(async () => {
  databases = await startTestDatabases([...NAMES, ...PLAIN_NAMES]);
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

describe('services without a framework', () => {
  const running: RunningParticipant[] = [];
  afterEach(() => Promise.all(running.splice(0).map((one) => one.stop())));

  it('begin, join and serve operations, and give their pools and fetch back when they stop', async () => {
    const [bills, payments] = PLAIN_NAMES.map((name) => new Pool({ connectionString: databases.urls[name] }));
    for (const pool of [bills!, payments!]) await pool.query('CREATE TABLE entry (amount integer CHECK (amount > 0))');
    const { fetch: original } = globalThis;
    const common = { coordinators: [coordinator.url] };
    const callee = await startParticipant({
      ...common,
      participant: 'payments',
      postgres: payments!,
      operations: {
        pay: (payload, { client }) => client.query('INSERT INTO entry VALUES ($1)', [payload]).then(() => 'paid'),
      },
    });
    running.push(callee);
    const server = createServer((request, response) => {
      const { [CONTEXT_HEADER]: context, host = '' } = request.headers;
      join(
        callee.transactions,
        { context, audiences: ['payments', host] },
        { propagation: 'MANDATORY' },
        () => payments!.query('INSERT INTO entry VALUES ($1)', [Number(request.url!.slice(1))]),
        (headers) => Object.entries(headers).forEach(([name, value]) => response.setHeader(name, value)),
      ).then(
        () => response.end(),
        (error: Error) => response.writeHead(409).end(error.message),
      );
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const caller = await startParticipant({ ...common, participant: 'billing', postgres: bills!, propagateTo: [host] });
    running.push(caller);
    const bill = (amount: number): Promise<void> =>
      caller.transactions.run({}, async () => {
        await bills!.query('INSERT INTO entry VALUES (1)');
        const response = await fetch(`http://${host}/${amount}`, { method: 'POST' });
        if (!response.ok) throw new Error(await response.text());
      });
    await bill(7);
    await expect(bill(-7)).rejects.toThrow('violates check constraint');
    expect((await fetch(`http://${host}/5`)).status).toBe(409); // without a transaction
    const executed = await fetch(`${coordinator.url}/v1/transactions/execute`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ branches: [{ participant: 'payments', operation: 'pay', payload: 8 }] }),
    });
    expect(await executed.json()).toMatchObject({ branches: [{ operations: [{ result: 'paid' }] }] });
    expect([(await caller.health()).ready, (await callee.health()).ready]).toEqual([true, true]);

    await Promise.all(running.splice(0).map((one) => one.stop()));
    server.close();
    server.closeAllConnections();
    expect(globalThis.fetch).toBe(original);
    const amounts = await Promise.all([bills!, payments!].map((pool) => pool.query('SELECT amount FROM entry')));
    expect(amounts.map(({ rows }) => rows as unknown)).toEqual([[{ amount: 1 }], [{ amount: 7 }, { amount: 8 }]]);
    await Promise.all([bills!.end(), payments!.end()]);
  });

  it.each<[string, object, string]>([
    ['without coordinators', { coordinators: [] }, 'startParticipant: coordinators is empty'],
    ['without a database', { postgres: undefined }, 'startParticipant: postgres is missing'],
  ])('do not start %s', async (_what, options, sentence) => {
    const right = {
      participant: 'plain',
      coordinators: [coordinator.url],
      postgres: { connectionString: 'postgres://' },
    };
    await expect(startParticipant({ ...right, ...options })).rejects.toThrow(sentence);
  });

  it('do not start in the database of another participant, and stop by themselves', async () => {
    const connectionString = databases.urls.orders;
    const options = { participant: 'thief', coordinators: [coordinator.url], postgres: { connectionString } };
    await expect(startParticipant(options)).rejects.toMatchObject({ code: 'DATABASE_OF_ANOTHER_PARTICIPANT' });
  });
});
