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
import { joiningAdapter } from '@concordat/nestjs/cls';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { ClsModule } from 'nestjs-cls';
import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import type { LibrarySystem } from './library-system.js';
import { ITEM, item } from './tables.js';

const CHANGED = 'changed its mind';
const DRIZZLE = Symbol('DRIZZLE');
/** a DataSource that the module does not know */
const STRANGER = Symbol('STRANGER');

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

/** The same with the adapter of `@concordat/nestjs/cls` around that for TypeORM. */
@Injectable()
class Invoices {
  constructor(
    @InjectTransactionHost('checked') private readonly host: TransactionHost<TransactionalAdapterTypeOrm>,
    @InjectTransactionHost('stranger') private readonly stranger: TransactionHost<TransactionalAdapterTypeOrm>,
  ) {}

  @Transactional('checked')
  async write(id: string): Promise<void> {
    await this.host.tx.insert(ITEM, { id });
  }

  @Transactional('checked')
  async writeAndNote(id: string, note: string): Promise<void> {
    await this.write(id);
    await this.note(note);
  }

  @Transactional('checked', Propagation.RequiresNew)
  async note(id: string): Promise<void> {
    await this.host.tx.insert(ITEM, { id });
  }

  @Transactional('stranger')
  async writeElsewhere(id: string): Promise<void> {
    await this.stranger.tx.insert(ITEM, { id });
  }
}

@Module({})
class Databases {}

@Module({})
class Services {}

/** An application with nestjs-cls, as its documentation sets it up; nothing in it knows of global transactions. */
export function clsModule(dataSource: DataSource, stranger: DataSource, pool: Pool): DynamicModule {
  const databases: DynamicModule = {
    module: Databases,
    providers: [
      { provide: DataSource, useValue: dataSource },
      { provide: STRANGER, useValue: stranger },
      { provide: DRIZZLE, useValue: drizzle({ client: pool }) },
    ],
    exports: [DataSource, STRANGER, DRIZZLE],
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
      ...[['checked', DataSource] as const, ['stranger', STRANGER] as const].map(
        ([connectionName, dataSourceToken]) =>
          new ClsPluginTransactional({
            connectionName,
            imports: [databases],
            adapter: joiningAdapter(new TransactionalAdapterTypeOrm({ dataSourceToken })),
          }),
      ),
    ],
  });
  return { module: Services, imports: [cls], providers: [Orders, Stock, Invoices] };
}

type Scenario = (system: LibrarySystem, orders: Orders, stock: Stock, invoices: Invoices) => Promise<void>;

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
  'has a RequiresNew of its own inside a transaction of the joining adapter': async (system, _, __, invoices) => {
    await aborts(
      system.run(async () => {
        await invoices.write('b');
        await invoices.writeAndNote('c', 'note');
        await fail();
      }),
    );
    assert.equal(await system.items(), 'a=10 note=0');
  },
  'joins with the joining adapter, and is local without a global transaction': async (system, _, __, invoices) => {
    await system.run(() => invoices.write('b'));
    await aborts(system.run(() => invoices.write('c').then(fail)));
    await invoices.writeAndNote('d', 'e');
    await invoices.writeElsewhere('f');
    assert.equal(await system.items(), 'a=10 b=0 d=0 e=0 f=0');
  },
  'is refused by the joining adapter when its connection does not join, also when that is caught': async (
    system,
    _,
    __,
    invoices,
  ) => {
    const refused = { code: 'GLOBAL_CONFIGURATION', message: /give ConcordatModule the pool or DataSource/ };
    await assert.rejects(
      system.run(() => invoices.writeElsewhere('b')),
      refused,
    );
    const hidden = system.run(() => assert.rejects(invoices.writeElsewhere('b'), refused));
    await assert.rejects(hidden, { code: 'ROLLBACK_ONLY' });
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
  const invoices = system.app.get(Invoices, { strict: false });
  for (const scenario of Object.values(SCENARIOS)) {
    await system.reset();
    await scenario(system, orders, stock, invoices);
  }
  return Object.keys(SCENARIOS);
}
