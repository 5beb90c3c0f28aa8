import { beforeEach, describe, expect, it } from '@jest/globals';
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
import { item } from './drizzle.js';
import type { LibrarySystem } from './library-system.js';
import { ITEM } from './typeorm.js';

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
    throw new Error('changed its mind');
  }

  @Transactional()
  async placeWithNestedFailure(outer: string, inner: string): Promise<void> {
    await this.insert(outer);
    await expect(this.nestedFailure(inner)).rejects.toThrow('changed its mind');
  }

  @Transactional(Propagation.Nested)
  async nestedFailure(id: string): Promise<void> {
    await this.insert(id);
    throw new Error('changed its mind');
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

export function clsSuite(system: () => LibrarySystem): void {
  const orders = (): Orders => system().app.get(Orders, { strict: false });
  const stock = (): Stock => system().app.get(Stock, { strict: false });

  describe('@Transactional() of nestjs-cls', () => {
    beforeEach(() => system().reset());

    it('joins a global transaction, with TypeORM and with Drizzle', async () => {
      await system().run(async () => {
        await orders().place('b', 'c');
        await stock().reserve('d');
        expect(await system().items()).toBe('a=10');
      });
      expect(await system().items()).toBe('a=10 b=0 c=0 d=0');
    });

    it('is undone when the global transaction aborts', async () => {
      const aborted = system().run(async () => {
        await orders().place('b');
        await stock().reserve('c');
        throw new Error('changed its mind');
      });
      await expect(aborted).rejects.toThrow('changed its mind');
      expect(await system().items()).toBe('a=10');
    });

    it('is undone alone when it fails and is caught, nested or not', async () => {
      await system().run(async () => {
        await orders().insert('b');
        await expect(orders().placeAndFail('c')).rejects.toThrow('changed its mind');
        await orders().placeWithNestedFailure('d', 'e');
      });
      expect(await system().items()).toBe('a=10 b=0 d=0');
    });

    it('is a part of the global transaction also with RequiresNew', async () => {
      const aborted = system().run(async () => {
        await orders().placeAlone('b');
        throw new Error('changed its mind');
      });
      await expect(aborted).rejects.toThrow('changed its mind');
      expect(await system().items()).toBe('a=10');
    });

    it('is purely local without a global transaction', async () => {
      await orders().place('b');
      await stock().reserve('c');
      await expect(orders().placeAndFail('d')).rejects.toThrow('changed its mind');
      expect(await system().items()).toBe('a=10 b=0 c=0');
    });
  });
}
