import { Controller, Inject } from '@nestjs/common';
import { Ctx, MessagePattern, Payload, RpcException } from '@nestjs/microservices';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { lastValueFrom } from 'rxjs';
import { GlobalTransactions } from '@concordat/participant';
import { ContextDeserializer } from './carriers.js';
import { JoinGlobalTransaction } from './decorators.js';
import { natsInMemory, rabbitInMemory } from './testing/memory-brokers.js';
import { NestServices, type RunningService } from './testing/services.js';

@Controller()
class PaymentsController {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern('pay')
  async pay(
    @Payload() { word, fail }: { word: string; fail?: boolean },
    @Ctx() context: { readonly constructor: { readonly name: string } },
  ): Promise<object> {
    await this.transactions.currentClient()!.query(`add ${word}`);
    if (fail) throw new RpcException('no funds');
    return { paid: word, by: context.constructor.name };
  }

  @MessagePattern('local')
  local(): string {
    return 'done here';
  }
}

type Road = ReturnType<typeof natsInMemory> | ReturnType<typeof rabbitInMemory>;

const deserializer = new ContextDeserializer();

/** The client's and the server's own code, with their serializers; only the broker between them is missing. */
describe.each<[name: string, destination: string, context: string, road: () => Road]>([
  ['NATS', 'pay', 'NatsContext', () => natsInMemory({ deserializer })],
  ['RabbitMQ', 'payments-queue', 'RmqContext', () => rabbitInMemory('payments-queue', { deserializer })],
])('services that call each other over %s', (_name, destination, contextName, road) => {
  let services: NestServices;
  let payments: RunningService;
  let orders: RunningService;
  let client: Road['client'];

  beforeEach(async () => {
    services = new NestServices();
    const { client: made, server } = road();
    client = made;
    payments = await services.start('payments', {
      controllers: [PaymentsController],
      configure: async (app) => {
        app.connectMicroservice({ strategy: server });
        await app.startAllMicroservices();
      },
    });
    orders = await services.start('orders', {
      providers: [{ provide: 'PAYMENTS', useValue: client }],
      options: { propagateTo: [destination, 'local'] },
    });
  });
  afterEach(() => services.stop());

  const run = <T>(work: () => Promise<T>): Promise<T> =>
    orders.transactions.run({ timeoutMs: 10_000 }, async () => {
      await orders.transactions.currentClient()!.query('add order');
      return work();
    });
  const send = (pattern: string, data: object): Promise<unknown> => lastValueFrom(client.send(pattern, data));

  it('commit together', async () => {
    expect(await run(() => send('pay', { word: 'payment' }))).toEqual({ paid: 'payment', by: contextName });
    expect([orders.database.words, payments.database.words]).toEqual([['order'], ['payment']]);
  });

  it('go on without the callee’s work when the caller catches its failure', async () => {
    await run(() => send('pay', { word: 'x', fail: true }).catch(() => undefined));
    expect([orders.database.words, payments.database.words]).toEqual([['order'], []]);
  });

  it('abort when a success comes without a proof', async () => {
    await expect(run(() => send('local', {}))).rejects.toMatchObject({ code: 'NOT_JOINED' });
    expect(orders.database.words).toEqual([]);
  });

  it('answer as usual outside a transaction', async () => {
    expect(await send('local', {})).toBe('done here');
    await expect(send('pay', { word: 'x' })).rejects.toBeDefined();
    expect(payments.database.words).toEqual([]);
  });
});

describe('ContextDeserializer', () => {
  const packet = { pattern: 'pay', data: { word: 'x' }, id: '1' };

  it.each([
    ['a packet', packet],
    ['its bytes, as Nest 11 gets them from NATS', Buffer.from(JSON.stringify(packet))],
    ['a message of NATS, as Nest 12 gets it', { data: Buffer.from('…'), json: () => packet }],
  ])('reads %s', (_what, value) => expect(new ContextDeserializer().deserialize(value)).toEqual(packet));

  it('makes an event of what is no packet', () => {
    const options = { channel: 'pay' };
    for (const value of [{ word: 'x' }, 'text', 7, null]) {
      expect(new ContextDeserializer().deserialize(value, options)).toEqual({ pattern: 'pay', data: value });
    }
  });
});
