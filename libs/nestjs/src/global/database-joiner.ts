import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import {
  GlobalConfigurationError,
  joinDataSource,
  joinPool,
  type CurrentWork,
  type GlobalTransactions,
  type JoiningOptions,
  type Leave,
} from '@concordat/participant';
import type { ConcordatParticipant } from '../concordat-participant.service.js';
import type { ConcordatOptions } from './options.js';
import { isDataSource, isPool, type PostgresSource } from './postgres-source.js';

/**
 * Lets the database libraries of the service join: its DataSource and pools work on the session of the running global
 * transaction, or of the branch whose one-shot handler runs, and are the user's own everywhere else.
 */
export class DatabaseJoiner implements OnModuleInit, OnApplicationShutdown {
  private leaves: readonly Leave[] = [];

  constructor(
    private readonly options: ConcordatOptions,
    private readonly transactions: GlobalTransactions,
    private readonly participant: ConcordatParticipant,
  ) {}

  /** @throws GlobalConfigurationError */
  onModuleInit(): void {
    const { postgres, joining = [] } = this.options;
    const current: CurrentWork = () => this.transactions.currentScope() ?? this.participant.currentWork();
    const sources: readonly PostgresSource[] = 'connectionString' in postgres ? joining : [postgres, ...joining];
    const { logger } = this.transactions.ports;
    const options: JoiningOptions = { onOutsideUse: (sentence) => logger.warn(sentence) };
    this.leaves = [...new Set(sources)].map((source) => join(source, current, options));
  }

  onApplicationShutdown(): void {
    for (const leave of this.leaves) leave();
  }
}

function join(source: PostgresSource, current: CurrentWork, options: JoiningOptions): Leave {
  if (isDataSource(source)) return joinDataSource(source, current, options);
  if (isPool(source)) return joinPool(source, current, options);
  throw new GlobalConfigurationError('joining has something that is neither a pg.Pool nor a TypeORM DataSource');
}
