import { Injectable, type OnApplicationShutdown, type Provider } from '@nestjs/common';
import {
  ArmableFailpoints,
  noFailpoints,
  SystemClock,
  SystemRandom,
  type Clock,
  type Failpoints,
  type Logger,
} from '@concordat/foundation';
import type { ApplyResult } from '@concordat/commit-protocol';
import { KafkaMessageBus, type MessageBus } from '@concordat/messaging';
import { GrpcTransport, RaftNode, type RaftTransport } from '@concordat/raft';
import { formatAddress } from './address.js';
import { CLUSTER } from './cluster/cluster.api.js';
import { RaftCluster } from './cluster/raft-cluster.js';
import { memberAt } from './cluster/member-address.js';
import { CONFIG, type Config } from './config.js';
import { DebugClock } from './debug-clock.js';
import { ON_FATAL } from './coordinator.module.js';
import { CompressedEndedTransactions } from './decision-log/ended-archive.js';
import { RaftDecisionLog } from './decision-log/raft-decision-log.js';
import { storageWithFailpoints } from './failpoints/failpoint-storage.js';
import { RepliesConsumer } from './inbound/replies-consumer.js';
import { LOGGER } from './logging.js';
import { watchBus, watchTransport } from './metrics/link-metrics.js';
import { Metrics } from './metrics/metrics.js';
import { watchTransactions } from './metrics/transaction-metrics.js';
import type { RaftTls } from './raft-tls.js';
import type { GroupClocks } from './transactions/clocks/group-clocks.js';
import { DEFAULT_TRANSACTION_OPTIONS } from './transactions/options.js';
import { TransactionManager } from './transactions/transaction-manager.js';
import { TRANSACTIONS } from './transactions/transactions.api.js';

/** Makes the wire to the participants; nothing is connected yet. */
export type CreateBus = (config: Config, logger: Logger) => MessageBus;

const kafkaBus: CreateBus = ({ kafkaBrokers, nodeId, clusterName: cluster, topicPrefix }, logger) =>
  new KafkaMessageBus({ brokers: kafkaBrokers, clientId: `coordinator-${nodeId}`, cluster, topicPrefix, logger });

/**
 * What works behind the REST interface: Raft node, decision log, transaction manager, replies consumer. Built
 * and started before anything listens, stopped after nothing listens any more.
 */
@Injectable()
export class Engine implements OnApplicationShutdown {
  private constructor(
    readonly manager: TransactionManager,
    readonly cluster: RaftCluster,
    private readonly node: RaftNode<ApplyResult>,
    private readonly bus: MessageBus,
    private readonly replies: RepliesConsumer,
  ) {}

  /**
   * Resolves when the log is read and the node takes part in its group; the broker may still be away.
   *
   * @throws the storage's error when the data directory cannot be used, the transport's when its port is taken
   */
  static async start(
    config: Config,
    logger: Logger,
    onFatal: (error: Error) => void,
    metrics: Metrics,
    armable: ArmableFailpoints,
    createBus: CreateBus = kafkaBus,
  ): Promise<Engine> {
    const clock = config.clockFile === undefined ? new SystemClock() : new DebugClock(config.clockFile);
    const random = new SystemRandom();
    const failpoints = config.failpoints.enabled ? armable : noFailpoints;
    const log = new RaftDecisionLog(new CompressedEndedTransactions());
    const transport = createTransport(config, clock, logger);
    const node = createNode(config, log, transport, { clock, logger, onFatal, failpoints });
    log.attach(node);
    await node.start();
    const bus = createBus(config, logger);
    const options = {
      ...DEFAULT_TRANSACTION_OPTIONS,
      cluster: config.clusterName,
      maximumBranches: config.maximumBranches,
      maximumOpenTransactions: config.maximumOpen,
      maximumOpenBytes: config.maximumOpenBytes,
      retentionMs: config.retentionMs,
      maximumEnded: config.retentionCount,
      maximumEndedBytes: config.retentionBytes,
      retentionIntervalMs: config.retentionIntervalMs,
      inDoubtAfterMs: config.inDoubtAfterMs,
    };
    const manager = new TransactionManager(
      {
        log,
        bus,
        clock,
        random,
        failpoints,
        logger,
        options,
        groupClocks: groupClocksOf(node, transport),
        onDecided: ({ outcome, cause }) => metrics.transactionDecided(outcome!, cause?.reason),
      },
      node.status().appliedIndex,
    );
    const replies = new RepliesConsumer(bus, manager, config.nodeId, logger, failpoints);
    node.onStatusChange(({ role }) => replies.consume(role === 'leader'));
    replies.consume(node.status().role === 'leader');
    void replies.start();
    const cluster = new RaftCluster(config, node, clock, () => replies.obstacle());
    watchTransactions(metrics, () => manager.figures());
    watchTransport(metrics, transport);
    watchBus(metrics, bus);
    return new Engine(manager, cluster, node, bus, replies);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.node.stop(); // hands the leadership over
    this.manager.stop();
    await this.replies.stop();
    await this.bus.stop();
  }
}

