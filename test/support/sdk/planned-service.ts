import {
  Body,
  Catch,
  Controller,
  Get,
  HttpCode,
  Inject,
  Injectable,
  Module,
  Post,
  UseFilters,
  type ArgumentsHost,
  type DynamicModule,
  type ExceptionFilter,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { HttpModule, HttpService } from '@nestjs/axios';
import { HttpAdapterHost } from '@nestjs/core';
import {
  ClientKafka,
  ClientProxyFactory,
  EventPattern,
  MessagePattern,
  Payload,
  Transport,
  type ClientProxy,
} from '@nestjs/microservices';
import { Pool } from 'pg';
import { lastValueFrom } from 'rxjs';
import {
  ConcordatModule,
  ConcordatParticipant,
  GlobalTransaction,
  GlobalTransactions,
  JoinGlobalTransaction,
  type ConcordatOptions,
} from '@concordat/nestjs';
import { PlainKafka } from './plain-kafka.js';

/** What a planned service does, one step after the other. */
export type Step =
  | { readonly add: string }
  | { readonly sql: string }
  /** calls another planned service, which carries the plan out */
  | { readonly call: string; readonly path: string; readonly via?: 'fetch' | 'axios'; readonly plan: Plan }
  /** the same by a Nest client: TCP by `host:port`, Kafka by topic */
  | { readonly send: string; readonly pattern: string; readonly plan: Plan }
  /** a message that nobody answers, by Nest's client to the topic `announced`, or by plain kafkajs to `produced` */
  | { readonly announce: Announcement; readonly plan: Plan }
  /** goes on when its steps fail */
  | { readonly attempt: Plan }
  /** in a transaction of its own, with `REQUIRES_NEW` */
  | { readonly anew: Plan }
  | { readonly fail: string }
  /** a statement whose `await` is missing, after the method has returned */
  | { readonly forget: string }
  /** calls the test, which answers when the service may go on */
  | { readonly tell: string }
  | { readonly waitUntilDeadline: true }
  | { readonly hook: string }
  | { readonly die: true };
export type Plan = readonly Step[];
export type Announcement = 'announced' | 'produced';

class PlannedFailure extends Error {
  readonly code = 'PLANNED';
}

/** A client of Nest's microservices. */
type Sender = Pick<ClientProxy, 'send' | 'emit'>;

/** The clients through which plans send, by `host:port` or by the name of the broker. */
export const CLIENTS = Symbol('CLIENTS');
const OPTIONS = Symbol('OPTIONS');

@Injectable()
export class Planner implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly hooks: string[] = [];
  private readonly plainKafka: PlainKafka | undefined;

  constructor(
    @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
    @Inject(HttpService) private readonly http: HttpService,
    @Inject(CLIENTS) private readonly clients: ReadonlyMap<string, Sender>,
    @Inject(Pool) private readonly pool: Pool,
    @Inject(OPTIONS) { participant, kafkaBrokers, consumes }: PlannedServiceOptions,
  ) {
    if (kafkaBrokers)
      this.plainKafka = new PlainKafka(transactions, { brokers: kafkaBrokers, clientId: participant, consumes });
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.plainKafka?.start((body) => this.carryOut((body as Asked).plan));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.plainKafka?.stop();
  }

  @GlobalTransaction({ timeoutMs: 10_000 })
  begin(plan: Plan): Promise<void> {
    return this.carryOut(plan);
  }

  @GlobalTransaction({ timeoutMs: 1_500 })
  beginShort(plan: Plan): Promise<void> {
    return this.carryOut(plan);
  }

  async carryOut(plan: Plan): Promise<void> {
    for (const step of plan) await this.step(step);
  }

  private async step(step: Step): Promise<void> {
    const transaction = this.transactions.current();
    // as any code of the service that knows nothing of global transactions
    if ('add' in step) await this.pool.query('INSERT INTO word VALUES ($1)', [step.add]);
    else if ('sql' in step) await transaction!.client.query(step.sql);
    else if ('call' in step) await this.call(step);
    else if ('send' in step) await lastValueFrom(this.clients.get(step.send)!.send(step.pattern, { plan: step.plan }));
    else if ('announce' in step) await this.announce(step);
    else if ('anew' in step)
      await this.transactions.run({ propagation: 'REQUIRES_NEW' }, () => this.carryOut(step.anew));
    else if ('attempt' in step) await this.carryOut(step.attempt).catch(() => undefined);
    else if ('fail' in step) throw new PlannedFailure(step.fail);
    else if ('forget' in step) setImmediate(() => void transaction!.client.query(step.forget).catch(() => undefined));
    else if ('tell' in step) await (await fetch(step.tell)).text();
    else if ('hook' in step) this.register(step.hook);
    else if ('die' in step) process.kill(process.pid, 'SIGKILL');
    else await new Promise((resolve) => setTimeout(resolve, transaction!.deadline - Date.now() + 100));
  }

  private async call({ call, path, via, plan }: Extract<Step, { call: string }>): Promise<void> {
    const url = `${call}/${path}`;
    if (via === 'axios') {
      await this.http.axiosRef.post(url, { plan });
      return;
    }
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ plan }) });
    if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  }

  private async announce({ announce, plan }: Extract<Step, { announce: string }>): Promise<void> {
    if (announce === 'announced') await lastValueFrom(this.clients.get('kafka')!.emit(announce, { plan }));
    else await this.plainKafka!.send(announce, { plan });
  }

  private register(name: string): void {
    const transaction = this.transactions.current()!;
    transaction.onGlobalCommit(() => void this.hooks.push(`${name} commit`));
    transaction.onGlobalAbort(() => void this.hooks.push(`${name} abort`));
  }
}

