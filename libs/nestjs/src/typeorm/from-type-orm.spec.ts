import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GlobalSystem } from '@concordat/participant/testing';
import { DataSource } from 'typeorm';
import { ConcordatModule } from '../global/concordat.module.js';
import { CONCORDAT_OPTIONS, type ConcordatAsyncOptions, type ConcordatOptions } from '../global/options.js';
import { optionsOf } from '../global/testing/services.js';
import { fromTypeOrm } from './from-type-orm.js';

const dataSourceOf = (database: string): DataSource =>
  new DataSource({ type: 'postgres', url: `postgres://user:password@127.0.0.1:1/${database}` });
const [main, reports] = [dataSourceOf('main'), dataSourceOf('reports')];
const REGION = Symbol('REGION');

/** As `TypeOrmModule` provides them. */
@Module({
  providers: [
    { provide: DataSource, useValue: main },
    { provide: getDataSourceToken('reports'), useValue: reports },
    { provide: REGION, useValue: 'north' },
  ],
  exports: [DataSource, getDataSourceToken('reports'), REGION],
})
class DatabasesModule {}

const system = new GlobalSystem();
const OTHERS = optionsOf('orders', system, system.service('orders'));

let app: INestApplicationContext | undefined;

afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function optionsFrom(options: ConcordatAsyncOptions): Promise<ConcordatOptions> {
  @Module({ imports: [ConcordatModule.forRootAsync(options)] })
  class AppModule {}

  app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
  return app.get<ConcordatOptions>(CONCORDAT_OPTIONS);
}

describe('fromTypeOrm', () => {
  it('takes the DataSource without a name', async () => {
    const options = await optionsFrom(fromTypeOrm({ ...OTHERS, imports: [DatabasesModule] }));
    expect(options).toMatchObject({ participant: 'orders', joining: [] });
    expect(options.postgres).toBe(main);
  });

  it('takes DataSources by name, and makes the other options from providers', async () => {
    const options = await optionsFrom(
      fromTypeOrm({
        imports: [DatabasesModule],
        dataSource: 'reports',
        joiningDataSources: ['default'],
        inject: [REGION],
        useFactory: async (region: string) => ({ ...OTHERS, participant: `orders-${region}` }),
      }),
    );
    expect(options.participant).toBe('orders-north');
    expect(options.postgres).toBe(reports);
    expect(options.joining).toEqual([main]);
  });

  it('says which DataSource Nest does not know', async () => {
    const started = optionsFrom(fromTypeOrm({ ...OTHERS, imports: [DatabasesModule], dataSource: 'missing' }));
    await expect(started).rejects.toThrow('missingDataSource');
  });
});
