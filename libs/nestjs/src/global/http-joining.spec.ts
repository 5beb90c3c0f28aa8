import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  Body,
  Catch,
  Controller,
  Get,
  HttpCode,
  Inject,
  Post,
  UseFilters,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import axios from 'axios';
import { firstValueFrom } from 'rxjs';
import { HttpModule, HttpService } from '@nestjs/axios';
import { HttpAdapterHost } from '@nestjs/core';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ContextCodec, GlobalTransactions } from '@concordat/participant';
import { GLOBAL_TEST_KEY } from '@concordat/participant/testing';
import { GlobalTransaction, JoinGlobalTransaction } from './decorators.js';
import { NestServices, type RunningService } from './testing/services.js';

class OutOfStock extends Error {
  readonly code = 'SOLD_OUT';
}

/** Answers a failure as if it were a success. */
@Catch(OutOfStock)
class Soothing implements ExceptionFilter<OutOfStock> {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  catch(error: OutOfStock, host: ArgumentsHost): void {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { ok: true, but: error.message }, 200);
  }
}

@Controller()
class InventoryController {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  @JoinGlobalTransaction()
  @Post('reservations')
  async reserve(@Body() { word, fail }: { word: string; fail?: boolean }): Promise<{ id: string | undefined }> {
    await this.transactions.currentClient()!.query(`add ${word}`);
    if (fail) throw new OutOfStock('none left');
    return { id: this.transactions.current()?.id };
  }

  @UseFilters(Soothing)
  @JoinGlobalTransaction('MANDATORY')
  @HttpCode(201)
  @Post('soothing')
  async soothing(): Promise<void> {
    await this.transactions.currentClient()!.query('add soothing');
    throw new OutOfStock('none left');
  }

  @Post('local')
  local(): { local: boolean } {
    return { local: true };
  }

  @JoinGlobalTransaction('SUPPORTS')
  @Get('redirect')
  redirect(): never {
    throw new Error('not reached');
  }
}

const VIA = ['fetch', 'axios', 'Observables of axios', 'axios behind interceptors', 'axios of a controller'] as const;

interface Plan {
  readonly via: (typeof VIA)[number] | 'a client that has not joined';
  readonly path: string;
  readonly body?: unknown;
  readonly catchError?: boolean;
}

let inventoryUrl: string;
const BEHIND_INTERCEPTORS = Symbol('BEHIND_INTERCEPTORS');

@Controller()
class OrdersController {
  private readonly own = axios.create();

  constructor(
    @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
    @Inject(HttpService) private readonly http: HttpService,
    @Inject(BEHIND_INTERCEPTORS) private readonly behind: HttpService,
  ) {
    const { request, response } = behind.axiosRef.interceptors;
    request.use((config) => ({ ...config, headers: config.headers.concat({ 'x-tenant': 'a' }) }));
    response.use(
      (answer) => answer.data as never,
      () => Promise.reject(new Error('the interceptor made another error')),
    );
  }

  @GlobalTransaction()
  @Post('checkout')
  async checkout(@Body() plan: Plan): Promise<unknown> {
    await this.transactions.currentClient()!.query('add order');
    try {
      return await this.call(plan);
    } catch (error) {
      if (!plan.catchError) throw error;
      return { caught: true };
    }
  }

  private async call({ via, path, body = {} }: Plan): Promise<unknown> {
    const url = `${inventoryUrl}/${path}`;
    if (via === 'axios') return (await this.http.axiosRef.post<unknown>(url, body)).data;
    if (via === 'Observables of axios') return (await firstValueFrom(this.http.post<unknown>(url, body))).data;
    if (via === 'axios of a controller') return (await this.own.post<unknown>(url, body)).data;
    if (via === 'a client that has not joined') return (await axios.create().post<unknown>(url, body)).data;
    if (via === 'axios behind interceptors') return this.behind.axiosRef.post(url, body);
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return response.json();
  }
}

