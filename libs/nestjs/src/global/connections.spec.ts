import { Controller, Inject, Injectable, Module, Post, Scope, type DynamicModule, type Type } from '@nestjs/common';
import { ModuleRef, NestFactory, REQUEST } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GlobalTransactions } from '@concordat/participant';
import { GlobalSystem, type FakeService } from '@concordat/participant/testing';
import { TransactionOperation } from '../transaction-operation.decorator.js';
import { ConcordatModule } from './concordat.module.js';
import { InjectGlobalTransactions, getGlobalTransactionsToken, tokensOf } from './connection.js';
import { GlobalTransaction, JoinGlobalTransaction } from './decorators.js';
import { optionsOf } from './testing/services.js';

let system: GlobalSystem;
let shop: FakeService;
let billing: FakeService;
let app: NestFastifyApplication | undefined;

beforeEach(() => {
  system = new GlobalSystem();
  [shop, billing] = [system.service('shop'), system.service('billing')];
});
afterEach(() => app?.close());

const modules = (): DynamicModule[] => [
  ConcordatModule.forRoot(optionsOf('shop', system, shop)),
  ConcordatModule.forRoot(optionsOf('billing', system, billing, { connectionName: 'billing' })),
];

async function start(
  providers: readonly unknown[],
  { imports = modules(), controllers = [] }: { imports?: DynamicModule[]; controllers?: readonly Type[] } = {},
): Promise<NestFastifyApplication> {
  @Module({ imports, providers: providers as never, controllers: [...controllers] })
  class RootModule {}
  app = await NestFactory.create<NestFastifyApplication>(RootModule, new FastifyAdapter(), {
    logger: false,
    abortOnError: false,
  });
  return app.init();
}

@Injectable()
class Purchases {
  constructor(
    @Inject(GlobalTransactions) readonly shop: GlobalTransactions,
    @InjectGlobalTransactions('billing') readonly billing: GlobalTransactions,
  ) {}

  @GlobalTransaction()
  async buy(): Promise<void> {
    await this.shop.currentClient()!.query('add purchase');
    await this.invoice('invoice');
  }

  @GlobalTransaction({ connectionName: 'billing', timeoutMs: 700 })
  async invoice(word: string): Promise<string | undefined> {
    await this.billing.currentClient()!.query(`add ${word}`);
    return this.billing.current()?.id;
  }
}