function createTransport(config: Config, clock: Clock, logger: Logger): GrpcTransport {
  const { nodeId, clusterName, peers, raft, raftTls } = config;
  const own = peers.find((peer) => peer.nodeId === nodeId);
  return new GrpcTransport({
    nodeId,
    clusterName,
    listenAddress: formatAddress(raft),
    advertisedAddress: formatAddress(own?.raft ?? raft),
    seeds: new Map(peers.map((peer) => [peer.nodeId, formatAddress(peer.raft)])),
    ...(raftTls && { tls: tlsFiles(raftTls) }),
    clock,
    random: new SystemRandom(),
    logger,
  });
}

/** The clocks of the other voters, as the pings of the transport read them. */
function groupClocksOf(node: RaftNode<ApplyResult>, transport: GrpcTransport): GroupClocks {
  return {
    get voters() {
      return node.status().configuration.voters.length;
    },
    readings: () => {
      const { nodeId, configuration } = node.status();
      return configuration.voters.flatMap((voter) => (voter === nodeId ? [] : (transport.peerClock(voter) ?? [])));
    },
  };
}

interface NodeSurroundings {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
  readonly failpoints: Failpoints;
}

function createNode(
  config: Config,
  log: RaftDecisionLog,
  transport: RaftTransport,
  { clock, logger, onFatal, failpoints }: NodeSurroundings,
): RaftNode<ApplyResult> {
  const { nodeId, clusterName, peers, join, bootstrap, dataDirectory, tickMs, electionTicks } = config;
  return new RaftNode({
    nodeId,
    members: peers.map((peer) => memberAt(peer.nodeId, peer.raft, peer.http)),
    join: join || !bootstrap,
    storage: storageWithFailpoints({ directory: dataDirectory, nodeId, clusterName, logger }, failpoints),
    transport,
    stateMachine: log.stateMachine,
    clock,
    random: new SystemRandom(),
    logger,
    tickMs,
    electionTicks,
    onFatal,
  });
}

function tlsFiles({ ca, certificate, key }: RaftTls): { ca: Buffer; cert: Buffer; key: Buffer } {
  return { ca: Buffer.from(ca), cert: Buffer.from(certificate), key: Buffer.from(key) };
}

/**
 * Providers of `TRANSACTIONS` and `CLUSTER` and of all that works behind them.
 *
 * @param createBus Kafka by default; measurements of a coordinator alone bring their own
 */
export function engineProviders(createBus?: CreateBus): readonly Provider[] {
  return [
    {
      provide: Engine,
      inject: [CONFIG, LOGGER, ON_FATAL, Metrics, ArmableFailpoints],
      useFactory: (
        config: Config,
        logger: Logger,
        onFatal: (error: Error) => void,
        metrics: Metrics,
        failpoints: ArmableFailpoints,
      ) => Engine.start(config, logger, onFatal, metrics, failpoints, createBus),
    },
    { provide: TRANSACTIONS, inject: [Engine], useFactory: ({ manager }: Engine) => manager },
    { provide: CLUSTER, inject: [Engine], useFactory: ({ cluster }: Engine) => cluster },
  ];
}
