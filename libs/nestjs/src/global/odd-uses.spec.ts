import {
  Controller,
  Get,
  Inject,
  Injectable,
  Post,
  Scope,
  StreamableFile,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type OnModuleInit,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GlobalTransactions } from '@concordat/participant';
import { map, type Observable } from 'rxjs';
import { GlobalTransaction, JoinGlobalTransaction } from './decorators.js';
import { NestServices } from './testing/services.js';

const services = new NestServices();

afterEach(() => services.stop());

const post = (url: string): Promise<Response> => fetch(url, { method: 'POST' });

describe('a method that throws what is no Error', () => {
  @Injectable()
  class Orders {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

    @GlobalTransaction()
    async create(thrown: unknown): Promise<void> {
      await this.transactions.client.query('add order');
      throw thrown;
    }

    @GlobalTransaction()
    async outer(thrown: unknown): Promise<unknown> {
      await this.transactions.client.query('add outer');
      return this.create(thrown).catch((error: unknown) => error);
    }
  }

  it.each([['a text'], [undefined], [null], [0], [{ code: 'SOLD_OUT' }]])(
    'aborts, and hands it on as it is: %p',
    async (thrown) => {
      const { app, database } = await services.start('orders', { providers: [Orders] });
      await expect(app.get(Orders).create(thrown)).rejects.toBe(thrown);
      expect(database.words).toEqual([]);
      expect(await app.get(Orders).outer(thrown)).toBe(thrown);
      expect(database.words).toEqual(['outer']);
    },
  );
});

describe('guards and interceptors around a handler that begins', () => {
  const seen: string[] = [];

  @Injectable()
  class Guard implements CanActivate {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}
    canActivate(): boolean {
      seen.push(`guard ${this.transactions.current() !== undefined}`);
      return true;
    }
  }

  @Injectable()
  class Wrapping implements NestInterceptor {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}
    intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
      seen.push(`interceptor ${this.transactions.current() !== undefined}`);
      return next.handle().pipe(map((value) => ({ value })));
    }
  }

  @Controller()
  class OrdersController {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

    @UseGuards(Guard)
    @UseInterceptors(Wrapping)
    @GlobalTransaction()
    @Post('orders')
    async create(): Promise<string> {
      await this.transactions.client.query('add order');
      return 'created';
    }

    @GlobalTransaction()
    @Get('file')
    async file(): Promise<StreamableFile> {
      await this.transactions.client.query('add file');
      return new StreamableFile(Buffer.from('the file'));
    }
  }

  it('keep their order, and what they return', async () => {
    const { url, database } = await services.start('orders', {
      controllers: [OrdersController],
      configure: (app) => void app.setGlobalPrefix('api'),
    });
    const answer = await post(`${url}/api/orders`);
    expect(await answer.json()).toEqual({ value: 'created' });
    expect(seen).toEqual(['guard false', expect.stringMatching(/^interceptor /)]);
    const file = await fetch(`${url}/api/file`);
    expect(await file.text()).toBe('the file');
    expect(database.words).toEqual(['file', 'order']);
  });
});

describe('request-scoped things', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Cart {
    constructor(
      @Inject(REQUEST) private readonly request: { readonly headers: Record<string, string> },
      @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
    ) {}

    @GlobalTransaction()
    async fill(): Promise<string> {
      await this.transactions.client.query(`add ${this.request.headers['x-user']}`);
      return this.request.headers['x-user']!;
    }
  }

  @Controller()
  class CartController {
    constructor(@Inject(Cart) private readonly cart: Cart) {}

    @JoinGlobalTransaction()
    @Post('cart')
    fill(): Promise<string> {
      return this.cart.fill();
    }
  }

  it('join, each with its own request', async () => {
    const { url, database } = await services.start('orders', { controllers: [CartController], providers: [Cart] });
    const answers = await Promise.all(
      ['ann', 'bob'].map((user) => fetch(`${url}/cart`, { method: 'POST', headers: { 'x-user': user } })),
    );
    expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(['ann', 'bob']);
    expect([...database.words].sort()).toEqual(['ann', 'bob']);
  });
});

describe('a transaction at the start of the application', () => {
  @Injectable()
  class Seeds implements OnApplicationBootstrap {
    constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

    @GlobalTransaction()
    async add(word: string): Promise<void> {
      await this.transactions.client.query(`add ${word}`);
    }

    async onApplicationBootstrap(): Promise<void> {
      await this.add('bootstrap');
    }
  }

  it('says what to do when it waits in onModuleInit for the start, which waits for it', async () => {
    @Injectable()
    class Impatient implements OnModuleInit {
      constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

      async onModuleInit(): Promise<void> {
        await this.transactions.run({ timeoutMs: 200 }, ({ client }) => client.query('SELECT 1'));
      }
    }
    const started = services.start('orders', {
      providers: [Impatient],
      options: { sessionsPort: undefined as never }, // the real ones
    });
    await expect(started).rejects.toMatchObject({
      code: 'RESOURCE_MANAGER_UNAVAILABLE',
      message: expect.stringContaining('do not await a transaction in onModuleInit'),
    });
  });

  it('works in onApplicationBootstrap', async () => {
    const { database } = await services.start('orders', { providers: [Seeds] });
    expect(database.words).toEqual(['bootstrap']);
  });
});
