import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import type { BranchClient } from './guarded-client.js';

/** Private members of TypeORM's PostgreSQL query runner. */
interface BoundQueryRunner {
  databaseConnection: BranchClient;
  isTransactionActive: boolean;
  transactionDepth: number;
}

/**
 * TypeORM's view of a branch: a query runner without a connection of its own. It believes that a transaction is open,
 * so `manager.transaction()` inside a handler makes a savepoint. It cannot end the transaction, because the client is
 * guarded.
 */
export class BranchEntityManager {
  private readonly runner: QueryRunner;

  constructor(dataSource: DataSource, client: BranchClient) {
    this.runner = dataSource.createQueryRunner();
    const bound = this.runner as unknown as BoundQueryRunner;
    bound.databaseConnection = client;
    bound.isTransactionActive = true;
    bound.transactionDepth = 1;
  }

  get manager(): EntityManager {
    return this.runner.manager;
  }

  /** Nothing to release: this runner has no pool. */
  async release(): Promise<void> {
    (this.runner as unknown as BoundQueryRunner).isTransactionActive = false;
    await this.runner.release();
  }
}
