// The application that the test of the packages builds outside of the repository, as a user would write it. It is
// compiled to an ES module and to CommonJS. Two services in one process, each with a database of its own.
import {
  Body,
  ConflictException,
  Controller,
  Inject,
  Injectable,
  Module,
  Post,
  type DynamicModule,
  type INestApplication,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  BranchRefusedError,
  ConcordatModule,
  GlobalTransaction,
  GlobalTransactions,
  JoinGlobalTransaction,
  TransactionOperation,
  type BranchClient,
  type PostgresContext,
} from '@concordat/nestjs';

interface Change {
  readonly by: number;
}

async function changeStock(client: BranchClient, by: number): Promise<{ quantity: number } | undefined> {
  const { rows } = await client.query<{ quantity: number }>(
    'UPDATE stock SET quantity = quantity + $1 WHERE quantity + $1 >= 0 RETURNING quantity',
    [by],
  );
  return rows[0];
}

/** By operations, which are done when the transaction commits. */
@Injectable()
class StockOperations {
  @TransactionOperation('change')
  async change({ by }: Change, { client }: PostgresContext): Promise<{ quantity: number }> {
    const changed = await changeStock(client, by);
    if (!changed) throw new BranchRefusedError('SOLD_OUT', `there are not ${-by}`);
    return changed;
  }
}

/** By calls inside the transaction. */
@Injectable()
class Stock {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  @GlobalTransaction({ timeoutMs: 10_000 })
  async moveFrom(url: string, by: number): Promise<void> {
    await this.change(by);
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/change`, { method: 'POST', headers, body: JSON.stringify({ by: -by }) });
    if (!response.ok) throw new ConflictException(await response.json());
  }

  async change(by: number): Promise<void> {
    if (!(await changeStock(this.transactions.client, by))) throw new ConflictException(`there are not ${-by}`);
  }
}

@Controller()
class StockController {
  constructor(private readonly stock: Stock) {}

  @Post('move')
  move(@Body() { from, by }: Change & { readonly from: string }): Promise<void> {
    return this.stock.moveFrom(from, by);
  }

  @JoinGlobalTransaction('MANDATORY')
  @Post('change')
  change(@Body() { by }: Change): Promise<void> {
    return this.stock.change(by);
  }
}

interface Service {
  readonly participant: string;
  readonly port: number;
  readonly connectionString: string;
}

@Module({})
class ServiceModule {
  static of({ participant, connectionString }: Service, coordinator: string, others: readonly string[]): DynamicModule {
    const concordat = ConcordatModule.forRoot({
      participant,
      postgres: { connectionString },
      coordinators: [coordinator],
      propagateTo: others,
    });
    const providers = [StockOperations, Stock];
    return { module: ServiceModule, imports: [concordat], controllers: [StockController], providers };
  }
}

async function startService(service: Service, url: string, others: readonly string[]): Promise<INestApplication> {
  const app = await NestFactory.create(ServiceModule.of(service, url, others), { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  await app.listen(service.port, '127.0.0.1');
  return app;
}

async function bootstrap(coordinator: string, ...words: string[]): Promise<void> {
  const services = words.map((word): Service => {
    const [participant = '', port = '', connectionString = ''] = word.split('=');
    return { participant, port: Number(port), connectionString };
  });
  const hosts = services.map(({ port }) => `127.0.0.1:${port}`);
  for (const service of services) await startService(service, coordinator, hosts);
  process.stdout.write('started\n');
}

const [, , url = '', ...services] = process.argv;
void bootstrap(url, ...services);
