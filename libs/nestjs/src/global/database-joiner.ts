import type { OnApplicationBootstrap, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { checkLibraries, joinSources, type GlobalTransactions, type Leave } from '@concordat/participant';
import type { ConcordatParticipant } from '../concordat-participant.service.js';
import type { ConcordatOptions } from './options.js';

/**
 * Lets the database libraries of the service join: its DataSource and pools work on the session of the running global
 * transaction, or of the branch whose one-shot handler runs, and are the user's own everywhere else.
 */
export class DatabaseJoiner implements OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  private leave: Leave = () => undefined;

  constructor(
    private readonly options: ConcordatOptions,
    private readonly transactions: GlobalTransactions,
    private readonly participant: ConcordatParticipant,
  ) {}

  /** @throws GlobalConfigurationError */
  onModuleInit(): void {
    const { logger } = this.transactions.ports;
    this.leave = joinSources(this.options, () => this.transactions.currentScope() ?? this.participant.currentWork(), {
      onOutsideUse: (sentence) => logger.warn(sentence),
      logger,
    });
  }

  /** @throws GlobalConfigurationError */
  async onApplicationBootstrap(): Promise<void> {
    await checkLibraries(this.options.joining);
  }

  onApplicationShutdown(): void {
    this.leave();
  }
}
