import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Param,
  Scope,
  type DynamicModule,
  type INestApplicationContext,
  type ModuleMetadata,
  type Provider,
  type Type,
} from '@nestjs/common';
import { NestFactory, REQUEST } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { from, type Observable } from 'rxjs';
import { ConcordatClient } from '@concordat/client';
import { GlobalTransactions } from '@concordat/participant';
import { ConcordatModule, GlobalTransaction } from '../global/index.js';
import { NestServices, optionsOf } from '../global/testing/services.js';
import { currentLock } from './current-lock.js';
import { lockNameOf } from './lock-name.js';
import type { LockSource, MethodLock, MethodLockOptions } from './lock-source.js';
import { LocksModule } from './locks.module.js';
import { WithLock } from './with-lock.decorator.js';

/** Locks in memory. */
class FakeLocks implements LockSource {
  readonly asked: [name: string, options: MethodLockOptions][] = [];
  readonly held = new Map<string, AbortController>();
  released = 0;
  private token = 0;

  readonly locks = {
    acquire: async (name: string, options: MethodLockOptions): Promise<MethodLock> => {
      this.asked.push([name, options]);
      if (this.held.has(name)) throw new Error(`LOCK_HELD ${name}`);
      const lost = new AbortController();
      this.held.set(name, lost);
      return {
        name,
        fencingToken: ++this.token,
        signal: lost.signal,
        throwIfLost: () => lost.signal.throwIfAborted(),
        [Symbol.asyncDispose]: async () => {
          this.held.delete(name);
          this.released++;
        },
      };
    },
  };
}

interface Invoice {
  readonly id: number;
}

@Injectable()
class Invoices {
  readonly tokens: number[] = [];
  during: () => Promise<void> = async () => undefined;

  @WithLock('invoice-:id', { ttlMs: 5_000, waitMs: 100 })
  async pay(invoice: Invoice): Promise<string> {
    this.tokens.push(currentLock().fencingToken);
    await this.during();
    return `paid ${invoice.id}`;
  }

  @WithLock((from: string, to: string) => [from, to].sort().join('-'))
  async move(_from: string, _to: string): Promise<string> {
    return currentLock().name;
  }

  @WithLock('invoice-:0')
  async twice(id: number): Promise<string> {
    return this.pay({ id });
  }

  // @ts-expect-error the stream would outlive the lock
  @WithLock('stream')
  stream(): Observable<number> {
    return from([1, 2]);
  }
}

@Controller('invoices')
class InvoiceController {
  @Get(':id')
  @WithLock('invoice-:0')
  async show(@Param('id') id: string): Promise<object> {
    return { id, token: currentLock().fencingToken };
  }
}

const tokenOf = async (id: number): Promise<object> => ({ id, token: currentLock().fencingToken });

@Injectable({ scope: Scope.REQUEST })
class PerRequest {
  readonly #secret = 'secret';

  constructor(@Inject(REQUEST) private readonly request: { readonly url: string }) {}

