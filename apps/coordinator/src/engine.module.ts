import {
  Inject,
  Module,
  Optional,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import type { ApplyResult } from '@concordat/commit-protocol';
import type { MessageBus } from '@concordat/messaging';
import { GrpcTransport, type RaftNode } from '@concordat/raft';
import { CLUSTER } from './cluster/cluster.api.js';
import { DIRECT_LINK, engineProviders, MESSAGE_BUS, RAFT_NODE, type EngineParts } from './engine.providers.js';
import type { DirectLink } from './inbound/direct-link.js';
import { RepliesConsumer } from './inbound/replies-consumer.js';
import { Locks } from './locks/locks.js';
import { LOCKS } from './locks/locks.api.js';
import { watchLocks } from './metrics/lock-metrics.js';
import { watchBus, watchStreams, watchTransport } from './metrics/link-metrics.js';
import { Metrics } from './metrics/metrics.js';
import { watchTransactions } from './metrics/transaction-metrics.js';
import { TransactionManager } from './transactions/transaction-manager.js';
import { TRANSACTIONS } from './transactions/transactions.api.js';

/**
 * Everything behind the REST interface: Raft node, decision log, transaction manager, replies consumer. The order of
 * starting follows the dependencies between the providers. The module stops them in reverse order, after the HTTP
 * server has closed.
 */
@Module({})
export class EngineModule implements OnModuleInit, OnApplicationShutdown {
  /** @param parts that differ from the service's own */
  static register(parts: EngineParts = {}): DynamicModule {
    return { module: EngineModule, providers: engineProviders(parts), exports: [TRANSACTIONS, LOCKS, CLUSTER] };
  }

  constructor(
    @Inject(Metrics) private readonly metrics: Metrics,
    @Optional() @Inject(GrpcTransport) private readonly transport: GrpcTransport | undefined,
    @Inject(RAFT_NODE) private readonly node: RaftNode<ApplyResult>,
    @Inject(TransactionManager) private readonly manager: TransactionManager,
    @Inject(Locks) private readonly locks: Locks,
    @Inject(RepliesConsumer) private readonly replies: RepliesConsumer,
    @Inject(MESSAGE_BUS) private readonly bus: MessageBus,
    @Optional() @Inject(DIRECT_LINK) private readonly direct: DirectLink | undefined,
  ) {}

  onModuleInit(): void {
    watchTransactions(this.metrics, () => this.manager.figures());
    watchLocks(this.metrics, () => this.locks.figures());
    if (this.transport) watchTransport(this.metrics, this.transport);
    watchBus(this.metrics, this.bus);
    if (this.direct) watchStreams(this.metrics, this.direct.bus);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.node.stop(); // transfers the leadership
    this.manager.stop();
    this.locks.stop();
    this.direct?.close();
    await this.replies.stop();
    await this.bus.stop();
  }
}