/** Answers a failure as if it were a success. */
@Catch(PlannedFailure)
class Soothing implements ExceptionFilter<PlannedFailure> {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  catch(_error: PlannedFailure, host: ArgumentsHost): void {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { soothing: true }, 200);
  }
}

/** Tells the test what a caller of an ordinary service would not be told. */
@Catch()
class Frank implements ExceptionFilter<Error> {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  catch(error: Error & { code?: string; response?: { data?: unknown } }, host: ArgumentsHost): void {
    const { code, message } = error;
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { code, message }, 500);
  }
}

interface Asked {
  readonly plan: Plan;
}

@UseFilters(Frank)
@Controller()
class PlanController {
  constructor(
    @Inject(Planner) private readonly planner: Planner,
    @Inject(Pool) private readonly pool: Pool,
    @Inject(ConcordatParticipant) private readonly participant: ConcordatParticipant,
  ) {}

  @Post('begin')
  begin(@Body() { plan }: Asked): Promise<void> {
    return this.planner.begin(plan);
  }

  @Post('begin-short')
  beginShort(@Body() { plan }: Asked): Promise<void> {
    return this.planner.beginShort(plan);
  }

  @JoinGlobalTransaction('MANDATORY')
  @Post('join')
  join(@Body() { plan }: Asked): Promise<void> {
    return this.planner.carryOut(plan);
  }

  @UseFilters(Soothing)
  @JoinGlobalTransaction('MANDATORY')
  @HttpCode(200)
  @Post('soothing')
  soothing(@Body() { plan }: Asked): Promise<void> {
    return this.planner.carryOut(plan);
  }

  @Post('local')
  local(): void {}

  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern('planned')
  async planned(@Payload() { plan }: Asked): Promise<string> {
    await this.planner.carryOut(plan);
    return 'done';
  }

  @JoinGlobalTransaction('MANDATORY')
  @EventPattern('announced')
  announced(@Payload() { plan }: Asked): Promise<void> {
    return this.planner.carryOut(plan);
  }

  @Get('words')
  async words(): Promise<{ words: string[]; hooks: string[]; prepared: number }> {
    const { rows } = await this.pool.query<{ word: string }>('SELECT word FROM word ORDER BY word');
    const prepared = await this.pool.query('SELECT gid FROM pg_prepared_xacts WHERE database = current_database()');
    return { words: rows.map(({ word }) => word), hooks: this.planner.hooks, prepared: prepared.rows.length };
  }

  @Get('health')
  async health(): Promise<unknown> {
    return this.participant.health();
  }
}

export interface PlannedServiceOptions {
  readonly participant: string;
  readonly databaseUrl: string;
  readonly coordinators: readonly string[];
  /** for coordinators that ask who calls */
  readonly token?: string;
  readonly propagateTo: NonNullable<ConcordatOptions['propagateTo']>;
  readonly audiences?: readonly string[];
  readonly limits?: ConcordatOptions['limits'];
  readonly beginWithCommit?: boolean;
  /** `host:port` of services that are called by packets */
  readonly tcp?: readonly string[];
  /** the topic `planned` is sent to it under the name `kafka` */
  readonly kafkaBrokers?: readonly string[];
  /** a topic for a plain consumer of kafkajs */
  readonly consumes?: Announcement;
}

/** A service that does what its callers say. */
@Module({})
export class PlannedService {
  static with(options: PlannedServiceOptions): DynamicModule {
    const pool = new Pool({ connectionString: options.databaseUrl, max: 2 });
    pool.on('error', () => undefined);
    return {
      module: PlannedService,
      imports: [ConcordatModule.forRoot(concordatOptions(options, pool)), HttpModule],
      controllers: [PlanController],
      providers: [
        Planner,
        { provide: OPTIONS, useValue: options },
        { provide: Pool, useValue: pool },
        ...clientsOf(options).map(([name, client]) => ({ provide: `client ${name}`, useValue: client })),
        {
          provide: CLIENTS,
          inject: clientNames(options).map((name) => `client ${name}`),
          useFactory: (...clients: Sender[]) =>
            new Map(clientNames(options).map((name, index) => [name, clients[index]!])),
        },
      ],
    };
  }
}

function concordatOptions(options: PlannedServiceOptions, pool: Pool): ConcordatOptions {
  const { participant, coordinators, token, propagateTo, audiences, limits, beginWithCommit } = options;
  return {
    participant,
    coordinators,
    propagateTo,
    postgres: pool,
    ...(token !== undefined && { token }),
    ...(audiences && { audiences }),
    ...(limits && { limits }),
    ...(beginWithCommit !== undefined && { beginWithCommit }),
    beforeConsuming: async () => void (await pool.query('CREATE TABLE IF NOT EXISTS word (word text NOT NULL)')),
  };
}

function clientNames({ tcp = [], kafkaBrokers }: PlannedServiceOptions): string[] {
  return [...tcp, ...(kafkaBrokers ? ['kafka'] : [])];
}

function clientsOf({ participant, tcp = [], kafkaBrokers }: PlannedServiceOptions): [string, Sender][] {
  const clients = tcp.map((address): [string, Sender] => {
    const [host, port] = address.split(':');
    return [
      address,
      ClientProxyFactory.create({ transport: Transport.TCP, options: { host: host!, port: Number(port) } }),
    ];
  });
  if (!kafkaBrokers) return clients;
  const kafka = new ClientKafka({
    client: { clientId: participant, brokers: [...kafkaBrokers] },
    consumer: { groupId: participant },
  });
  kafka.subscribeToResponseOf('planned');
  return [...clients, ['kafka', kafka]];
}
