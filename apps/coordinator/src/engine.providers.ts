import type { FactoryProvider, Provider } from '@nestjs/common';
import type { ApplyResult } from '@concordat/commit-protocol';
import {
  ArmableFailpoints,
  noFailpoints,
  SystemClock,
  SystemRandom,
  type Certificates,
  type Clock,
  type Failpoints,
  type Logger,
  type Tracing,
  formatAddress,
} from '@concordat/foundation';
import {
  BothRoads,
  createSignatures,
  KafkaMessageBus,
  type CoordinatorStatus,
  type MessageBus,
  kafkaSecurityOptions,
} from '@concordat/messaging';
import {
  type FileStorage,
  GrpcTransport,
  RaftNode,
  type RaftStatus,
  type RaftStorage,
  type RaftTransport,
  type TransportTls,
} from '@concordat/raft';
import { AuditLog } from './auth/audit-log.js';
import { CLUSTER } from './cluster/cluster.api.js';
import { httpUrlOf, memberAt } from './cluster/member-address.js';
import { memberCheck, memberLinks } from './member-check.js';
import { RaftCluster } from './cluster/raft-cluster.js';
import { CONFIG, type Config } from './config.js';
import { ON_FATAL } from './core.module.js';
import { warnOfOpenDirectory } from './data-directory-mode.js';
import { DebugClock } from './debug-clock.js';
import { CompressedEndedTransactions } from './decision-log/ended-archive.js';
import { RaftDecisionLog } from './decision-log/raft-decision-log.js';
import { storageWithFailpoints } from './failpoints/failpoint-storage.js';
import { DirectLink, type RefusedStream } from './inbound/direct-link.js';
import { RepliesConsumer } from './inbound/replies-consumer.js';
import { Locks } from './locks/locks.js';
import { LOCKS, type LocksApi } from './locks/locks.api.js';
import { LOGGER } from './logging.js';
import { watchStorage } from './metrics/link-metrics.js';
import { Metrics } from './metrics/metrics.js';
import { NodeCertificates } from './node-certificates.js';
import type { GroupClocks } from './transactions/clocks/group-clocks.js';
import { DEFAULT_TRANSACTION_OPTIONS, type TransactionOptions } from './transactions/options.js';
import { TransactionManager } from './transactions/transaction-manager.js';
import { recordSpan } from './transactions/queries/decided-span.js';
import { TRANSACTIONS, type TransactionsApi } from './transactions/transactions.api.js';

/** Creates the message bus. It does not connect. */
export type CreateBus = (config: Config, logger: Logger, direct: DirectLink | undefined, audit: AuditLog) => MessageBus;

/** What stands in for parts of the service, where another process runs a coordinator. */
export interface EngineParts {
  /** default: the roads that the configuration names */
  readonly createBus?: CreateBus;
  /** default: files in the data directory */
  readonly storage?: RaftStorage;
  /** default: gRPC */
  readonly transport?: RaftTransport;
  /** default: those that the configuration arms */
  readonly failpoints?: Failpoints;
  /** gets a span for each transaction that is decided here and came with a trace; default: none */
  readonly tracing?: Tracing;
  /** how long a `Begin` waits for a record to share a write with; 0 where nothing is written to a disk */
  readonly beginDelayMs?: number;
  /** what the REST interface calls; default: the manager itself */
  readonly transactions?: (manager: TransactionManager) => TransactionsApi;
  /** the same for locks */
  readonly locks?: (locks: Locks) => LocksApi;
}

/** Token of the clock: the machine's, or `DebugClock`. */
const CLOCK = Symbol('CLOCK');
/** Token of the armable failpoints; undefined where the configuration does not allow them. */
const FAILPOINTS = Symbol('FAILPOINTS');
/** Token of the road between the nodes. */
const RAFT_TRANSPORT = Symbol('RAFT_TRANSPORT');
/** Token of what keeps the log. */
const RAFT_STORAGE = Symbol('RAFT_STORAGE');
/** Token of the Raft node. It has read its log and takes part in its group. */
export const RAFT_NODE = Symbol('RAFT_NODE');
/** Token of the message bus. The broker may be unavailable. */
export const MESSAGE_BUS = Symbol('MESSAGE_BUS');
/** Token of the direct streams; undefined where the link is Kafka alone. */
export const DIRECT_LINK = Symbol('DIRECT_LINK');

