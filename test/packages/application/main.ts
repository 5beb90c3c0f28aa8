// The application that the test of the packages builds outside of the repository, as a user would write it. It is
// compiled to an ES module and to CommonJS. Two services in one process, each with a database of its own.
import { Injectable, Module, type DynamicModule, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  BranchRefusedError,
  ConcordatParticipantModule,
  ConcordatTransport,
  directBus,
  TransactionOperation,
  type PostgresContext,
} from '@concordat/nestjs';

@Injectable()
class Stock {
  @TransactionOperation('change')
  async change({ by }: { by: number }, { client }: PostgresContext): Promise<{ quantity: number }> {
    const { rows } = await client.query<{ quantity: number }>(
      'UPDATE stock SET quantity = quantity + $1 WHERE quantity + $1 >= 0 RETURNING quantity',
      [by],
    );
    const [changed] = rows;
    if (!changed) throw new BranchRefusedError('SOLD_OUT', `there are not ${-by}`);
    return changed;
  }
}

@Module({})
class ServiceModule {
  static of(participant: string, connectionString: string, coordinator: string): DynamicModule {
    const bus = directBus({ coordinators: [coordinator] });
    const participantModule = ConcordatParticipantModule.forRoot({ participant, postgres: { connectionString }, bus });
    return { module: ServiceModule, imports: [participantModule], providers: [Stock] };
  }
}

async function startService(participant: string, connectionString: string, url: string): Promise<INestApplication> {
  const service = ServiceModule.of(participant, connectionString, url);
  const app = await NestFactory.create(service, { logger: ['error', 'warn'] });
  app.connectMicroservice({ strategy: app.get(ConcordatTransport) }, { inheritAppConfig: true });
  app.enableShutdownHooks();
  await app.startAllMicroservices();
  return app.init();
}

async function bootstrap(coordinator: string, ...services: string[]): Promise<void> {
  for (const service of services) {
    const [participant = '', connectionString = ''] = service.split('=');
    await startService(participant, connectionString, coordinator);
  }
  process.stdout.write('started\n');
}

const [, , url = '', ...databases] = process.argv;
void bootstrap(url, ...databases);
