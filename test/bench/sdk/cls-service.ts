import { Inject, Injectable, Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { ClsPluginTransactional, Transactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule } from 'nestjs-cls';
import { DataSource } from 'typeorm';
import { ConcordatModule, type ConcordatOptions } from '@concordat/nestjs';

export interface ClsServiceOptions {
  readonly databaseUrl: string;
  /** of the coordinators, for a service that can join; undefined: nestjs-cls alone */
  readonly concordat: Pick<ConcordatOptions, 'participant' | 'coordinators' | 'cluster'> | undefined;
}

const CONNECTIONS = 16;

/** A service with nestjs-cls and TypeORM. It sends SQL by itself, so that the rest of TypeORM hides nothing. */
@Injectable()
export class ClsAccounts {
  constructor(@Inject(TransactionHost) private readonly host: TransactionHost<TransactionalAdapterTypeOrm>) {}

  @Transactional()
  async change(account: string): Promise<void> {
    await this.host.tx.query('update account set balance = balance + $1 where id = $2', [1, account]);
  }
}

@Module({})
class Databases {}

@Module({})
export class ClsService {
  static with(dataSource: DataSource, { databaseUrl, concordat }: ClsServiceOptions): DynamicModule {
    const databases: DynamicModule = {
      module: Databases,
      providers: [{ provide: DataSource, useValue: dataSource }],
      exports: [DataSource],
    };
    const adapter = new TransactionalAdapterTypeOrm({ dataSourceToken: DataSource });
    const plugins = [new ClsPluginTransactional({ imports: [databases], adapter })];
    const imports: NonNullable<ModuleMetadata['imports']> = [ClsModule.forRoot({ global: true, plugins })];
    if (concordat) {
      const postgres = { connectionString: databaseUrl };
      imports.push(ConcordatModule.forRoot({ ...concordat, postgres, joining: [dataSource] }));
    }
    return { module: ClsService, imports, providers: [ClsAccounts] };
  }
}

/** Initialised. */
export async function clsDataSource(url: string): Promise<DataSource> {
  return new DataSource({ type: 'postgres', url, poolSize: CONNECTIONS }).initialize();
}