/** By the roads that the configuration names. */
const createConfiguredBus: CreateBus = (config, logger, direct, audit) => {
  const { link, kafkaBrokers, nodeId, clusterName: cluster, topicPrefix } = config;
  if (direct && link === 'direct') return direct.bus;
  const clientId = `coordinator-${nodeId}`;
  // deadlines need the right time, so a test's clock is not asked for the age of a signature
  const clock = new SystemClock();
  const signatures = createSignatures(config.signatures, {
    cluster,
    sender: 'coordinator',
    clock,
    logger,
    disbelieved: ({ topic, partition, offset }, { reason, message: note }) =>
      audit.attempt({
        event: 'refused-message',
        what: `a message of ${topic} (partition ${partition}, offset ${offset})`,
        reason,
        note,
      }),
  });
  const kafka = new KafkaMessageBus({
    brokers: kafkaBrokers,
    clientId,
    cluster,
    role: 'coordinator',
    topicPrefix,
    logger,
    ...(signatures && { signatures }),
    ...kafkaSecurityOptions(config.kafkaSecurity, logger, true), // `NodeCertificates` does
  });
  return direct ? new BothRoads(direct.bus, kafka, logger) : kafka;
};

function messageBusProvider(createBus = createConfiguredBus): FactoryProvider<MessageBus> {
  return {
    provide: MESSAGE_BUS,
    inject: [CONFIG, LOGGER, { token: DIRECT_LINK, optional: true }, AuditLog],
    useFactory: createBus,
  };
}

const directLinkProvider: FactoryProvider<DirectLink | undefined> = {
  provide: DIRECT_LINK,
  inject: [CONFIG, CLOCK, LOGGER, NodeCertificates, AuditLog],
  useFactory: (config: Config, clock: Clock, logger: Logger, certificates: NodeCertificates, audit: AuditLog) => {
    const { link, nodeId, clusterName: cluster, direct: listen, directAdvertised: advertised } = config;
    if (link === 'kafka') return undefined;
    const tls = config.tls && { certificates, acceptsPlain: config.tls.mode !== 'require' };
    const onRefused = ({ participant, address, reason }: RefusedStream): void =>
      audit.attempt({
        event: 'refused-stream',
        what: `a direct stream of ${participant ?? 'somebody'}`,
        ...(address !== undefined && { address }),
        reason,
      });
    const onDisbelieved = (participant: string, note: string): void => {
      const what = `a message of the direct stream of ${participant}`;
      audit.attempt({ event: 'refused-message', what, reason: 'NOT_ALLOWED_TO_SAY', note });
    };
    return new DirectLink({ nodeId, cluster, listen, advertised, clock, logger, tls, onRefused, onDisbelieved });
  },
};

const clockProvider: FactoryProvider<Clock> = {
  provide: CLOCK,
  inject: [CONFIG],
  useFactory: ({ clockFile }: Config) => (clockFile === undefined ? new SystemClock() : new DebugClock(clockFile)),
};

function failpointsProvider(given: Failpoints | undefined): FactoryProvider<Failpoints> {
  return {
    provide: FAILPOINTS,
    inject: [CONFIG, ArmableFailpoints],
    useFactory: ({ failpoints }: Config, armable: ArmableFailpoints) =>
      given ?? (failpoints.enabled ? armable : noFailpoints),
  };
}

const grpcProvider: FactoryProvider<GrpcTransport> = {
  provide: GrpcTransport,
  inject: [CONFIG, CLOCK, LOGGER, NodeCertificates, AuditLog],
  useFactory: (
    { nodeId, clusterName, peers, raft, raftTls }: Config,
    clock: Clock,
    logger: Logger,
    { raft: certificates }: NodeCertificates,
    audit: AuditLog,
  ) => {
    const own = peers.find((peer) => peer.nodeId === nodeId);
    const transport = new GrpcTransport({
      nodeId,
      clusterName,
      listenAddress: formatAddress(raft),
      advertisedAddress: formatAddress(own?.raft ?? raft),
      seeds: new Map(peers.map((peer) => [peer.nodeId, formatAddress(peer.raft)])),
      ...(certificates && { tls: tlsFiles(certificates.current) }),
      ...(raftTls && { tlsMode: raftTls.mode }),
      clock,
      random: new SystemRandom(),
      logger,
      onRefused: ({ what, peer, reason }) =>
        audit.attempt({ event: 'refused-node', what: `${what} of a node`, address: peer, reason }),
    });
    certificates?.onChange(() => transport.setTls(tlsFiles(certificates.current)));
    return transport;
  },
};

