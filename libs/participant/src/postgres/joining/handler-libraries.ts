import { AsyncLocalStorage } from 'node:async_hooks';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { ParticipantConfigurationError } from '../../runtime/errors.js';
import { bindQueryRunner, joinDataSource } from './join-data-source.js';
import type { CurrentWork } from './joinable-work.js';
import type { Leave } from './replace-method.js';
import type { SessionWork } from './session-work.js';

/**
 * Makes the database libraries that handlers use work in the session of their branch: TypeORM by the DataSource, others
 * through pools that join `current`. One for each resource manager.
 */
export class HandlerLibraries {
  private readonly storage = new AsyncLocalStorage<SessionWork>();
  private readonly leave: Leave | undefined;

  constructor(private readonly dataSource: DataSource | undefined) {
    this.leave = dataSource && joinDataSource(dataSource, this.current);
  }

  /** The work of the branch whose handlers run in this asynchronous context. */
  readonly current: CurrentWork = () => this.storage.getStore();

  /** Runs handlers so that what they use joins. */
  run<T>(work: SessionWork, handlers: () => T): T {
    return this.storage.run(work, handlers);
  }

  /** An entity manager of the whole branch. It sends nothing by itself. */
  async bind(work: SessionWork): Promise<BoundManager> {
    const { dataSource } = this;
    if (!dataSource?.isInitialized) return new BoundManager(undefined, dataSource !== undefined);
    return new BoundManager(await bindQueryRunner(dataSource, work.whole()), true);
  }

  close(): void {
    this.leave?.();
  }
}

/**
 * TypeORM's view of a branch: a query runner in a transaction that it cannot end, so `manager.transaction()` makes a
 * savepoint.
 */
export class BoundManager {
  constructor(
    private readonly runner: QueryRunner | undefined,
    private readonly hasDataSource: boolean,
  ) {}

  /** @throws ParticipantConfigurationError when there is no DataSource, or it is not initialised */
  get manager(): EntityManager {
    if (this.runner) return this.runner.manager;
    throw new ParticipantConfigurationError(
      this.hasDataSource
        ? 'context.manager needs an initialised DataSource: await dataSource.initialize() before the application starts'
        : 'context.manager needs the DataSource in the options of the module',
    );
  }

  /** Later use is refused by TypeORM. Nothing is committed or rolled back. */
  async release(): Promise<void> {
    await this.runner?.release();
  }
}