describe('several ConcordatModules in one application', () => {
  it('each have their own transactions, and those of one may run inside those of another', async () => {
    const purchases = (await start([Purchases])).get(Purchases);
    await purchases.buy();
    expect([shop.words, billing.words, system.begun.size]).toEqual([['purchase'], ['invoice'], 2]);
    expect(system.requests.map(({ timeoutMs }) => timeoutMs)).toEqual([30_000, 700]);
    expect(purchases.shop).not.toBe(purchases.billing);
    expect(app!.get(GlobalTransactions)).toBe(purchases.shop);
    expect(app!.get(getGlobalTransactionsToken('billing'))).toBe(purchases.billing);
  });

  it('serve the handlers of controllers that name them', async () => {
    @Controller()
    class Handlers {
      constructor(
        @Inject(GlobalTransactions) private readonly ofShop: GlobalTransactions,
        @InjectGlobalTransactions('billing') private readonly ofBilling: GlobalTransactions,
      ) {}

      @GlobalTransaction({ connectionName: 'billing' })
      @Post('begin')
      async begin(): Promise<unknown> {
        await this.ofBilling.currentClient()!.query('add begun');
        return { shop: this.ofShop.current() !== undefined };
      }

      @JoinGlobalTransaction('MANDATORY', { connectionName: 'billing' })
      @Post('join')
      async join(): Promise<unknown> {
        await this.ofBilling.currentClient()!.query('add joined');
        return { shop: this.ofShop.current() !== undefined };
      }
    }
    const started = await start([], { controllers: [Handlers] });
    const begun = await started.inject({ method: 'POST', url: '/begin' });
    expect([begun.statusCode, begun.json<unknown>(), billing.words]).toEqual([201, { shop: false }, ['begun']]);

    const { transactionId, deadline } = await system.begin({ protocol: '2pc', timeoutMs: 5_000 });
    const context = (audience: string): Record<string, string> => ({
      'concordat-transaction': billing.transactions.ports.codec.encode({ transactionId, deadline, audience }),
    });
    const joined = await started.inject({ method: 'POST', url: '/join', headers: context('billing') });
    expect([joined.statusCode, joined.json<unknown>()]).toEqual([201, { shop: false }]);
    expect(joined.headers['concordat-branch']).toBe(billing.sessions.at(-1)!.branchId);
    const foreign = await started.inject({ method: 'POST', url: '/join', headers: context('shop') });
    expect(foreign.statusCode).toBe(500); // made for the other participant of this process
  });

  it('serve the operations that name them', async () => {
    @Injectable()
    class Operations {
      @TransactionOperation('ship')
      ship(): void {}

      @TransactionOperation('invoice', { connectionName: 'billing' })
      invoice(): void {}
    }
    const started = await start([Operations]);
    const served = [undefined, 'billing'].map((name) =>
      started.get<{ operations(): string[] }>(tokensOf(name).transport).operations(),
    );
    expect(served).toEqual([['ship'], ['invoice']]);
  });

  it('may be imported with names only, and made by factories', async () => {
    const module = ConcordatModule.forRootAsync({
      connectionName: 'billing',
      useFactory: () => optionsOf('billing', system, billing, { connectionName: 'billing' }),
    });
    @Injectable()
    class Invoices {
      constructor(@InjectGlobalTransactions('billing') private readonly transactions: GlobalTransactions) {}

      @GlobalTransaction({ connectionName: 'billing' })
      async write(): Promise<void> {
        await this.transactions.currentClient()!.query('add invoice');
      }
    }
    await (await start([Invoices], { imports: [module] })).get(Invoices).write();
    expect(billing.words).toEqual(['invoice']);
  });

  it.each([
    [
      'two modules of one name',
      () => [...modules(), modules()[1]!],
      '2 ConcordatModules have the connectionName "billing"',
    ],
    [
      'two modules without',
      () => [...modules(), modules()[0]!],
      '2 ConcordatModules have the connectionName "default"',
    ],
    [
      'a decorator that names none of them',
      () => modules().slice(0, 1),
      'there is no ConcordatModule named "billing" in the application',
    ],
    [
      'a factory with a name of its own',
      () => [
        modules()[0]!,
        ConcordatModule.forRootAsync({
          useFactory: () => optionsOf('b', system, billing, { connectionName: 'billing' }),
        }),
      ],
      'give it to forRootAsync itself',
    ],
  ])('do not start with %s', async (_what, imports, sentence) => {
    @Injectable()
    class Marked {
      @GlobalTransaction({ connectionName: 'billing' })
      async work(): Promise<void> {}
    }
    await expect(start([Marked], { imports: imports() })).rejects.toThrow(sentence);
  });

  it('refuse a name that is none', () => {
    const options = optionsOf('billing', system, billing, { connectionName: 'a b' });
    expect(() => ConcordatModule.forRoot(options)).toThrow('connectionName is "a b"; use letters, digits');
  });

  it('let calls go out in the innermost transaction that propagates there', async () => {
    const host = '127.0.0.1:1';
    const propagating = (name?: string): DynamicModule =>
      ConcordatModule.forRoot(
        optionsOf(name ?? 'shop', system, name === undefined ? shop : billing, {
          propagateTo: [host],
          ...(name !== undefined && { connectionName: name }),
        }),
      );
    const started = await start([Purchases], { imports: [propagating(), propagating('billing')] });
    const { shop: ofShop, billing: ofBilling } = started.get(Purchases);
    const call = async (): Promise<void> => void (await fetch(`http://${host}`).catch(() => undefined));
    const doomed = { doom: { code: 'NOT_JOINED', by: host } };
    await ofShop.run({}, async (outer) => {
      await expect(ofBilling.run({}, call)).rejects.toMatchObject(doomed);
      expect(outer.isRollbackOnly).toBe(false);
    });
    await ofBilling.run({}, async (outer) => {
      await expect(ofShop.run({}, call)).rejects.toMatchObject(doomed);
      expect(outer.isRollbackOnly).toBe(false);
    });
  });
});

