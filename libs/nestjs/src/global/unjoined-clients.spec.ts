import { Inject, Injectable, type Provider } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GlobalTransactions } from '@concordat/participant';
import { joiningInterceptor } from '../grpc/index.js';
import { NestServices } from './testing/services.js';

const services = new NestServices();

afterEach(() => services.stop());

/** What the module sees of a `ClientGrpc`, which needs a file of protocol buffers to be made. */
class GrpcClient {
  constructor(
    readonly url: string,
    readonly options: object = {},
  ) {}
  getService(): void {}
  getClientByServiceName(): void {}
}

@Injectable()
class Inventory {
  readonly client = new GrpcClient('inventory:50051');
}

const propagateTo = ['inventory:50051'];

describe('a gRPC client of Nest to a host on propagateTo', () => {
  const start = (...providers: Provider[]): Promise<unknown> =>
    services.start('orders', { providers, options: { propagateTo } });

  it.each<[string, Provider]>([
    ['a provider', { provide: 'GRPC', useValue: new GrpcClient('inventory:50051') }],
    ['a property of a provider', Inventory],
    [
      'a provider with another interceptor',
      {
        provide: 'GRPC',
        useValue: new GrpcClient('dns:///inventory:50051', { channelOptions: { interceptors: [() => undefined] } }),
      },
    ],
  ])('as %s, keeps the application from starting without the interceptor', async (_, provider) => {
    await expect(start(provider)).rejects.toMatchObject({
      code: 'GLOBAL_CONFIGURATION',
      message: expect.stringContaining('the gRPC client of inventory:50051 has no joiningInterceptor'),
    });
  });

  it('is right with it, and so is one to another host', async () => {
    const interceptorOf = (transactions: GlobalTransactions): GrpcClient =>
      new GrpcClient('inventory:50051', {
        channelOptions: { interceptors: [joiningInterceptor(transactions, 'inventory:50051')] },
      });
    await start(
      { provide: 'GRPC', inject: [GlobalTransactions], useFactory: interceptorOf },
      { provide: 'OTHER', useValue: new GrpcClient('elsewhere:50051') },
    );
  });
});

describe('a producer of kafkajs', () => {
  interface SentRecord {
    readonly messages: readonly { readonly headers?: Readonly<Record<string, string>> }[];
  }

  class Producer {
    readonly sent: SentRecord[] = [];
    async send(record: SentRecord): Promise<unknown[]> {
      this.sent.push(record);
      return [{ topicName: 'orders.placed', partition: 0, baseOffset: String(this.sent.length) }];
    }
    async sendBatch(): Promise<unknown[]> {
      return [];
    }
    transaction(): void {}
    isIdempotent(): boolean {
      return false;
    }
  }

  @Injectable()
  class Placing {
    readonly producer = new Producer();
    constructor(@Inject(GlobalTransactions) readonly transactions: GlobalTransactions) {}
  }

  it('that is a property of a provider, or one itself, joins without a change of the code', async () => {
    const shared = new Producer();
    const { app } = await services.start('orders', {
      providers: [Placing, { provide: Producer, useValue: shared }],
      options: { propagateTo: [{ destination: 'orders.placed', consumers: ['shipping'] }] },
    });
    const { producer, transactions } = app.get(Placing);
    for (const one of [producer, shared]) {
      const record = { topic: 'orders.placed', messages: [{ value: 'order' }] };
      await one.send(record as never);
      const whole = transactions.run({ timeoutMs: 300 }, () => one.send(record as never));
      await expect(whole).rejects.toThrow(/shipping/); // nobody consumes here, and the sender waits for the proof
      expect(one.sent.map(({ messages: [message] }) => message?.headers)).toEqual([
        undefined,
        expect.objectContaining({ 'concordat-transaction': expect.any(String) }),
      ]);
    }
  });
});

describe('a provider that stands for a value of a request, as those of nestjs-cls', () => {
  /** What Nest itself asks of everything that it has made. */
  const ASKED_BY_NEST = /^(then|constructor|on[A-Z]\w*|beforeApplicationShutdown)$/;

  const strict: ProxyHandler<object> = {
    get: (_, name) => {
      if (typeof name === 'symbol' || ASKED_BY_NEST.test(name)) return undefined;
      throw new Error(`nobody may ask for ${name} outside of a request`);
    },
    has: () => {
      throw new Error('nobody may look into it outside of a request');
    },
  };

  it.each<[string, object]>([
    ['a function', new Proxy(() => undefined, strict)],
    ['an object', new Proxy({}, strict)],
  ])('does not keep the application from starting: %s', async (_, value) => {
    await services.start('orders', { providers: [{ provide: 'VALUE', useFactory: () => value }] });
  });
});
