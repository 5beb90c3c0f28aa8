import { Inject, Module, type DynamicModule, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { CLUSTER, type ClusterApi } from './cluster/cluster.api.js';
import { CoreModule, type CoreOptions } from './core.module.js';
import { HttpModule } from './http/http.module.js';
import { watchCluster } from './metrics/cluster-metrics.js';
import { Metrics } from './metrics/metrics.js';
import { NodeCertificates } from './node-certificates.js';

export interface CoordinatorOptions extends CoreOptions {
  /** exports TRANSACTIONS, LOCKS and CLUSTER; the service passes `EngineModule` */
  readonly engine: DynamicModule;
}

@Module({})
export class CoordinatorModule implements OnModuleInit, OnApplicationShutdown {
  static register(options: CoordinatorOptions): DynamicModule {
    const { engine, config } = options;
    const http = HttpModule.register({ imports: [engine], failpoints: config.failpoints.enabled });
    return { module: CoordinatorModule, imports: [CoreModule.register(options), engine, http] };
  }

  constructor(
    @Inject(Metrics) private readonly metrics: Metrics,
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(NodeCertificates) private readonly certificates: NodeCertificates,
  ) {}

  onModuleInit(): void {
    watchCluster(this.metrics, () => this.cluster.view());
  }

  onApplicationShutdown(): void {
    this.certificates.stop();
  }
}
