import { Module, type DynamicModule, type ModuleMetadata, type Provider } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { Logger } from '@concordat/foundation';
import { authenticationFrom } from '../auth/authentication.js';
import { CONFIG, type Config } from '../config.js';
import { LOGGER } from '../logging.js';
import { AuthMetrics } from '../metrics/auth-metrics.js';
import { NodeCertificates } from '../node-certificates.js';
import { Metrics } from '../metrics/metrics.js';
import { AccessGuard, AUTHENTICATION } from './access-guard.js';
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

const ACCESS: Provider[] = [
  AccessGuard,
  { provide: AuthMetrics, inject: [Metrics], useFactory: (metrics: Metrics) => new AuthMetrics(metrics) },
  {
    provide: AUTHENTICATION,
    inject: [CONFIG, LOGGER, NodeCertificates],
    useFactory: ({ auth }: Config, logger: Logger, certificates: NodeCertificates) =>
      auth && authenticationFrom(auth, logger, certificates.http),
  },
];

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
      providers: [
        ...ACCESS,
        EventStreams,
        ForwardToLeader,
        Reads,
        RequestGate,
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
