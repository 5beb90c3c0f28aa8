import { Global, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { ArmableFailpoints, failpointsOfProcess, type Logger } from '@concordat/foundation';
import { AuditLog } from './auth/audit-log.js';
import { wallTime } from './auth/wall-time.js';
import { CONFIG, type Config } from './config.js';
import { COORDINATOR_FAILPOINTS } from './failpoints/failpoints.js';
import { LOGGER } from './logging.js';
import { watchCertificates } from './metrics/tls-metrics.js';
import { Metrics } from './metrics/metrics.js';
import { NodeCertificates } from './node-certificates.js';

export interface CoreOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** called when the node cannot continue: its disk failed, or its state machine threw */
  readonly onFatal: (error: Error) => void;
  /** default: those of the configuration */
  readonly certificates?: NodeCertificates;
}

export const ON_FATAL = Symbol('ON_FATAL');

/** Configuration, logger, audit, metrics and failpoints, for every other module. */
@Global()
@Module({})
export class CoreModule {
  static register({ config, logger, onFatal, certificates }: CoreOptions): DynamicModule {
    const providers: Provider[] = [
      { provide: CONFIG, useValue: config },
      { provide: LOGGER, useValue: logger },
      { provide: ON_FATAL, useValue: onFatal },
      { provide: NodeCertificates, useFactory: () => certificates ?? new NodeCertificates(config, logger) },
      {
        provide: AuditLog,
        useFactory: () =>
          new AuditLog({ path: config.auditFile, logger, now: wallTime, monotonic: () => performance.now() }),
      },
      {
        provide: Metrics,
        inject: [NodeCertificates],
        useFactory: (inUse: NodeCertificates) => {
          const metrics = new Metrics();
          watchCertificates(metrics, inUse);
          return metrics;
        },
      },
      {
        provide: ArmableFailpoints,
        useFactory: () => failpointsOfProcess(COORDINATOR_FAILPOINTS, config.failpoints.armed),
      },
    ];
    return { module: CoreModule, providers, exports: providers.map(tokenOf) };
  }
}

function tokenOf(provider: Provider): NonNullable<DynamicModule['exports']>[number] {
  return typeof provider === 'function' ? provider : provider.provide;
}