let services: NestServices;
let inventory: RunningService;
let orders: RunningService;

beforeEach(async () => {
  services = new NestServices();
  inventory = await services.start('inventory', { controllers: [InventoryController] });
  inventoryUrl = inventory.url;
  orders = await services.start('orders', {
    controllers: [OrdersController],
    imports: [{ module: HttpModule }],
    providers: [{ provide: BEHIND_INTERCEPTORS, useFactory: () => new HttpService(axios.create()) }],
    options: { propagateTo: [inventory.host] },
  });
});

afterEach(() => services.stop());

async function checkout(plan: Plan): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${orders.url}/checkout`, {
    method: 'POST',
    body: JSON.stringify(plan),
    headers: { 'content-type': 'application/json' },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const lastAnswer = (): string | undefined => [...services.system.begun.values()].at(-1)?.answer?.outcome;

describe.each(VIA)('services that call each other by %s', (via) => {
  it('commit together', async () => {
    const { status, body } = await checkout({ via, path: 'reservations', body: { word: 'reservation' } });
    expect(status).toBe(201);
    expect([...services.system.begun.keys()]).toEqual([body['id']]);
    expect([orders.database.words, inventory.database.words]).toEqual([['order'], ['reservation']]);
  });

  it('abort together when the callee fails and the caller lets it through', async () => {
    const { status } = await checkout({ via, path: 'reservations', body: { word: 'reservation', fail: true } });
    expect(status).toBe(500);
    expect([orders.database.words, inventory.database.words, lastAnswer()]).toEqual([[], [], 'aborted']);
  });

  it('go on without the callee’s work when the caller catches its failure', async () => {
    const { body } = await checkout({ via, path: 'reservations', body: { word: 'x', fail: true }, catchError: true });
    expect(body).toEqual({ caught: true });
    expect([orders.database.words, inventory.database.words, lastAnswer()]).toEqual([['order'], [], 'committed']);
  });

  it('abort when an exception filter of the callee answers 200 after its failure', async () => {
    const { status } = await checkout({ via, path: 'soothing' });
    expect(status).toBe(500);
    expect([orders.database.words, inventory.database.words, lastAnswer()]).toEqual([[], [], 'aborted']);
  });

  it('abort when the callee does not prove that it has joined, also when the caller hides the error', async () => {
    for (const catchError of [false, true]) {
      const { status } = await checkout({ via, path: 'local', catchError });
      expect([status, orders.database.words, lastAnswer()]).toEqual([500, [], 'aborted']);
    }
  });

  it('abort when the connection breaks before an answer', async () => {
    const broken = createServer((incoming) => incoming.socket.destroy());
    const port = await listen(broken);
    const { propagateTo } = orders.transactions.settings;
    const known = propagateTo.audienceOf.bind(propagateTo);
    propagateTo.audienceOf = (destination) => (destination === `127.0.0.1:${port}` ? destination : known(destination));
    inventoryUrl = `http://127.0.0.1:${port}`;
    const { status } = await checkout({ via, path: 'x', catchError: true });
    expect([status, lastAnswer()]).toEqual([500, 'aborted']);
    broken.close();
  });

  it('do not pass the context on by a redirect', async () => {
    let seen: string | string[] | undefined;
    const other = createServer((incoming, outgoing) => {
      seen = incoming.headers['concordat-transaction'];
      outgoing.end('{}');
    });
    const otherPort = await listen(other);
    const redirecting = createServer((_incoming, outgoing) =>
      outgoing.writeHead(307, { location: `http://127.0.0.1:${otherPort}/` }).end(),
    );
    const port = await listen(redirecting);
    const { propagateTo } = orders.transactions.settings;
    propagateTo.audienceOf = (destination) => (destination === `127.0.0.1:${port}` ? destination : undefined);
    inventoryUrl = `http://127.0.0.1:${port}`;
    expect((await checkout({ via, path: '' })).status).toBe(500);
    expect(seen).toBeUndefined();
    other.close();
    redirecting.close();
  });
});

