import { Controller, Get, Inject, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startTestCoordinator, type TestCoordinator } from '@concordat/testing';
import { freePort, startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { ConcordatModule } from '../global/index.js';
import { TransactionOperation } from '../transaction-operation.decorator.js';
import { ConcordatHealthIndicator } from './concordat-health-indicator.js';

jest.setTimeout(120_000);

const WAIT = { timeoutMs: 60_000, intervalMs: 50 };

@Controller('readyz')
class HealthController {
  constructor(
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(ConcordatHealthIndicator) private readonly concordat: ConcordatHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  ready(): Promise<unknown> {
    return this.health.check([() => this.concordat.isHealthy('transactions')]);
  }
}

@Injectable()
class Orders {
  @TransactionOperation('create')
  create(): { done: true } {
    return { done: true };
  }
}

let server: TestPostgres;
let coordinator: TestCoordinator;
let app: NestFastifyApplication;
let url: string;
const logged: string[] = [];

beforeAll(async () => {
  server = await startTestPostgres();
  coordinator = await startTestCoordinator();
  const note = (line: unknown): void => void logged.push(String(line));
  const silent = (): void => undefined;

  @Module({
    imports: [
      TerminusModule.forRoot({ logger: false }),
      ConcordatModule.forRoot({
        participant: 'orders',
        cluster: coordinator.cluster,
        coordinators: [coordinator.url],
        postgres: { connectionString: server.url },
        logger: { debug: silent, info: note, warn: note, error: note },
      }),
    ],
    controllers: [HealthController],
    providers: [ConcordatHealthIndicator, Orders],
  })
  class ServiceModule {}

  app = await NestFactory.create<NestFastifyApplication>(ServiceModule, new FastifyAdapter(), { logger: false });
  const port = await freePort();
  await app.listen(port, '127.0.0.1');
  url = `http://127.0.0.1:${port}/readyz`;
});

afterAll(async () => {
  await app?.close();
  await coordinator?.stop();
  await server?.stop();
});

interface Answer {
  readonly details: { readonly transactions: { readonly status: string; readonly message?: string } };
}

async function ask(): Promise<{ status: number; indicator: Answer['details']['transactions'] }> {
  const response = await fetch(url);
  const { details } = (await response.json()) as Answer;
  return { status: response.status, indicator: details.transactions };
}

const becomes = (status: number): Promise<unknown> =>
  waitFor(`the service answers ${status}`, () => ask().then((answer) => answer.status === status), WAIT);

describe('the health of a service with terminus', () => {
  it('becomes good when the service consumes: work that is sent then is done', async () => {
    await becomes(200);
    expect((await ask()).indicator).toMatchObject({ status: 'up', consuming: true, databaseReachable: true });
    const execute = (): Promise<number> =>
      fetch(`${coordinator.url}/v1/transactions/execute?wait=ended`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ branches: [{ participant: 'orders', operation: 'create', payload: {} }] }),
      }).then(({ status }) => status);
    await coordinator.participantsReady(['orders']);
    expect(await execute()).toBe(200);
  });

  it('checks the coordinator at the start, and finds nothing against it', () => {
    expect(logged.filter((line) => line.includes('check '))).toEqual([]);
  });

  it('is bad while no coordinator answers, and good again afterwards', async () => {
    coordinator.crash();
    await becomes(503);
    expect((await ask()).indicator).toMatchObject({ status: 'down', message: expect.stringMatching(/.{20,}/) });
    await coordinator.recover();
    await becomes(200);
  });

  it('is bad without the database', async () => {
    await server.stop();
    await becomes(503);
    expect((await ask()).indicator).toMatchObject({
      status: 'down',
      databaseReachable: false,
      message: expect.stringContaining('the database does not answer'),
    });
  });
});
