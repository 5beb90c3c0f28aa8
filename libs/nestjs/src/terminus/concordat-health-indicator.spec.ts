import { Controller, Get, Inject, Module, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { afterEach, describe, expect, it } from '@jest/globals';
import { kafkaBus, reasonsNotReady, type ParticipantHealth } from '@concordat/participant';
import { ConcordatParticipant } from '../concordat-participant.service.js';
import { ConcordatModule, getParticipantToken } from '../global/index.js';
import { ConcordatHealthIndicator } from './concordat-health-indicator.js';

const READY: ParticipantHealth = {
  ready: true,
  busConnected: true,
  databaseReachable: true,
  consuming: true,
  working: true,
  oldestWorkMs: 0,
  abstainsBefore: null,
};

@Controller('readyz')
class HealthController {
  constructor(
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(ConcordatHealthIndicator) private readonly concordat: ConcordatHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  ready(): Promise<unknown> {
    return this.health.check([() => this.concordat.isHealthy()]);
  }
}

let app: INestApplication | undefined;
afterEach(() => app?.close());

interface Answer {
  readonly status: number;
  readonly details: { readonly concordat: { readonly status: string; readonly message?: string } };
}

async function askReadiness(imports: readonly object[]): Promise<Answer> {
  @Module({
    imports: [TerminusModule, ...(imports as never[])],
    controllers: [HealthController],
    providers: [ConcordatHealthIndicator],
  })
  class ServiceModule {}

  const service = await NestFactory.create<NestFastifyApplication>(ServiceModule, new FastifyAdapter(), {
    logger: false,
  });
  app = service;
  await service.init();
  await service.getHttpAdapter().getInstance().ready();
  const { statusCode, payload } = await service.inject('/readyz');
  const { details } = JSON.parse(payload) as Pick<Answer, 'details'>;
  return { status: statusCode, details };
}

@Module({})
class ParticipantModule {}

const withHealth = (health: ParticipantHealth): object => ({
  module: ParticipantModule,
  global: true,
  providers: [{ provide: ConcordatParticipant, useValue: { health: async () => health } }],
  exports: [ConcordatParticipant],
});

describe('the health indicator of terminus', () => {
  it('is up while the participant consumes', async () => {
    const { status, details } = await askReadiness([withHealth(READY)]);
    expect(status).toBe(200);
    const { ready: _ready, ...rest } = READY;
    expect(details.concordat).toEqual({ status: 'up', ...rest });
  });

  it.each<[what: string, change: Partial<ParticipantHealth>, message: string]>([
    ['it does not consume', { consuming: false }, 'nothing is consumed'],
    ['the bus is not connected', { busConnected: false, consuming: false }, 'cannot be reached'],
    [
      'an obstacle says why',
      { busConnected: false, consuming: false, obstacle: 'create the topic' },
      'create the topic',
    ],
    ['the database does not answer', { databaseReachable: false }, 'the database does not answer'],
    ['work hangs', { working: false, oldestWorkMs: 90_000 }, 'running for 90 s'],
  ])('is down, with the reason, when %s', async (_what, change, message) => {
    const { status, details } = await askReadiness([withHealth({ ...READY, ready: false, ...change })]);
    expect(status).toBe(503);
    expect(details.concordat).toMatchObject({ status: 'down', message: expect.stringContaining(message) });
  });

  it('is down in a service whose database and broker are not there', async () => {
    const module = ConcordatModule.forRoot({
      participant: 'orders',
      coordinators: ['http://127.0.0.1:1'],
      postgres: { connectionString: 'postgres://user:password@127.0.0.1:1/nobody-listens' },
      bus: kafkaBus({ brokers: ['127.0.0.1:1'], clientId: 'orders' }),
    });
    const { status, details } = await askReadiness([module]);
    expect(status).toBe(503);
    expect(details.concordat).toMatchObject({ status: 'down', consuming: false, databaseReachable: false });
  });
});

describe('the health of one of several participants', () => {
  const healthOf = (health: ParticipantHealth): { health: () => Promise<ParticipantHealth> } => ({
    health: async () => health,
  });

  @Controller('readyz')
  class BothController {
    constructor(
      @Inject(HealthCheckService) private readonly health: HealthCheckService,
      @Inject(ConcordatHealthIndicator) private readonly concordat: ConcordatHealthIndicator,
    ) {}

    @Get()
    @HealthCheck()
    ready(): Promise<unknown> {
      return this.health.check([
        () => this.concordat.isHealthy('shop'),
        () => this.concordat.isHealthy('billing', { connectionName: 'billing' }),
      ]);
    }

    @Get('unknown')
    unknown(): Promise<unknown> {
      return this.concordat.isHealthy('x', { connectionName: 'nobody' }).catch((error: Error) => error.message);
    }
  }

  it('is asked for by its connection; another name is an error that says what to import', async () => {
    @Module({
      imports: [TerminusModule.forRoot({ logger: false })],
      controllers: [BothController],
      providers: [
        ConcordatHealthIndicator,
        { provide: ConcordatParticipant, useValue: healthOf(READY) },
        { provide: getParticipantToken('billing'), useValue: healthOf({ ...READY, ready: false, consuming: false }) },
      ],
    })
    class ServiceModule {}
    const service = await NestFactory.create<NestFastifyApplication>(ServiceModule, new FastifyAdapter(), {
      logger: false,
    });
    app = service;
    await service.init();
    const answer = await service.inject('/readyz');
    expect(answer.json<unknown>()).toMatchObject({ details: { shop: { status: 'up' }, billing: { status: 'down' } } });
    expect((await service.inject('/readyz/unknown')).payload).toContain('there is no ConcordatModule named "nobody"');
  });
});

describe('the reasons of a participant that is not ready', () => {
  it('are none when it is', () => expect(reasonsNotReady(READY)).toEqual([]));

  it('are all of them, each once', () => {
    const health = { ...READY, ready: false, busConnected: false, consuming: false, databaseReachable: false };
    expect(reasonsNotReady(health)).toHaveLength(2);
  });
});
