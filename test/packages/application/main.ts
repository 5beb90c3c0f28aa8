// The application that the test of the packages builds outside of the repository, as a user would write it. It is
// compiled to an ES module and to CommonJS. Two services in one process, each with a database of its own, whose pool Drizzle
// has made and Kysely uses, too, and which call each other by fetch, axios and Nest's TCP.
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
import { HttpModule, HttpService } from '@nestjs/axios';
import { NestFactory } from '@nestjs/core';
import { ClientsModule, MessagePattern, Payload, Transport, type ClientProxy } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import {
  BranchRefusedError,
  ConcordatModule,
  ContextDeserializer,
  GlobalTransaction,
  GlobalTransactions,
  JoinGlobalTransaction,
  TransactionOperation,
  type BranchClient,
  type PostgresContext,
} from '@concordat/nestjs';
import { poolOf } from '@concordat/nestjs/drizzle';
import { kyselyDatabase } from '@concordat/nestjs/kysely';
import { openTelemetry } from '@concordat/nestjs/opentelemetry';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect } from 'kysely';

interface Change {
  readonly by: number;
}

interface Move extends Change {
  /** URL of the other service */
  readonly from: string;
  readonly via: 'fetch' | 'axios' | 'tcp';
}

const OTHER = 'the other service, by TCP';

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
  constructor(
    @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
    @Inject(HttpService) private readonly http: HttpService,
    @Inject(OTHER) private readonly other: ClientProxy,
  ) {}

  @GlobalTransaction({ timeoutMs: 10_000 })
  async moveFrom({ from, by, via }: Move): Promise<void> {
    await this.change(by);
    try {
      await this.askOther(via, `${from}/change`, { by: -by });
    } catch (cause) {
      throw new ConflictException('the other service refused', { cause });
    }
  }

  async change(by: number): Promise<void> {
    if (!(await changeStock(this.transactions.client, by))) throw new ConflictException(`there are not ${-by}`);
  }

  private async askOther(via: Move['via'], url: string, change: Change): Promise<unknown> {
    if (via === 'axios') return this.http.axiosRef.post(url, change);
    if (via === 'tcp') return lastValueFrom(this.other.send('change', change));
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(change) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    return undefined;
  }
}

@Controller()
class StockController {
  constructor(private readonly stock: Stock) {}

  @Post('move')
  move(@Body() move: Move): Promise<void> {
    return this.stock.moveFrom(move);
  }

  @JoinGlobalTransaction('MANDATORY')
  @Post('change')
  change(@Body() { by }: Change): Promise<void> {
    return this.stock.change(by);
  }

  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern('change')
  async changeByPacket(@Payload() { by }: Change): Promise<string> {
    await this.stock.change(by);
    return 'changed';
  }
}

interface Service {
  readonly participant: string;
  readonly port: number;
  readonly tcpPort: number;
  readonly connectionString: string;
}

const hostsOf = ({ port, tcpPort }: Service): string[] => [`127.0.0.1:${port}`, `127.0.0.1:${tcpPort}`];

@Module({})
class ServiceModule {
  static of(service: Service, other: Service, coordinator: string): DynamicModule {
    const { participant, connectionString } = service;
    const pool = poolOf(drizzle(connectionString));
    const concordat = ConcordatModule.forRoot({
      participant,
      postgres: pool,
      joining: [kyselyDatabase(new Kysely({ dialect: new PostgresDialect({ pool }) }))],
      coordinators: [coordinator],
      tracing: openTelemetry(),
      propagateTo: hostsOf(other),
      audiences: hostsOf(service), // over TCP no call says how it was addressed
    });
    const options = { host: '127.0.0.1', port: other.tcpPort };
    const clients = ClientsModule.register([{ name: OTHER, transport: Transport.TCP, options }]);
    const imports = [concordat, HttpModule, clients];
    return { module: ServiceModule, imports, controllers: [StockController], providers: [StockOperations, Stock] };
  }
}

async function startService(service: Service, module: DynamicModule, isNest11: boolean): Promise<INestApplication> {
  const app = await NestFactory.create(module, { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  const address = { host: '127.0.0.1', port: service.tcpPort };
  const options = isNest11 ? { ...address, deserializer: new ContextDeserializer() } : address;
  app.connectMicroservice({ transport: Transport.TCP, options });
  await app.startAllMicroservices();
  await app.listen(service.port, '127.0.0.1');
  return app;
}

async function bootstrap(coordinator: string, nest: string, ...words: string[]): Promise<void> {
  const services = words.map((word): Service => {
    const [participant = '', port = '', tcpPort = '', connectionString = ''] = word.split('=');
    return { participant, port: Number(port), tcpPort: Number(tcpPort), connectionString };
  });
  const [one, two] = services as [Service, Service];
  await startService(one, ServiceModule.of(one, two, coordinator), nest === '11');
  await startService(two, ServiceModule.of(two, one, coordinator), nest === '11');
  process.stdout.write('started\n');
}

const [, , url = '', nest = '', ...services] = process.argv;
void bootstrap(url, nest, ...services);
