import { Catch, Controller, Inject, Injectable, UseFilters, type ExceptionFilter } from '@nestjs/common';
import {
  Client,
  ClientProxyFactory,
  Ctx,
  EventPattern,
  MessagePattern,
  Payload,
  RpcException,
  TcpContext,
  Transport,
  type ClientProxy,
} from '@nestjs/microservices';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Observable, defer, firstValueFrom, from, lastValueFrom, mergeMap, of, timeout, toArray } from 'rxjs';
import { GlobalTransactions } from '@concordat/participant';
import { freePort } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { ContextDeserializer } from './carriers.js';
import { JoinGlobalTransaction } from './decorators.js';
import { NestServices, type RunningService } from './testing/services.js';

@Catch()
class Soothing implements ExceptionFilter<Error> {
  catch(): Observable<unknown> {
    return of('all is well');
  }
}

let events: string[] = [];

@Controller()
class PaymentsController {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern('pay')
  async pay(@Payload() { word, fail }: { word: string; fail?: boolean }, @Ctx() context: unknown): Promise<string> {
    await this.transactions.currentClient()!.query(`add ${word}`);
    if (fail) throw new RpcException('no funds');
    return `${word} ${context instanceof TcpContext}`;
  }

  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern('many')
  many(@Payload() words: string[]): Observable<string> {
    return from(words).pipe(
      mergeMap(
        (word) =>
          defer(async () =>
            this.transactions
              .currentClient()!
              .query(`add ${word}`)
              .then(() => word),
          ),
        1,
      ),
    );
  }

  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern('nothing')
  async nothing(): Promise<void> {}

  @UseFilters(Soothing)
  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern('soothing')
  async soothing(): Promise<never> {
    await this.transactions.currentClient()!.query('add soothing');
    throw new Error('no funds');
  }

  @MessagePattern('local')
  local(): string {
    return 'done here';
  }

  @MessagePattern('silent')
  silent(): Observable<never> {
    return new Observable();
  }

  @JoinGlobalTransaction('SUPPORTS')
  @EventPattern('event')
  event(@Payload() word: string): void {
    events.push(`${word} ${this.transactions.current() !== undefined}`);
  }
}

let services: NestServices;
let payments: RunningService;
let orders: RunningService;
let client: ClientProxy;

/** Nest 12 hands the packet's metadata to the context of TCP; our deserializer does it for the others. */
it('clients that are properties of controllers and providers join', async () => {
  services = new NestServices();
  const port = await freePort();
  const options = { host: '127.0.0.1', port };
  payments = await services.start('payments', {
    controllers: [PaymentsController],
    options: { audiences: [`127.0.0.1:${port}`] },
    configure: async (app) => {
      app.connectMicroservice({ transport: Transport.TCP, options });
      await app.startAllMicroservices();
    },
  });

  @Controller()
  class OfController {
    @Client({ transport: Transport.TCP, options })
    readonly client!: ClientProxy;
  }

  @Injectable()
  class OfProvider {
    readonly client = ClientProxyFactory.create({ transport: Transport.TCP, options });
  }

  orders = await services.start('orders', {
    controllers: [OfController],
    providers: [OfProvider],
    options: { propagateTo: [`127.0.0.1:${port}`] },
  });
  const clients = [orders.app.get(OfController).client, orders.app.get(OfProvider).client];
  await orders.transactions.run({}, async () => {
    for (const [index, one] of clients.entries()) await firstValueFrom(one.send('pay', { word: `payment-${index}` }));
  });
  expect(payments.database.words).toEqual(['payment-0', 'payment-1']);
  for (const one of clients) await one.close();
  await services.stop();
});

