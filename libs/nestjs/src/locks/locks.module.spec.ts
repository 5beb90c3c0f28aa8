import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Injectable,
  Module,
  Param,
  Scope,
  type INestApplicationContext,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { from, type Observable } from 'rxjs';
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

@Injectable({ scope: Scope.REQUEST })
class PerRequest {
  @WithLock('x')
  async work(): Promise<void> {}
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

async function start(providers: Type[], controllers: Type[] = []): Promise<INestApplicationContext> {
  @Module({ imports: [LocksModule.forRoot({ client: source })], providers, controllers })
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

  it('works on the handlers of controllers', async () => {
    @Module({ imports: [LocksModule.forRoot({ client: source })], controllers: [InvoiceController] })
    class Root {}
    const { FastifyAdapter } = await import('@nestjs/platform-fastify');
    const app = await NestFactory.create(Root, new FastifyAdapter(), { logger: false });
    await app.init();
    const adapter = app.getHttpAdapter() as InstanceType<typeof FastifyAdapter>;
    const answer = await adapter.getInstance().inject({ method: 'GET', url: '/invoices/7' });
    expect(answer.json()).toEqual({ id: '7', token: 1 });
    expect(source.asked).toEqual([['invoice-7', {}]]);
    await app.close();
  });

  it('says what is missing where nobody gives locks', async () => {
    expect(() => new Invoices().pay({ id: 7 })).toThrow('import LocksModule.forRoot');
  });

  it('refuses streams, and classes that are made for each request, with a sentence', async () => {
    const invoices = (await start([Invoices])).get(Invoices);
    await expect(Promise.resolve(invoices.stream())).rejects.toMatchObject({ code: 'WITH_LOCK_MISUSED' });
    expect(source.held.size).toBe(0);
    await expect(start([PerRequest])).rejects.toThrow('@WithLock on PerRequest.work is in a class that is made anew');
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
