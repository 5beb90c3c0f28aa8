import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { GlobalTransactions, joinDataSource, joinPool, type Leave } from '@concordat/participant';
import { CONCORDAT_OPTIONS, type ConcordatOptions } from './options.js';
import { isDataSource, isPool } from './postgres-source.js';

/**
 * Lets the database library of the service join: its `DataSource` or pool works on the session of the running global
 * transaction, and is the user's own everywhere else.
 */
@Injectable()
export class DatabaseJoiner implements OnModuleInit, OnApplicationShutdown {
  private leave: Leave | undefined;

  constructor(
    @Inject(CONCORDAT_OPTIONS) private readonly options: ConcordatOptions,
    @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
  ) {}

  onModuleInit(): void {
    const { postgres } = this.options;
    const current = (): ReturnType<GlobalTransactions['currentScope']> => this.transactions.currentScope();
    if (isDataSource(postgres)) this.leave = joinDataSource(postgres, current);
    else if (isPool(postgres)) this.leave = joinPool(postgres, current);
  }

  onApplicationShutdown(): void {
    this.leave?.();
  }
}