describe.each([
  ['the metadata of the packet', undefined],
  ['our deserializer', new ContextDeserializer()],
])('services that call each other by packets, with %s', (_how, deserializer) => {
  beforeEach(async () => {
    events = [];
    services = new NestServices();
    const port = await freePort();
    payments = await services.start('payments', {
      controllers: [PaymentsController],
      options: { audiences: [`127.0.0.1:${port}`] },
      configure: async (app) => {
        const options = { host: '127.0.0.1', port, ...(deserializer && { deserializer: deserializer as never }) };
        app.connectMicroservice({ transport: Transport.TCP, options });
        await app.startAllMicroservices();
      },
    });
    client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
    orders = await services.start('orders', {
      providers: [{ provide: 'PAYMENTS', useValue: client }],
      options: { propagateTo: [`127.0.0.1:${port}`] },
    });
  });

  afterEach(async () => {
    await client.close();
    await services.stop();
  });

  const run = <T>(work: () => Promise<T>): Promise<T> =>
    orders.transactions.run({ timeoutMs: 10_000 }, async () => {
      await orders.transactions.currentClient()!.query('add order');
      return work();
    });
  const send = (pattern: string, data: unknown): Promise<unknown> =>
    lastValueFrom(client.send(pattern, data), { defaultValue: 'nothing' });
  const lastOutcome = (): string | undefined => [...services.system.begun.values()].at(-1)?.answer?.outcome;

  it('commit together, and get the reply as it is', async () => {
    expect(await run(() => send('pay', { word: 'payment' }))).toBe('payment true');
    expect([orders.database.words, payments.database.words]).toEqual([['order'], ['payment']]);
  });

  it('wait until the coordinators know a transaction that begins late', async () => {
    services.system.beginsLate = true;
    expect(await run(() => send('pay', { word: 'payment' }))).toBe('payment true');
    expect([payments.database.words, services.system.earlyBegins]).toEqual([['payment'], 1]);
    services.system.ensure = () => Promise.reject(new Error('no leader'));
    await expect(run(() => send('pay', { word: 'other' }))).rejects.toThrow('no leader');
    const stopped = run(
      () =>
        new Promise<void>((resolve) => {
          services.system.ensure = () => new Promise(() => undefined);
          const subscription = client.send('pay', { word: 'third' }).subscribe();
          subscription.unsubscribe();
          resolve();
        }),
    );
    await expect(stopped).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
    expect(payments.database.words).toEqual(['payment']);
  });

  it('join when the request is subscribed to, not when it is made', async () => {
    const request = client.send<string>('pay', { word: 'payment' });
    expect(await run(() => firstValueFrom(request))).toBe('payment true');
    await expect(firstValueFrom(request)).rejects.toMatchObject({ message: expect.any(String) });
    expect(payments.database.words).toEqual(['payment']);
  });

  it('stay in the transaction while they work on a reply', async () => {
    const words = await run(() =>
      lastValueFrom(
        client.send<string>('many', ['a', 'b']).pipe(
          mergeMap((word) => defer(async () => orders.transactions.currentClient()!.query(`add after-${word}`)), 1),
          toArray(),
        ),
      ),
    );
    expect(words).toHaveLength(2);
    expect([orders.database.words, payments.database.words]).toEqual([
      ['after-a', 'after-b', 'order'],
      ['a', 'b'],
    ]);
  });

  it('prove a reply without a value', async () => {
    await run(() => send('nothing', {}));
    expect(lastOutcome()).toBe('committed');
  });

  it('go on without the callee’s work when the caller catches its failure', async () => {
    await run(() => send('pay', { word: 'x', fail: true }).catch(() => undefined));
    expect([orders.database.words, payments.database.words]).toEqual([['order'], []]);
    await expect(run(() => send('pay', { word: 'x', fail: true }))).rejects.toMatchObject({ message: 'no funds' });
    expect(lastOutcome()).toBe('aborted');
  });

  it.each(['soothing', 'local'])('abort when a success comes without a proof (%s)', async (pattern) => {
    await expect(run(() => send(pattern, {}))).rejects.toMatchObject({ code: 'NOT_JOINED' });
    await expect(run(() => send(pattern, {}).catch(() => undefined))).rejects.toMatchObject({ code: 'ROLLBACK_ONLY' });
    expect([orders.database.words, payments.database.words]).toEqual([[], []]);
  });

  it('abort when the caller stops waiting, or the connection ends', async () => {
    const impatient = run(() => firstValueFrom(client.send('silent', {}).pipe(timeout(50))).catch(() => undefined));
    await expect(impatient).rejects.toMatchObject({ code: 'ROLLBACK_ONLY', doom: { code: 'NOT_JOINED' } });
    const cut = run(async () => {
      const waiting = firstValueFrom(client.send('silent', {})).catch(() => undefined);
      await waitFor(
        'the request is out',
        () => (client as unknown as { routingMap: Map<string, unknown> }).routingMap.size > 0,
      );
      client.close();
      await waiting;
    });
    await expect(cut).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it('send events without the context, because nobody could prove that they joined', async () => {
    await run(async () => void client.emit('event', 'paid'));
    await waitFor('it arrived', () => events.length === 1);
    expect(events).toEqual(['paid false']);
  });

  it('answer as usual outside a transaction', async () => {
    expect(await send('local', {})).toBe('done here');
    await expect(send('pay', { word: 'x' })).rejects.toBeDefined();
  });
});
