import { Controller, Inject, Injectable, Post } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test, type TestingModule } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GlobalTransactions } from '@concordat/participant';
import { GlobalSystem, type FakeService } from '@concordat/participant/testing';
import { ConcordatModule } from './concordat.module.js';
import { GlobalTransaction } from './decorators.js';
import { optionsOf } from './testing/services.js';

@Injectable()
class Orders {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  @GlobalTransaction()
  async create(word: string): Promise<void> {
    await this.transactions.currentClient()!.query(`add ${word}`);
    await Promise.resolve();
    await this.transactions.currentClient()!.query(`add ${word}-too`);
  }
}

@Controller()
class OrdersController {
  constructor(@Inject(Orders) private readonly orders: Orders) {}

  @Post('orders')
  create(): Promise<void> {
    return this.orders.create('posted');
  }
}

interface TestOf {
  readonly module: TestingModule;
  readonly database: FakeService;
  readonly system: GlobalSystem;
}

const open: TestingModule[] = [];
afterEach(async () => {
  for (const module of open.splice(0)) await module.close();
});

async function testing(): Promise<TestOf> {
  const system = new GlobalSystem();
  const database = system.service('orders');
  const module = await Test.createTestingModule({
    imports: [ConcordatModule.forRoot(optionsOf('orders', system, database))],
    providers: [Orders],
    controllers: [OrdersController],
  }).compile();
  open.push(module);
  return { module, database, system };
}

describe('several testing modules in one file', () => {
  it('at the same time, of the same participant, do not meet', async () => {
    const tests = await Promise.all([testing(), testing(), testing()]);
    await Promise.all(tests.map(({ module }) => module.init()));
    await Promise.all(tests.map(({ module }, index) => module.get(Orders).create(`order-${index}`)));
    expect(tests.map(({ database }) => database.words)).toEqual(
      tests.map((_, index) => [`order-${index}`, `order-${index}-too`]),
    );
    expect(tests.map(({ system }) => system.begun.size)).toEqual([1, 1, 1]);
  });

  it('one after the other leave nothing behind, not even in globalThis.fetch', async () => {
    const before = globalThis.fetch;
    for (const word of ['first', 'second']) {
      const { module, database } = await testing();
      await module.init();
      expect(globalThis.fetch).not.toBe(before);
      await module.get(Orders).create(word);
      expect(database.words).toEqual([word, `${word}-too`]);
      await module.close();
      open.pop();
      expect(globalThis.fetch).toBe(before);
    }
  });

  it('may replace providers, and serve requests', async () => {
    const { module, database } = await testing();
    const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false });
    await app.init();
    const answer = await app.inject({ method: 'POST', url: '/orders' });
    expect([answer.statusCode, database.words]).toEqual([201, ['posted', 'posted-too']]);
    const mocked = await Test.createTestingModule({
      imports: [ConcordatModule.forRoot(optionsOf('orders', new GlobalSystem(), database))],
      providers: [Orders],
    })
      .overrideProvider(Orders)
      .useValue({ create: async () => 'mocked' })
      .compile();
    open.push(mocked);
    await mocked.init();
    expect(await mocked.get<{ create(): Promise<string> }>(Orders).create()).toBe('mocked');
  });
});
