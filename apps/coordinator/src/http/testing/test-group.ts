import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { ApplyResult } from '@concordat/commit-protocol';
import { noFailpoints, silentLogger, SystemClock, SystemRandom } from '@concordat/foundation';
import { RaftNode, type Member } from '@concordat/raft';
import { MemoryNetwork, MemoryStorage } from '@concordat/raft/testing';
import { createCoordinator } from '../../bootstrap.js';
import { memberAt } from '../../cluster/member-address.js';
import { RaftCluster } from '../../cluster/raft-cluster.js';
import { CompressedEndedTransactions } from '../../decision-log/ended-archive.js';
import { RaftDecisionLog } from '../../decision-log/raft-decision-log.js';
import { Locks } from '../../locks/locks.js';
import { DEFAULT_TRANSACTION_OPTIONS } from '../../transactions/options.js';
import { RecordingBus } from '../../transactions/testing/recording-bus.js';
import { TransactionManager } from '../../transactions/transaction-manager.js';
import { engineModule } from './fake-engine.js';
import { testConfig } from './test-node.js';

const TICK_MS = 10;

/** A coordinator whose parts are all real, but for its disk, the network between the nodes, and Kafka. */
export interface GroupNode {
  readonly nodeId: number;
  readonly app: NestFastifyApplication;
  readonly cluster: RaftCluster;
  readonly manager: TransactionManager;
  readonly locks: Locks;
  readonly bus: RecordingBus;
  readonly log: RaftDecisionLog;
  readonly httpPort: number;
  stop(): Promise<void>;
}

/** An answer as a client sees it. */
export interface GroupAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly appliedIndex: number;
}

/** Variables of every node, or of each. */
export type NodeEnvironment = Readonly<Record<string, string>> | ((nodeId: number) => Readonly<Record<string, string>>);

/** Several coordinators in one process, on real time. */
export class TestGroup {
  readonly network = new MemoryNetwork({ clock: new SystemClock(), random: new SystemRandom() });
  readonly nodes = new Map<number, GroupNode>();

  /**
   * @param environment further variables of every node
   * @param tickMs longer where the process has so much to do that followers would take their leader for dead
   */
  constructor(
    private readonly environment: NodeEnvironment = {},
    private readonly tickMs = TICK_MS,
  ) {}

  /** Nodes 1 to `count`, one of which leads. */
  static async start(count: number, ...options: ConstructorParameters<typeof TestGroup>): Promise<TestGroup> {
    const group = new TestGroup(...options);
    const members: Member[] = []; // complete before the first node starts
    const prepared = [];
    for (let nodeId = 1; nodeId <= count; nodeId++) prepared.push(await group.prepare(nodeId, members, false));
    await Promise.all(prepared.map((start) => start()));
    await group.leader();
    return group;
  }

  /** A node that waits to be added. */
  async join(nodeId: number): Promise<GroupNode> {
    await (
      await this.prepare(nodeId, [...this.members()], true)
    )();
    return this.node(nodeId);
  }

  node(nodeId: number): GroupNode {
    const node = this.nodes.get(nodeId);
    if (!node) throw new TypeError(`node ${nodeId} does not run`);
    return node;
  }

  /** The node that leads, as soon as one does and the group is born; not one of `except`. */
  async leader(except: readonly number[] = []): Promise<GroupNode> {
    const leading = (): GroupNode | undefined =>
      [...this.nodes.values()].find(
        ({ nodeId, cluster, log }) => cluster.isLeader() && log.state.bornAt !== undefined && !except.includes(nodeId),
      );
    await this.until(() => leading() !== undefined);
    return leading()!;
  }

  async followers(): Promise<GroupNode[]> {
    const { nodeId } = await this.leader();
    return [...this.nodes.values()].filter((node) => node.nodeId !== nodeId);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, TICK_MS / 2));
  }

  async stop(): Promise<void> {
    this.network.heal();
    await Promise.all([...this.nodes.values()].map((node) => node.stop()));
  }

  private *members(): Iterable<Member> {
    for (const { nodeId, httpPort } of this.nodes.values()) yield memberOfPort(nodeId, httpPort);
  }

  /** Builds a node and lets it listen; the function returned starts it, when all addresses are known. */
  private async prepare(nodeId: number, members: Member[], join: boolean): Promise<() => Promise<void>> {
    const [clock, random, bus] = [new SystemClock(), new SystemRandom(), new RecordingBus()];
    const log = new RaftDecisionLog(new CompressedEndedTransactions());
    const node = new RaftNode<ApplyResult>({
      nodeId,
      members,
      join,
      storage: new MemoryStorage(),
      transport: this.network.transport(nodeId),
      stateMachine: log.stateMachine,
      clock,
      random,
      tickMs: this.tickMs,
    });
    log.attach(node);
    const options = { ...DEFAULT_TRANSACTION_OPTIONS, cluster: 'test' };
    const common = { log, bus, clock, random, failpoints: noFailpoints, logger: silentLogger };
    const manager = new TransactionManager({ ...common, options });
    const locks = new Locks({ log, clock });
    const config = testConfig({
      ...(typeof this.environment === 'function' ? this.environment(nodeId) : this.environment),
      CONCORDAT_NODE_ID: String(nodeId),
      CONCORDAT_PEERS: `${nodeId}=h:1/h:2`,
    });
    const cluster = new RaftCluster({ clusterName: 'test', tls: config.tls }, node, clock, () =>
      bus.connected ? undefined : 'the broker cannot be reached',
    );
    const app = await createCoordinator({
      config,
      logger: silentLogger,
      onFatal: (error) => {
        throw error;
      },
      engine: engineModule(manager, locks, cluster),
    });
    await app.listen(0, '127.0.0.1');
    const httpPort = Number(new URL(await app.getUrl()).port);
    members.push(memberOfPort(nodeId, httpPort));
    const stop = async (): Promise<void> => {
      await app.close();
      await node.stop();
      manager.stop();
      locks.stop();
    };
    this.nodes.set(nodeId, { nodeId, app, cluster, manager, locks, bus, log, httpPort, stop });
    return () => node.start();
  }
}

/** One request to one node. */
export async function ask(
  { app }: GroupNode,
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  url: string,
  payload?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<GroupAnswer> {
  const answer = await app.inject({ method, url, headers, ...(payload && { payload }) });
  const appliedIndex = Number(answer.headers['concordat-applied-index'] ?? NaN);
  return { status: answer.statusCode, body: answer.body === '' ? {} : answer.json(), appliedIndex };
}

function memberOfPort(nodeId: number, httpPort: number): Member {
  return memberAt(nodeId, { host: `node-${nodeId}`, port: 1 }, { host: '127.0.0.1', port: httpPort });
}
