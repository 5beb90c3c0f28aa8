import assert from 'node:assert/strict';
import { Inject, Injectable, Module, type DynamicModule } from '@nestjs/common';
import {
  ClsPluginTransactional,
  InjectTransactionHost,
  Propagation,
  Transactional,
  TransactionHost,
} from '@nestjs-cls/transactional';
import { TransactionalAdapterDrizzleOrm } from '@nestjs-cls/transactional-adapter-drizzle-orm';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { ClsModule } from 'nestjs-cls';
import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import type { LibrarySystem } from './library-system.js';
import { ITEM, item } from './tables.js';

const CHANGED = 'changed its mind';
const DRIZZLE = Symbol('DRIZZLE');

/** An ordinary service: it speaks of nestjs-cls and TypeORM only. */
@Injectable()
class Orders {
  constructor(@Inject(TransactionHost) private readonly host: TransactionHost<TransactionalAdapterTypeOrm>) {}

  insert(id: string): Promise<unknown> {
    return this.host.tx.insert(ITEM, { id });
  }

  @Transactional()
  async place(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.insert(id);
  }

  @Transactional()
  async placeAndFail(id: string): Promise<void> {
    await this.place(id);
    throw new Error(CHANGED);
  }

  @Transactional()
  async placeWithNestedFailure(outer: string, inner: string): Promise<void> {
    await this.insert(outer);
    await aborts(this.nestedFailure(inner));
  }

  @Transactional(Propagation.Nested)
  async nestedFailure(id: string): Promise<void> {
    await this.insert(id);
    throw new Error(CHANGED);
  }

  @Transactional(Propagation.RequiresNew)
  async placeAlone(id: string): Promise<void> {
    await this.insert(id);
  }
}

@Injectable()
class Stock {
  constructor(
    @InjectTransactionHost('drizzle')
    private readonly host: TransactionHost<TransactionalAdapterDrizzleOrm<NodePgDatabase>>,
  ) {}

  @Transactional('drizzle')
  async reserve(id: string): Promise<void> {
    await this.host.tx.insert(item).values({ id });
  }
}

@Module({})
class Databases {}

@Module({})
class Services {}

/** An application with nestjs-cls, as its documentation sets it up; nothing in it knows of global transactions. */
export function clsModule(dataSource: DataSource, pool: Pool): DynamicModule {
  const databases: DynamicModule = {
    module: Databases,
    providers: [
      { provide: DataSource, useValue: dataSource },
      { provide: DRIZZLE, useValue: drizzle({ client: pool }) },
    ],
    exports: [DataSource, DRIZZLE],
  };
  const cls = ClsModule.forRoot({
    global: true,
    plugins: [
      new ClsPluginTransactional({
        imports: [databases],
        adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: DataSource }),
      }),
      new ClsPluginTransactional({
        connectionName: 'drizzle',
        imports: [databases],
        adapter: new TransactionalAdapterDrizzleOrm({ drizzleInstanceToken: DRIZZLE }),
      }),
    ],
  });
  return { module: Services, imports: [cls], providers: [Orders, Stock] };
}

type Scenario = (system: LibrarySystem, orders: Orders, stock: Stock) => Promise<void>;

const fail = async (): Promise<never> => Promise.reject(new Error(CHANGED));
const aborts = (work: Promise<unknown>): Promise<void> => assert.rejects(work, { message: CHANGED });

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'joins a global transaction, with TypeORM and with Drizzle': async (system, orders, stock) => {
    await system.run(async () => {
      await orders.place('b', 'c');
      await stock.reserve('d');
      assert.equal(await system.items(), 'a=10');
    });
    assert.equal(await system.items(), 'a=10 b=0 c=0 d=0');
  },
  'is undone when the global transaction aborts': async (system, orders, stock) => {
    await aborts(
      system.run(async () => {
        await orders.place('b');
        await stock.reserve('c');
        await fail();
      }),
    );
    assert.equal(await system.items(), 'a=10');
  },
  'is undone alone when it fails and is caught, nested or not': async (system, orders) => {
    await system.run(async () => {
      await orders.insert('b');
      await aborts(orders.placeAndFail('c'));
      await orders.placeWithNestedFailure('d', 'e');
    });
    assert.equal(await system.items(), 'a=10 b=0 d=0');
  },
  'is a part of the global transaction also with RequiresNew': async (system, orders) => {
    await aborts(
      system.run(async () => {
        await orders.placeAlone('b');
        await fail();
      }),
    );
    assert.equal(await system.items(), 'a=10');
  },
  'is purely local without a global transaction': async (system, orders, stock) => {
    await orders.place('b');
    await stock.reserve('c');
    await aborts(orders.placeAndFail('d'));
    assert.equal(await system.items(), 'a=10 b=0 c=0');
  },
};

/** Runs every scenario; returns the names of those that hold. @throws what the first one fails with */
export async function runScenarios(system: LibrarySystem): Promise<string[]> {
  const orders = system.app.get(Orders, { strict: false });
  const stock = system.app.get(Stock, { strict: false });
  for (const scenario of Object.values(SCENARIOS)) {
    await system.reset();
    await scenario(system, orders, stock);
  }
  return Object.keys(SCENARIOS);
}