it('a client that has not joined, to a host on propagateTo, aborts the transaction of its caller', async () => {
  const { status } = await checkout({ via: 'a client that has not joined', path: 'reservations', body: { word: 'w' } });
  expect(status).toBe(500);
  expect([...services.system.begun.values()].map(({ answer }) => answer?.outcome)).toContain('aborted');
  expect(orders.database.words).toEqual([]);
});

describe('a joining handler', () => {
  const context = (audience: string): string =>
    new ContextCodec(GLOBAL_TEST_KEY).encode({
      transactionId: services.system.ids.next(),
      deadline: services.system.clock.now() + 5_000,
      audience,
    });

  /** With headers exactly as given. */
  async function reserve(
    headers: readonly string[],
    path = 'reservations',
  ): Promise<{ status: number; answer: string | undefined }> {
    const body = '{"word":"w"}';
    const all = [
      'host',
      inventory.host,
      'content-type',
      'application/json',
      'content-length',
      String(body.length),
      ...headers,
    ];
    const outgoing = request(`${inventory.url}/${path}`, { method: 'POST', headers: all, setHost: false });
    outgoing.end(body);
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    incoming.resume();
    const answer = incoming.headers['concordat-doomed'] ?? incoming.headers['concordat-branch'];
    return { status: incoming.statusCode!, answer: answer === undefined ? undefined : String(answer) };
  }

  it('begins a transaction of its own when it is called without one', async () => {
    const { status, answer } = await reserve([]);
    expect([status, answer, inventory.database.words]).toEqual([201, undefined, ['w']]);
  });

  it.each<[string, () => readonly string[], string]>([
    ['forged', () => ['concordat-transaction', `${context(inventory.host)}x`], 'INVALID_CONTEXT'],
    [
      'sent twice',
      () => ['concordat-transaction', context(inventory.host), 'Concordat-Transaction', context(inventory.host)],
      'INVALID_CONTEXT',
    ],
    ['made for another service', () => ['concordat-transaction', context('payments:1')], 'INVALID_CONTEXT'],
  ])('answers a context that is %s with an error, and works nowhere', async (_what, headers, code) => {
    const { status, answer } = await reserve(headers());
    expect([status, answer, inventory.database.words]).toEqual([500, `${code};inventory;undone`, []]);
    expect(inventory.database.sessions).toEqual([]);
  });

  it('is told apart by the name of its participant, too', async () => {
    const { answer } = await reserve(['concordat-transaction', context('inventory')]);
    // read, and refused by the coordinators, which do not know the transaction
    expect(answer).toMatch(/^TRANSACTION_DECIDED;inventory/);
  });

  it('answers TRANSACTION_REQUIRED where it is MANDATORY and there is none', async () => {
    expect((await reserve([], 'soothing')).status).toBe(500);
    expect(services.system.begun.size).toBe(0);
  });
});

describe('fetch', () => {
  it('is the original again when the last application has closed, and is left alone where somebody wrapped it since', async () => {
    const wrapped = globalThis.fetch;
    await orders.app.close();
    expect(globalThis.fetch).toBe(wrapped);
    await inventory.app.close();
    expect(globalThis.fetch).not.toBe(wrapped);
  });

  it('is untouched outside a transaction, and for others than those on the list', async () => {
    const seen: unknown[] = [];
    const other = createServer((incoming, outgoing) => {
      seen.push(incoming.headers['concordat-transaction']);
      outgoing.end('{}');
    });
    const port = await listen(other);
    await orders.transactions.run({}, async () => void (await fetch(`http://127.0.0.1:${port}/`)));
    await fetch(new Request(`http://127.0.0.1:${port}/`));
    expect(seen).toEqual([undefined, undefined]);
    other.close();
  });
});

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
