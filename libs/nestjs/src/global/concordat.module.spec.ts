import { Controller, Inject, Injectable, Logger, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Observable, defer, firstValueFrom, from, mergeMap } from 'rxjs';
import { ConcordatClient } from '@concordat/client';
import { GlobalConfigurationError, GlobalTransactions } from '@concordat/participant';
import { GlobalSystem, type FakeService } from '@concordat/participant/testing';
import { waitFor } from '../../../../test/support/wait-for.js';
import { ConcordatModule } from './concordat.module.js';
import { GlobalTransaction, JoinGlobalTransaction } from './decorators.js';
import type { ConcordatAsyncOptions, ConcordatOptions, ConcordatOptionsFactory } from './options.js';
import { optionsOf } from './testing/services.js';

let system: GlobalSystem;
let database: FakeService;
let closing: (() => Promise<void>)[];

beforeEach(() => {
  system = new GlobalSystem();
  database = system.service('orders');
  closing = [];
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

@Injectable()
class Orders {
  constructor(private readonly transactions: GlobalTransactions) {}

  @GlobalTransaction({ timeoutMs: 5_000 })
  async create(word: string, error?: Error): Promise<string | undefined> {
    await this.add(word);
    if (error) throw error;
    return this.transactions.current()?.id;
  }

  @GlobalTransaction({ propagation: 'MANDATORY' })
  async inside(word: string): Promise<void> {
    await this.add(word);
  }

  @GlobalTransaction()
  async outer(): Promise<void> {
    await this.inside('inside');
    await this.add('outside');
  }

  @GlobalTransaction()
  async *generate(count: number): AsyncGenerator<number, void, void> {
    for (let one = 0; one < count; one++) {
      await this.add(`generated-${one}`);
      yield one;
    }
  }

  @GlobalTransaction()
  stream(count: number): Observable<number> {
    return from(Array.from({ length: count }, (_, one) => one)).pipe(
      mergeMap((one) => defer(async () => this.add(`streamed-${one}`).then(() => one)), 1),
    );
  }

  // @ts-expect-error it does not say that it returns an Observable
  @GlobalTransaction()
  hidden(): unknown {
    return from([1]);
  }

  private async add(word: string): Promise<void> {
    await this.transactions.currentClient()!.query(`add ${word}`);
  }
}
Reflect.defineMetadata('design:paramtypes', [GlobalTransactions], Orders);

async function start(providers: unknown[], options: Partial<ConcordatOptions> = {}, on = database): Promise<Orders> {
  @Module({
    imports: [ConcordatModule.forRoot(optionsOf('orders', system, on, options))],
    providers: providers as never,
  })
  class RootModule {}
  const app = await NestFactory.createApplicationContext(RootModule, { logger: false, abortOnError: false });
  closing.push(() => app.close());
  return app.get(Orders);
}

describe('@GlobalTransaction on a provider', () => {
  it('commits when the method returns, and aborts when it throws', async () => {
    const orders = await start([Orders]);
    const id = await orders.create('order');
    expect([...system.begun.keys()]).toEqual([id]);
    expect(system.requests[0]).toMatchObject({ timeoutMs: 5_000 });
    const error = new Error('no');
    await expect(orders.create('undone', error)).rejects.toBe(error);
    expect(database.words).toEqual(['order']);
  });

  it('counts for calls of the own class, too', async () => {
    const orders = await start([Orders]);
    await orders.outer();
    expect(database.words).toEqual(['inside', 'outside']);
    await expect(orders.inside('x')).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
  });

  it('covers the whole run of an async generator', async () => {
    const orders = await start([Orders]);
    const seen: number[] = [];
    for await (const one of orders.generate(2)) seen.push(one);
    expect([seen, database.words, system.begun.size]).toEqual([[0, 1], ['generated-0', 'generated-1'], 1]);
  });

  it('begins an Observable with its subscription, each in a transaction of its own, however late', async () => {
    const orders = await start([Orders]);
    const stream = orders.stream(2);
    expect(stream).toBeInstanceOf(Observable);
    expect(system.begun.size).toBe(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await firstValueFrom(stream)).toBe(0);
    expect([database.words, system.begun.size]).toEqual([['streamed-0', 'streamed-1'], 1]);
    await firstValueFrom(stream);
    expect(system.begun.size).toBe(2);
  });

  it('aborts an Observable whose subscriber leaves before its end', async () => {
    const orders = await start([Orders]);
    let open = (): void => undefined;
    database.gate = new Promise((resolve) => (open = resolve));
    const subscription = orders.stream(2).subscribe();
    await waitFor('it works', () => database.sessions.length === 1);
    subscription.unsubscribe();
    open();
    await expect(database.sessions[0]!.ended).resolves.toBe('aborted');
    expect(database.words).toEqual([]);
  });

  it('says what to do when a method returns an Observable without saying so', async () => {
    const orders = await start([Orders]);
    await expect(Promise.resolve(orders.hidden())).rejects.toThrow('declare its return type as Observable<…>');
  });

  it('belongs to its application: another one of the same classes has its own', async () => {
    const other = system.service('orders');
    const [first, second] = [await start([Orders]), await start([Orders], {}, other)];
    await Promise.all([first.create('first'), second.create('second')]);
    expect([database.words, other.words]).toEqual([['first'], ['second']]);
  });

  it('that is used twice for one instance wraps it once', async () => {
    const orders = await start([Orders, { provide: 'alias', useExisting: Orders }]);
    await orders.create('once');
    expect(system.begun.size).toBe(1);
  });

  it('is refused with options that make no sense, when the class is defined', () => {
    const define = (): unknown => {
      class Wrong {
        @GlobalTransaction({ timeoutMs: 5 })
        async work(): Promise<void> {}
      }
      return Wrong;
    };
    expect(define).toThrow('@GlobalTransaction on Wrong.work: timeoutMs is 5');
  });
});

describe('a method that no application knows', () => {
  const warnings: string[] = [];
  beforeEach(() => {
    warnings.length = 0;
    jest.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void warnings.push(String(message)));
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  class Alone {
    @GlobalTransaction()
    async work(): Promise<string> {
      return 'done';
    }
  }

  it('runs without a transaction, and a warning says so once', async () => {
    const alone = new Alone();
    expect([await alone.work(), await alone.work()]).toEqual(['done', 'done']);
    expect(warnings).toEqual([
      expect.stringContaining('Alone.work has @GlobalTransaction() and was called without a transaction'),
    ]);
    expect(warnings[0]).toContain('Import ConcordatModule.forRoot(…) in the root module');
  });

  it('is none when a scheduler took it from the class before the application had started', async () => {
    const taken = Reflect.get(Orders.prototype, 'create');
    const orders = await start([Orders]);
    await taken.call(orders, 'scheduled');
    expect([database.words, system.begun.size, warnings]).toEqual([['scheduled'], 1, []]);
  });

  it('is none when one that overrides it calls it', async () => {
    @Injectable()
    class MoreOrders extends Orders {
      @GlobalTransaction({ timeoutMs: 7_000 })
      override create(word: string): Promise<string | undefined> {
        return super.create(`more ${word}`);
      }
    }
    Reflect.defineMetadata('design:paramtypes', [GlobalTransactions], MoreOrders);
    await (await start([{ provide: Orders, useClass: MoreOrders }])).create('orders');
    expect([database.words, system.begun.size, warnings]).toEqual([['more orders'], 1, []]);
  });

  it.each<[string, (work: PropertyDescriptor) => void, string]>([
    ['a getter', (work) => GlobalTransaction()(Plain.prototype, 'work', work), '@GlobalTransaction on Plain.work'],
    [
      'a getter',
      (work) => JoinGlobalTransaction()(Plain.prototype, 'work', work),
      '@JoinGlobalTransaction on Plain.work',
    ],
    ['a class', () => (GlobalTransaction() as ClassDecorator)(Plain), '@GlobalTransaction on Plain: it is for methods'],
  ])('cannot be on %s', (_what, decorate, sentence) => {
    const getter = Object.getOwnPropertyDescriptor(Plain.prototype, 'work')!;
    expect(() => decorate(getter)).toThrow(GlobalConfigurationError);
    expect(() => decorate(getter)).toThrow(sentence);
  });

  it('cannot be static', () => {
    const define = (): unknown => {
      class Wrong {
        @GlobalTransaction()
        static async work(): Promise<void> {}

        async other(): Promise<void> {}
      }
      return Wrong;
    };
    expect(define).toThrow('@GlobalTransaction on Wrong.work: the method is static');
  });
});

describe('a controller', () => {
  it('has transactions in methods that are no handlers, as in those of providers', async () => {
    @Controller()
    class OrdersController {
      constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

      @Post('orders')
      async order(): Promise<void> {
        await this.create();
      }

      @GlobalTransaction({ propagation: 'MANDATORY' })
      async inside(): Promise<void> {
        await this.transactions.client.query('add inside');
      }

      @GlobalTransaction()
      async create(): Promise<void> {
        await this.inside();
      }
    }
    @Module({
      imports: [ConcordatModule.forRoot(optionsOf('orders', system, database))],
      controllers: [OrdersController],
    })
    class RootModule {}
    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    closing.push(() => app.close());
    await app.get(OrdersController).order();
    expect([database.words, system.begun.size]).toEqual([['inside'], 1]);
  });
});

describe('@JoinGlobalTransaction', () => {
  it('is refused where no call can come from', async () => {
    @Injectable()
    class Service {
      @JoinGlobalTransaction()
      async work(): Promise<void> {}
    }
    await expect(start([Orders, Service])).rejects.toThrow(
      'Service.work has @JoinGlobalTransaction() and is no handler of a controller',
    );
  });

  it('is refused with another word than the seven', () => {
    const define = (): unknown => {
      @Controller()
      class Wrong {
        @JoinGlobalTransaction('ALWAYS' as never)
        work(): void {}
      }
      return Wrong;
    };
    expect(define).toThrow('@JoinGlobalTransaction on Wrong.work: propagation is "ALWAYS"');
  });
});

class Plain {
  get work(): () => Promise<void> {
    return async () => undefined;
  }
}

describe('ConcordatModule', () => {
  it.each<[Partial<Record<keyof ConcordatOptions, unknown>>, string]>([
    [{ participant: 'Orders' }, 'participant is "Orders"; use a name of lower-case letters'],
    [{ participant: undefined }, 'participant is missing'],
    [{ propogateTo: ['inventory:3000'] } as object, 'there is no option "propogateTo"; use participant, coordinators,'],
    [{ coordinators: [] }, 'coordinators is empty; give the URL of at least one'],
    [{ coordinators: undefined }, 'coordinators is missing; give the URL of at least one'],
    [
      { coordinators: 'http://127.0.0.1:8081' },
      'coordinators is no list; give the URL of at least one, such as ["http:',
    ],
    [{ coordinators: ['http://127.0.0.1:8081/v1'] }, 'leave out what begins with /v1'],
    [{ coordinators: ['localhost:8081'] }, 'coordinators has "localhost:8081"'],
    [
      { coordinators: ['http://me:secret@x'] },
      'coordinators has a URL with a user or a password (give a token instead)',
    ],
    [{ link: 'carrier-pigeon' }, 'use direct, kafka or both'],
    [{ link: 'both', bus: undefined }, 'link is "both" and kafka is missing'],
    [{ postgres: undefined }, 'postgres is missing'],
  ])('refuses %j with a sentence', (changes, sentence) => {
    const define = (): unknown =>
      ConcordatModule.forRoot({ ...optionsOf('orders', system, database), ...(changes as Partial<ConcordatOptions>) });
    expect(define).toThrow(GlobalConfigurationError);
    expect(define).toThrow(sentence);
  });

  it.each<[string, Partial<ConcordatOptions>, string]>([
    ['a destination that is a URL', { propagateTo: ['http://inventory:3000'] }, 'use host:port as it is called'],
    ['a short key', { contextKey: 'short' }, 'use at least 16 random ones'],
    [
      'no key for coordinators elsewhere',
      { contextKey: '', coordinators: ['http://concordat:8081'] },
      'set the option contextKey',
    ],
    [
      'a pool that makes its own sockets',
      { postgres: { options: { host: 'db', stream: () => undefined }, connect: () => undefined } as never },
      'makes its own sockets (stream)',
    ],
    [
      'a DataSource of another database',
      { postgres: { options: { type: 'mysql' }, createQueryRunner: () => undefined } as never },
      'type mysql',
    ],
  ])('does not start with %s', async (_what, options, sentence) => {
    await expect(start([Orders], options)).rejects.toThrow(sentence);
  });

  it('takes its options from other providers', async () => {
    const module = ConcordatModule.forRootAsync({
      imports: [],
      useFactory: async () => optionsOf('orders', system, database),
    });
    @Module({ imports: [module], providers: [Orders] })
    class RootModule {}
    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    await app.get(Orders).create('order');
    await app.close();
    expect(database.words).toEqual(['order']);
  });

  @Injectable()
  class Configuration implements ConcordatOptionsFactory {
    create(): ConcordatOptions {
      return optionsOf('orders', system, database);
    }
  }

  @Module({ providers: [Configuration], exports: [Configuration] })
  class ConfigurationModule {}

  it.each<[string, ConcordatAsyncOptions]>([
    ['a class', { useClass: Configuration }],
    ['a provider of another module', { imports: [ConfigurationModule], useExisting: Configuration }],
  ])('takes its options from %s', async (_what, options) => {
    @Module({ imports: [ConcordatModule.forRootAsync(options)], providers: [Orders] })
    class RootModule {}
    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    closing.push(() => app.close());
    await app.get(Orders).create('order');
    expect(database.words).toEqual(['order']);
  });

  it('says what is missing when its options come from nowhere', () => {
    expect(() => ConcordatModule.forRootAsync({} as never)).toThrow('give useFactory, or useClass or useExisting');
  });

  it('gives a client of the coordinators to all modules', async () => {
    @Injectable()
    class Reports {
      constructor(@Inject(ConcordatClient) readonly client: ConcordatClient) {}
    }
    @Module({ providers: [Reports] })
    class ReportsModule {}
    @Module({ imports: [ConcordatModule.forRoot(optionsOf('orders', system, database)), ReportsModule] })
    class RootModule {}
    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    closing.push(() => app.close());
    expect(app.get(Reports).client).toBeInstanceOf(ConcordatClient);
  });
});

describe('the types of decorated methods', () => {
  it('are promises, generators and Observables, because the end of anything else cannot be seen', () => {
    class Methods {
      @GlobalTransaction()
      async promise(): Promise<void> {}

      @GlobalTransaction()
      observable(): Observable<number> {
        return from([1]);
      }

      @GlobalTransaction()
      async *generator(): AsyncGenerator<number, void, void> {}

      // @ts-expect-error it returns nothing: its caller would not wait for the commit
      @GlobalTransaction()
      nothing(): void {}
    }
    expect(Methods).toBeDefined();
  });
});