/** `GrpcTransport` is undefined where another transport is given. */
function transportProviders(given: RaftTransport | undefined): Provider[] {
  if (!given) return [grpcProvider, { provide: RAFT_TRANSPORT, useExisting: GrpcTransport }];
  return [
    { provide: GrpcTransport, useFactory: () => undefined },
    { provide: RAFT_TRANSPORT, useValue: given },
  ];
}

function storageProvider(given: RaftStorage | undefined): Provider {
  if (given) return { provide: RAFT_STORAGE, useValue: given };
  return {
    provide: RAFT_STORAGE,
    inject: [CONFIG, FAILPOINTS, LOGGER, Metrics],
    useFactory: (
      { dataDirectory: directory, nodeId, clusterName }: Config,
      failpoints: Failpoints,
      logger: Logger,
      metrics: Metrics,
    ): FileStorage => {
      warnOfOpenDirectory(directory, logger);
      const storage = storageWithFailpoints({ directory, nodeId, clusterName, logger }, failpoints);
      watchStorage(metrics, storage);
      return storage;
    },
  };
}

const logProvider: FactoryProvider<RaftDecisionLog> = {
  provide: RaftDecisionLog,
  useFactory: () => new RaftDecisionLog(new CompressedEndedTransactions()),
};

/**
 * Resolves when the node has started.
 *
 * @throws the storage's error when the data directory cannot be used, the transport's when its port is taken
 */
const nodeProvider: FactoryProvider<RaftNode<ApplyResult>> = {
  provide: RAFT_NODE,
  inject: [CONFIG, RaftDecisionLog, RAFT_TRANSPORT, RAFT_STORAGE, CLOCK, LOGGER, ON_FATAL],
  useFactory: async (
    { nodeId, peers, join, bootstrap, tickMs, electionTicks }: Config,
    log: RaftDecisionLog,
    transport: RaftTransport,
    storage: RaftStorage,
    clock: Clock,
    logger: Logger,
    onFatal: (error: Error) => void,
  ) => {
    const node = new RaftNode({
      nodeId,
      members: peers.map((peer) => memberAt(peer.nodeId, peer.raft, peer.http)),
      join: join || !bootstrap,
      storage,
      transport,
      stateMachine: log.stateMachine,
      clock,
      random: new SystemRandom(),
      logger,
      tickMs,
      electionTicks,
      lazyFollowers: true,
      onFatal,
    });
    log.attach(node);
    await node.start();
    return node;
  },
};

const managerProvider = ({
  tracing,
  beginDelayMs = DEFAULT_TRANSACTION_OPTIONS.beginDelayMs,
}: EngineParts): FactoryProvider<TransactionManager> => ({
  provide: TransactionManager,
  inject: [
    CONFIG,
    RaftDecisionLog,
    RAFT_NODE,
    { token: GrpcTransport, optional: true },
    MESSAGE_BUS,
    CLOCK,
    FAILPOINTS,
    LOGGER,
    Metrics,
  ],
  useFactory: (
    config: Config,
    log: RaftDecisionLog,
    node: RaftNode<ApplyResult>,
    transport: GrpcTransport | undefined,
    bus: MessageBus,
    clock: Clock,
    failpoints: Failpoints,
    logger: Logger,
    metrics: Metrics,
  ) =>
    new TransactionManager(
      {
        log,
        bus,
        clock,
        random: new SystemRandom(),
        failpoints,
        logger,
        options: { ...transactionOptions(config), beginDelayMs },
        groupClocks: groupClocksOf(node, transport),
        onDecided: (transaction) => {
          metrics.transactionDecided(transaction.outcome!, transaction.cause?.reason);
          if (tracing) recordSpan(tracing, transaction);
        },
      },
      node.status().appliedIndex,
    ),
});

const locksProvider: FactoryProvider<Locks> = {
  provide: Locks,
  inject: [RaftDecisionLog, RAFT_NODE, { token: GrpcTransport, optional: true }, CLOCK],
  useFactory: (log: RaftDecisionLog, node: RaftNode<ApplyResult>, transport: GrpcTransport | undefined, clock: Clock) =>
    new Locks({ log, clock, groupClocks: groupClocksOf(node, transport) }),
};