  @WithLock('invoice-:0')
  async work(id: number): Promise<object> {
    return { ...(await tokenOf(id)), url: this.request.url, secret: this.#secret, lock: currentLock().name };
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Transient {
  @WithLock('invoice-:0')
  work(id: number): Promise<object> {
    return tokenOf(id);
  }
}

@Injectable()
class Consumer {
  constructor(@Inject(Transient) readonly transient: Transient) {}
}

@Controller({ path: 'requests', scope: Scope.REQUEST })
class PerRequestController {
  constructor(@Inject(PerRequest) private readonly inner: PerRequest) {}

  @Get(':id')
  @WithLock('controller-:0')
  async show(@Param('id') id: string): Promise<object> {
    return { ...(await this.inner.work(Number(id))), outer: currentLock().name };
  }
}

let source: FakeLocks;
let context: INestApplicationContext | undefined;
beforeEach(() => {
  source = new FakeLocks();
});
afterEach(async () => {
  await context?.close();
  context = undefined;
});

async function start(
  providers: Provider[],
  controllers: Type[] = [],
  imports: DynamicModule[] = [],
): Promise<INestApplicationContext> {
  @Module({ imports: [LocksModule.forRoot({ client: source }), ...imports], providers, controllers })
  class Root {}
  context = await NestFactory.createApplicationContext(Root, { logger: false, abortOnError: false });
  return context;
}

describe('@WithLock', () => {
  it('runs the method under the lock that its arguments name, and gives it back', async () => {
    const invoices = (await start([Invoices])).get(Invoices);
    expect(await invoices.pay({ id: 7 })).toBe('paid 7');
    expect(await invoices.move('b', 'a')).toBe('a-b');
    expect(source.asked).toEqual([
      ['invoice-7', { ttlMs: 5_000, waitMs: 100 }],
      ['a-b', {}],
    ]);
    expect([source.held.size, source.released, invoices.tokens]).toEqual([0, 2, [1]]);
  });

  it('rejects without running the method where another has the lock', async () => {
    const invoices = (await start([Invoices])).get(Invoices);
    await source.locks.acquire('invoice-7', {});
    await expect(invoices.pay({ id: 7 })).rejects.toThrow('LOCK_HELD invoice-7');
    expect(invoices.tokens).toEqual([]);
  });

  it('gives the lock back when the method throws, and passes the error on', async () => {
    const invoices = (await start([Invoices])).get(Invoices);
    invoices.during = () => Promise.reject(new Error('no paper'));
    await expect(invoices.pay({ id: 7 })).rejects.toThrow('no paper');
    expect(source.held.size).toBe(0);
  });

  it('rejects when the lock was lost while the method ran', async () => {
    const invoices = (await start([Invoices])).get(Invoices);
    invoices.during = async () => source.held.get('invoice-7')!.abort(new Error('LOCK_LOST'));
    await expect(invoices.pay({ id: 7 })).rejects.toThrow('LOCK_LOST');
    expect(source.released).toBe(1);
  });

  it('takes a lock once for calls inside one another, and calls beside one another apart', async () => {
    const invoices = (await start([Invoices])).get(Invoices);
    expect(await invoices.twice(7)).toBe('paid 7');
    expect(source.asked).toHaveLength(1);
    await Promise.all([invoices.pay({ id: 1 }), invoices.pay({ id: 2 })]);
    expect(invoices.tokens).toEqual([1, 2, 3]);
    expect(() => currentLock()).toThrow('no @WithLock is around this call');
  });

  async function get(url: string, parts: Pick<ModuleMetadata, 'providers' | 'controllers'>): Promise<unknown> {
    @Module({ imports: [LocksModule.forRoot({ client: source })], ...parts })
    class Root {}
    const app = await NestFactory.create<NestFastifyApplication>(Root, new FastifyAdapter(), { logger: false });
    context = app;
    await app.init();
    return (await app.inject({ method: 'GET', url })).json<unknown>();
  }

  it('works on the handlers of controllers', async () => {
    expect(await get('/invoices/7', { controllers: [InvoiceController] })).toEqual({ id: '7', token: 1 });
    expect(source.asked).toEqual([['invoice-7', {}]]);
  });

  it('works in what is made for each request, in providers and controllers', async () => {
    const parts = { controllers: [PerRequestController], providers: [PerRequest] };
    expect(await get('/requests/7', parts)).toEqual({
      id: 7,
      token: 2,
      url: '/requests/7',
      secret: 'secret',
      lock: 'invoice-7',
      outer: 'controller-7',
    });
    expect([source.held.size, source.released]).toEqual([0, 2]);
  });

  it('works in transient providers: those that exist at the start, and those that are resolved later', async () => {
    const started = await start([Transient, Consumer]);
    expect(await started.get(Consumer).transient.work(1)).toEqual({ id: 1, token: 1 });
    expect(await (await started.resolve(Transient)).work(2)).toEqual({ id: 2, token: 2 });
  });

  it('works in what factories make, whatever their scope, and in values', async () => {
    const invoices = new Invoices();
    const started = await start([
      { provide: 'once', useFactory: () => new Invoices() },
      { provide: 'anew', scope: Scope.TRANSIENT, useFactory: () => new Invoices() },
      { provide: 'value', useValue: invoices },
    ]);
    await started.get<Invoices>('once').pay({ id: 1 });
    await (await started.resolve<Invoices>('anew')).pay({ id: 2 });
    await invoices.pay({ id: 3 });
    expect(source.asked.map(([name]) => name)).toEqual(['invoice-1', 'invoice-2', 'invoice-3']);
  });

  it('says what is missing where nobody gives locks', async () => {
    expect(() => new Invoices().pay({ id: 7 })).toThrow('import LocksModule.forRoot');
    const alone = NestFactory.createApplicationContext(LocksModule.forRoot(), { logger: false, abortOnError: false });
    await expect(alone).rejects.toThrow('import ConcordatModule, or give LocksModule.forRoot({ client: new');
  });

  it('takes its locks from a factory', async () => {
    @Module({
      imports: [LocksModule.forRootAsync({ useFactory: async () => ({ client: source }) })],
      providers: [Invoices],
    })
    class Root {}
    context = await NestFactory.createApplicationContext(Root, { logger: false, abortOnError: false });
    expect(await context.get(Invoices).pay({ id: 7 })).toBe('paid 7');
  });

  it('takes them from the client of ConcordatModule', async () => {
    const services = new NestServices();
    const { app } = await services.start('orders', { imports: [LocksModule.forRoot()], providers: [Invoices] });
    Object.assign(app.get(ConcordatClient), { locks: source.locks });
    expect(await app.get(Invoices).pay({ id: 7 })).toBe('paid 7');
    expect(source.released).toBe(1);
    await services.stop();
  });

  it('refuses an option that does not exist, where the default would hold silently', () => {
    const unknown = { ttl: 5_000 } as object;
    const misused = 'there is no option "ttl"; use ttlMs, waitMs';
    expect(() => {
      class Worker {
        @WithLock('worker', unknown)
        async work(): Promise<void> {}
      }
      return Worker;
    }).toThrow(misused);
    expect(() => LocksModule.forRoot({ clients: [] } as object)).toThrow('there is no option "clients"; use client');
  });

  it('refuses streams, with a sentence', async () => {
    const invoices = (await start([Invoices])).get(Invoices);
    await expect(Promise.resolve(invoices.stream())).rejects.toMatchObject({ code: 'WITH_LOCK_MISUSED' });
    expect(source.held.size).toBe(0);
  });
});

describe('a lock and a global transaction on one method', () => {
  const add = async (transactions: GlobalTransactions, word: string): Promise<void> =>
    void (await transactions.currentClient()!.query(`add ${word}`));

  @Injectable()
  class LockOnTop {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

    @WithLock('stock')
    @GlobalTransaction()
    work(): Promise<void> {
      return add(this.transactions, currentLock().name);
    }
  }

  @Injectable()
  class LockBelow {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

    @GlobalTransaction()
    @WithLock('stock')
    work(): Promise<void> {
      return add(this.transactions, currentLock().name);
    }
  }

  const services = new NestServices();
  afterEach(() => services.stop());

  it.each([LockOnTop, LockBelow])('hold the lock until the transaction has ended (%p)', async (Worker) => {
    const heldAtCommit: boolean[] = [];
    const { app, database } = await services.start('orders', {
      imports: [LocksModule.forRoot({ client: source })],
      providers: [Worker],
    });
    const { system } = services;
    const commit = system.commit.bind(system);
    system.commit = (...parameters) => {
      heldAtCommit.push(source.held.has('stock'));
      return commit(...parameters);
    };
    await app.get<LockOnTop>(Worker).work();
    expect([heldAtCommit, database.words, source.held.size]).toEqual([[true], ['stock'], 0]);
  });

  it('are refused on a handler of a controller, with what to do', async () => {
    @Controller()
    class Handler {
      @WithLock('x')
      @GlobalTransaction()
      @Get()
      async both(): Promise<void> {}
    }
    const sentence = /Handler\.both is a handler .* move both to a method of a provider/;
    const { system } = services;
    const concordat = ConcordatModule.forRoot(optionsOf('orders', system, system.service('orders')));
    await expect(start([], [Handler], [concordat])).rejects.toThrow(sentence);
  });
});

describe('the name of a lock', () => {
  it.each<[string, unknown[], string]>([
    ['job', [], 'job'],
    ['invoice-:id', [{ id: 7 }], 'invoice-7'],
    ['invoice-:id', ['x', null, { id: 'a' }, { id: 'b' }], 'invoice-a'],
    ['account-:0-:1', ['a', 2], 'account-a-2'],
    [':id:1', [{ id: 'x' }, 'y'], 'xy'],
  ])('%s of %j is %s', (pattern, parameters, name) => {
    expect(lockNameOf(pattern, parameters)).toBe(name);
  });

  it.each<[string, unknown[]]>([
    ['invoice-:id', []],
    ['invoice-:id', [{ id: undefined }]],
    ['invoice-:id', [{ id: '' }]],
    ['invoice-:id', [{ id: {} }]],
    ['invoice-:0', [NaN]],
    ['invoice-:1', ['a']],
  ])('%s of %j is refused', (pattern, parameters) => {
    expect(() => lockNameOf(pattern, parameters)).toThrow(/the lock ".*" needs :/);
  });
});
