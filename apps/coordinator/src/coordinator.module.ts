import { Global, Module, type DynamicModule, type ModuleMetadata, type Provider } from '@nestjs/common';
import { ArmableFailpoints, SystemClock, type Logger } from '@concordat/foundation';
import { CONFIG, type Config } from './config.js';
import { HttpModule } from './http/http.module.js';
import { LOGGER } from './logging.js';
import { watchCluster } from './metrics/cluster-metrics.js';
import { Metrics } from './metrics/metrics.js';
import { COORDINATOR_FAILPOINTS } from './failpoints/failpoints.js';
import { CLUSTER, type ClusterApi } from './cluster/cluster.api.js';
import { TRANSACTIONS } from './transactions/transactions.api.js';

export interface CoordinatorOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** called when the node cannot go on: its disk failed, or its state machine threw */
  readonly onFatal: (error: Error) => void;
  /** providers of TRANSACTIONS and CLUSTER, and whatever they need */
  readonly engine: readonly Provider[];
}

/** Token of the function to be called when the node cannot go on. */
export const ON_FATAL = Symbol('ON_FATAL');

/** What every part of the coordinator may ask for: its configuration, logger, metrics and failpoints. */
@Global()
@Module({})
export class CoreModule {
  static register({ config, logger, onFatal }: CoordinatorOptions): DynamicModule {
    const providers: Provider[] = [
      { provide: CONFIG, useValue: config },
      { provide: LOGGER, useValue: logger },
      { provide: ON_FATAL, useValue: onFatal },
      { provide: Metrics, useFactory: () => new Metrics() },
      { provide: ArmableFailpoints, useFactory: () => createFailpoints(config) },
    ];
    return { module: CoreModule, providers, exports: providers.map(tokenOf) };
  }
}

/** The transaction manager and the node's place in its group, as the REST interface sees them. */
@Module({})
export class EngineModule {
  static register({ engine }: CoordinatorOptions): DynamicModule {
    const metrics: Provider = {
      provide: 'CLUSTER_METRICS',
      inject: [Metrics, CLUSTER],
      useFactory: (registry: Metrics, cluster: ClusterApi) => watchCluster(registry, () => cluster.view()),
    };
    return { module: EngineModule, providers: [...engine, metrics], exports: [TRANSACTIONS, CLUSTER] };
  }
}

/** The service. */
@Module({})
export class CoordinatorModule {
  static register(options: CoordinatorOptions): DynamicModule {
    const engine = EngineModule.register(options);
    const imports: ModuleMetadata['imports'] = [
      CoreModule.register(options),
      engine,
      HttpModule.register({ imports: [engine], failpoints: options.config.failpoints.enabled }),
    ];
    return { module: CoordinatorModule, imports };
  }
}

/** @throws FailpointSpecificationError when the configuration names one that does not exist */
export function createFailpoints({ failpoints }: Pick<Config, 'failpoints'>): ArmableFailpoints {
  const armable = new ArmableFailpoints(COORDINATOR_FAILPOINTS, new SystemClock(), {
    kill: () => process.kill(process.pid, 'SIGKILL'),
    pause: () => process.kill(process.pid, 'SIGSTOP'),
  });
  if (failpoints.armed !== '') armable.arm(failpoints.armed);
  return armable;
}

function tokenOf(provider: Provider): NonNullable<DynamicModule['exports']>[number] {
  return typeof provider === 'function' ? provider : provider.provide;
}
