import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { GlobalTransactions, kafkaBus } from '@concordat/participant';
import { GLOBAL_TEST_KEY, GlobalSystem, type FakeService } from '@concordat/participant/testing';
import { freePort } from '../../../../../test/support/postgres.js';
import { ConcordatModule } from '../concordat.module.js';
import type { ConcordatOptions } from '../options.js';

export interface ServiceParts {
  readonly controllers?: readonly Type[];
  readonly providers?: readonly Provider[];
  readonly imports?: readonly DynamicModule[];
  readonly options?: Partial<ConcordatOptions>;
  /** before it listens */
  readonly configure?: (app: NestFastifyApplication) => void | Promise<void>;
}

/** One running Nest service with a database in memory. */
export interface RunningService {
  readonly app: NestFastifyApplication;
  readonly url: string;
  readonly host: string;
  readonly database: FakeService;
  readonly transactions: GlobalTransactions;
}

/** Nest services in one process, each with a database of its own in memory, and coordinators in memory. */
export class NestServices {
  readonly system = new GlobalSystem();
  private readonly running: RunningService[] = [];

  async start(participant: string, parts: ServiceParts): Promise<RunningService> {
    const database = this.system.service(participant);
    const module = ConcordatModule.forRoot(optionsOf(participant, this.system, database, parts.options));

    @Module({
      imports: [module, ...(parts.imports ?? [])],
      controllers: [...(parts.controllers ?? [])],
      providers: [...(parts.providers ?? [])],
    })
    class ServiceModule {}

    const app = await NestFactory.create<NestFastifyApplication>(ServiceModule, new FastifyAdapter(), {
      logger: false,
    });
    await parts.configure?.(app);
    const port = await freePort();
    await app.listen(port, '127.0.0.1');
    const host = `127.0.0.1:${port}`;
    const service = { app, host, url: `http://${host}`, database, transactions: app.get(GlobalTransactions) };
    this.running.push(service);
    return service;
  }

  async stop(): Promise<void> {
    for (const { app } of this.running.splice(0).reverse()) await app.close();
  }
}

export function optionsOf(
  participant: string,
  system: GlobalSystem,
  database: FakeService,
  options: Partial<ConcordatOptions> = {},
): ConcordatOptions {
  return {
    participant,
    coordinators: ['http://127.0.0.1:1'],
    postgres: { connectionString: 'postgres://user:password@127.0.0.1:1/nobody-listens' },
    bus: kafkaBus({ brokers: ['127.0.0.1:1'], clientId: participant }),
    contextKey: GLOBAL_TEST_KEY,
    waitFor: 'decided',
    coordinatorsPort: system,
    sessionsPort: database,
    logger: system.logger,
    ...options,
  };
}
