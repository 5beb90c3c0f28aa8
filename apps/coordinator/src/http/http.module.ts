import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ClusterController } from './cluster.controller.js';
import { EventStreams } from './event-streams.js';
import { EventsController } from './events.controller.js';
import { FailpointsController } from './failpoints.controller.js';
import { ForwardToLeader } from './forward-to-leader.js';
import { HealthController } from './health.controller.js';
import { LocksController } from './locks.controller.js';
import { ProblemFilter } from './problem.filter.js';
import { Reads } from './reads.js';
import { RequestGate } from './request-gate.js';
import { TransactionsController } from './transactions.controller.js';

export interface HttpModuleOptions {
  /** modules that export TRANSACTIONS, LOCKS, CLUSTER, CONFIG, LOGGER, Metrics and ArmableFailpoints */
  readonly imports: NonNullable<ModuleMetadata['imports']>;
  /** whether `/debug/failpoints` exists */
  readonly failpoints: boolean;
}

/** The REST interface over the ports of `transactions.api.ts`, `locks.api.ts` and `cluster.api.ts`. */
@Module({})
export class HttpModule {
  static register({ imports, failpoints }: HttpModuleOptions): DynamicModule {
    return {
      module: HttpModule,
      imports,
      controllers: [
        TransactionsController,
        EventsController,
        ClusterController,
        LocksController,
        HealthController,
        ...(failpoints ? [FailpointsController] : []),
      ],
      providers: [EventStreams, ForwardToLeader, Reads, RequestGate, { provide: APP_FILTER, useClass: ProblemFilter }],
    };
  }
}
