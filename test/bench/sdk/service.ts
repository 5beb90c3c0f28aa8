import { Body, Controller, Get, Inject, Injectable, Module, Post, Res, type DynamicModule } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Pool } from 'pg';
import { ConcordatModule, ConcordatParticipant, GlobalTransaction, JoinGlobalTransaction } from '@concordat/nestjs';

/** Held at once in one process; each has one of the connections for work. */
const HELD_BRANCHES = 32;
const WORK_CONNECTIONS = 40;
/** Of one process, for transactions that are not global: opened when they are needed. */
const LOCAL_CONNECTIONS = 16;

export interface BenchServiceOptions {
  readonly participant: string;
  readonly cluster: string;
  readonly databaseUrl: string;
  /** REST addresses */
  readonly coordinators: readonly string[];
  /** `host:port` of the services that it calls, in this order */
  readonly callees: readonly string[];
  /** what the end of a transaction waits for */
  readonly waitFor: 'decided' | 'ended';
}

export interface TransferOrder {
  readonly from: string;
  readonly to: string;
  /** how many services get 1 each, one after the other */
  readonly callees: number;
}

/** Moves money in one global transaction, or in a local one at each service. */
export type TransferPath = '/transfers' | '/local-transfers';

type CreditPath = 'credits' | 'local-credits';

interface Credit {
  readonly account: string;
}

const CALLEES = Symbol('CALLEES');
const JSON_HEADERS = { 'content-type': 'application/json' };

/** An ordinary service: it speaks of a pool and of HTTP only. */
@Injectable()
class Accounts {
  constructor(@Inject(Pool) private readonly pool: Pool) {}

  async change(account: string, by: number): Promise<void> {
    const { rowCount } = await this.pool.query('update account set balance = balance + $1 where id = $2', [
      by,
      account,
    ]);
    if (rowCount !== 1) throw new Error(`there is no account ${account}`);
  }
}

@Injectable()
class Transfers {
  constructor(
    @Inject(Accounts) private readonly accounts: Accounts,
    @Inject(CALLEES) private readonly callees: readonly string[],
  ) {}

  @GlobalTransaction()
  transfer(order: TransferOrder): Promise<void> {
    return this.move(order, 'credits');
  }

  transferLocally(order: TransferOrder): Promise<void> {
    return this.move(order, 'local-credits');
  }

  private async move({ from, to, callees }: TransferOrder, path: CreditPath): Promise<void> {
    await this.accounts.change(from, -callees);
    for (const host of this.callees.slice(0, callees)) await this.credit(`${host}/${path}`, { account: to });
  }

  private async credit(place: string, credit: Credit): Promise<void> {
    const answer = await fetch(`http://${place}`, {
      method: 'POST',
      headers: JSON_HEADERS,
      body: JSON.stringify(credit),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${place} answered ${answer.status}: ${text}`);
  }
}

@Controller()
class AccountsController {
  constructor(
    @Inject(Accounts) private readonly accounts: Accounts,
    @Inject(Transfers) private readonly transfers: Transfers,
    @Inject(ConcordatParticipant) private readonly participant: ConcordatParticipant,
  ) {}

  @Post('transfers')
  transfer(@Body() order: TransferOrder): Promise<void> {
    return this.transfers.transfer(order);
  }

  @Post('local-transfers')
  transferLocally(@Body() order: TransferOrder): Promise<void> {
    return this.transfers.transferLocally(order);
  }

  @JoinGlobalTransaction('MANDATORY')
  @Post('credits')
  credit(@Body() { account }: Credit): Promise<void> {
    return this.accounts.change(account, 1);
  }

  @Post('local-credits')
  creditLocally(@Body() { account }: Credit): Promise<void> {
    return this.accounts.change(account, 1);
  }

  @Get('readyz')
  async readiness(@Res() reply: FastifyReply): Promise<void> {
    const health = await this.participant.health();
    void reply.code(health.ready ? 200 : 503).send(health);
  }
}

/** A service of the benchmark: begins transactions, and joins those of others. */
@Module({})
export class BenchService {
  static with({ databaseUrl, callees, ...concordat }: BenchServiceOptions): DynamicModule {
    const pool = new Pool({ connectionString: databaseUrl, max: LOCAL_CONNECTIONS }); // for what is not global
    pool.on('error', () => undefined);
    return {
      module: BenchService,
      imports: [
        ConcordatModule.forRoot({
          ...concordat,
          postgres: { connectionString: databaseUrl, workConnections: WORK_CONNECTIONS },
          limits: { workConcurrency: WORK_CONNECTIONS, heldBranches: HELD_BRANCHES },
          joining: [pool],
          propagateTo: callees,
          beginWithCommit: true,
        }),
      ],
      controllers: [AccountsController],
      providers: [Accounts, Transfers, { provide: Pool, useValue: pool }, { provide: CALLEES, useValue: callees }],
    };
  }
}