describe('providers that are made anew', () => {
  const client = async (transactions: GlobalTransactions, word: string): Promise<string> => {
    await transactions.currentClient()!.query(`add ${word}`);
    return transactions.current()!.id;
  };

  @Injectable({ scope: Scope.REQUEST })
  class PerRequest {
    readonly #secret = 'secret';

    constructor(
      @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
      @Inject(REQUEST) readonly request: { readonly url: string },
    ) {}

    @GlobalTransaction({ timeoutMs: 900 })
    work(word: string): Promise<string> {
      return client(this.transactions, `${word}${this.request.url}-${this.#secret}`);
    }
  }

  /** A singleton by itself, but not by what it needs. */
  @Injectable()
  class AboveRequest {
    constructor(
      @Inject(PerRequest) readonly inner: PerRequest,
      @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
    ) {}

    @GlobalTransaction()
    async outer(): Promise<unknown> {
      const id = await this.inner.work('joined');
      return { same: id === this.transactions.current()!.id, isPerRequest: this.inner instanceof PerRequest };
    }
  }

  @Injectable({ scope: Scope.TRANSIENT })
  class Transient {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

    @GlobalTransaction()
    work(word: string): Promise<string> {
      return client(this.transactions, word);
    }
  }

  @Injectable()
  class Consumer {
    constructor(@Inject(Transient) readonly transient: Transient) {}
  }

  it('begin transactions and join them, for each request', async () => {
    @Controller()
    class Handler {
      constructor(@Inject(AboveRequest) private readonly above: AboveRequest) {}

      @Post('work')
      work(): Promise<unknown> {
        return this.above.outer();
      }
    }
    const started = await start([PerRequest, AboveRequest], { controllers: [Handler] });
    for (const query of ['?1', '?2']) {
      const answer = await started.inject({ method: 'POST', url: `/work${query}` });
      expect(answer.json<unknown>()).toEqual({ same: true, isPerRequest: true });
    }
    expect(shop.words).toEqual(['joined/work?1-secret', 'joined/work?2-secret']);
    expect(system.begun.size).toBe(2);
    const ownNames = (type: Type): string[] => Object.getOwnPropertyNames(type.prototype);
    expect([ownNames(PerRequest), ownNames(AboveRequest)]).toEqual([
      ['constructor', 'work'],
      ['constructor', 'outer'],
    ]);
  });

  it('serve as controllers', async () => {
    @Controller({ scope: Scope.REQUEST })
    class Handler {
      constructor(
        @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
        @Inject(REQUEST) private readonly request: { readonly url: string },
      ) {}

      @GlobalTransaction()
      @Post('begin')
      begin(): Promise<string> {
        return client(this.transactions, this.request.url);
      }

      @JoinGlobalTransaction('MANDATORY')
      @Post('join')
      join(): Promise<string> {
        return client(this.transactions, this.request.url);
      }
    }
    const started = await start([], { controllers: [Handler] });
    expect((await started.inject({ method: 'POST', url: '/begin' })).statusCode).toBe(201);
    const { transactionId, deadline } = await system.begin({ protocol: '2pc', timeoutMs: 5_000 });
    const context = shop.transactions.ports.codec.encode({ transactionId, deadline, audience: 'shop' });
    const joined = await started.inject({
      method: 'POST',
      url: '/join',
      headers: { 'concordat-transaction': context },
    });
    expect([joined.statusCode, joined.payload]).toEqual([201, transactionId]);
    await system.commit(transactionId, 'decided', []);
    expect(shop.words).toEqual(['/begin', '/join']);
  });

  it('are transient, too: those that exist at the start, and those that are resolved later', async () => {
    const started = await start([Transient, Consumer]);
    const resolved = await started.get(ModuleRef).resolve(Transient, undefined, { strict: false });
    const { transient } = started.get(Consumer);
    expect(resolved).not.toBe(transient);
    await transient.work('first');
    await resolved.work('second');
    expect(shop.words).toEqual(['first', 'second']);
  });

  it('are refused with @JoinGlobalTransaction(), as no call reaches them', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Wrong {
      @JoinGlobalTransaction()
      async work(): Promise<void> {}
    }
    await expect(start([Wrong])).rejects.toThrow('Wrong.work has @JoinGlobalTransaction() and is no handler');
  });

  it('or come from a factory, whatever its scope, or are values', async () => {
    class Plain {
      constructor(public transactions?: GlobalTransactions) {}

      @GlobalTransaction()
      work(word: string): Promise<string> {
        return client(this.transactions!, word);
      }
    }
    const make = (transactions: GlobalTransactions): Plain => new Plain(transactions);
    const value = new Plain();
    const started = await start([
      { provide: 'once', inject: [GlobalTransactions], useFactory: make },
      { provide: 'anew', scope: Scope.REQUEST, inject: [GlobalTransactions], useFactory: make },
      { provide: 'value', useValue: value },
    ]);
    await started.get<Plain>('once').work('once');
    await (await started.get(ModuleRef).resolve<Plain>('anew', undefined, { strict: false })).work('anew');
    value.transactions = started.get(GlobalTransactions);
    await value.work('value');
    expect([shop.words, system.begun.size]).toEqual([['anew', 'once', 'value'], 3]);
  });
});