/** Begins to connect at once; retries while the broker is unavailable. */
const repliesProvider: FactoryProvider<RepliesConsumer> = {
  provide: RepliesConsumer,
  inject: [
    CONFIG,
    RAFT_NODE,
    TransactionManager,
    MESSAGE_BUS,
    FAILPOINTS,
    LOGGER,
    { token: DIRECT_LINK, optional: true },
  ],
  useFactory: async (
    { nodeId }: Config,
    node: RaftNode<ApplyResult>,
    manager: TransactionManager,
    bus: MessageBus,
    failpoints: Failpoints,
    logger: Logger,
    direct: DirectLink | undefined,
  ) => {
    const replies = new RepliesConsumer(bus, manager, nodeId, logger, failpoints);
    node.onStatusChange(({ role }) => replies.consume(role === 'leader'));
    replies.consume(node.status().role === 'leader');
    void replies.start();
    if (direct) {
      // after the consumer, which must know first whether the node leads
      node.onStatusChange((status) => direct.tell(coordinatorStatus(status)));
      direct.tell(coordinatorStatus(node.status()));
      await direct.open();
    }
    return replies;
  },
};

const clusterProvider: FactoryProvider<RaftCluster> = {
  provide: RaftCluster,
  inject: [CONFIG, RAFT_NODE, CLOCK, RepliesConsumer, NodeCertificates, { token: DIRECT_LINK, optional: true }],
  useFactory: (
    config: Config,
    node: RaftNode<ApplyResult>,
    clock: Clock,
    replies: RepliesConsumer,
    certificates: NodeCertificates,
    direct: DirectLink | undefined,
  ) =>
    new RaftCluster(
      config,
      node,
      clock,
      () => replies.obstacle(),
      () => direct?.address,
      memberCheck(memberLinks(config, certificates)),
    ),
};

/** The providers of `TRANSACTIONS`, `LOCKS`, `CLUSTER` and all they need. */
export function engineProviders(parts: EngineParts): Provider[] {
  const { createBus, storage, transport, failpoints, transactions, locks } = parts;
  return [
    clockProvider,
    failpointsProvider(failpoints),
    ...transportProviders(transport),
    directLinkProvider,
    messageBusProvider(createBus),
    logProvider,
    storageProvider(storage),
    nodeProvider,
    managerProvider(parts),
    locksProvider,
    repliesProvider,
    clusterProvider,
    transactions
      ? { provide: TRANSACTIONS, inject: [TransactionManager], useFactory: transactions }
      : { provide: TRANSACTIONS, useExisting: TransactionManager },
    locks ? { provide: LOCKS, inject: [Locks], useFactory: locks } : { provide: LOCKS, useExisting: Locks },
    { provide: CLUSTER, useExisting: RaftCluster },
  ];
}

/** It claims to lead when it can act: what reaches it before that is lost. */
function coordinatorStatus({ leaderReady, term, configuration }: RaftStatus): CoordinatorStatus {
  return { leads: leaderReady, term, members: configuration.members.map((member) => httpUrlOf(member)) };
}

function transactionOptions(config: Config): TransactionOptions {
  return {
    ...DEFAULT_TRANSACTION_OPTIONS,
    cluster: config.clusterName,
    branchesNeedCoordinator: config.link === 'direct',
    maximumBranches: config.maximumBranches,
    maximumOpenTransactions: config.maximumOpen,
    maximumOpenBytes: config.maximumOpenBytes,
    retentionMs: config.retentionMs,
    maximumEnded: config.retentionCount,
    maximumEndedBytes: config.retentionBytes,
    retentionIntervalMs: config.retentionIntervalMs,
    inDoubtAfterMs: config.inDoubtAfterMs,
  };
}

/** The clocks of the other voters, from the pings of gRPC. */
function groupClocksOf(node: RaftNode<ApplyResult>, transport: GrpcTransport | undefined): GroupClocks {
  return {
    get voters() {
      return node.status().configuration.voters.length;
    },
    readings: () => {
      const { nodeId, configuration } = node.status();
      return configuration.voters.flatMap((voter) => (voter === nodeId ? [] : (transport?.peerClock(voter) ?? [])));
    },
  };
}

function tlsFiles({ ca = '', certificate, key, revoked }: Certificates): TransportTls {
  return { ca: Buffer.from(ca), cert: Buffer.from(certificate), key: Buffer.from(key), revoked };
}
