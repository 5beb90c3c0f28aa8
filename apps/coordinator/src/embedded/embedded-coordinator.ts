import type { Server } from 'node:http';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { ApplyResult } from '@concordat/commit-protocol';
import {
  errorMessage,
  formatAddress,
  formatProblems,
  invariant,
  noFailpoints,
  silentLogger,
  SystemClock,
  type Clock,
  type Environment,
  type Failpoints,
  type Logger,
  type Tracing,
} from '@concordat/foundation';
import type { MessageBus } from '@concordat/messaging';
import { MemoryStorage, type RaftNode } from '@concordat/raft';
import { createCoordinator } from '../bootstrap.js';
import { parseConfig, type Config } from '../config.js';
import { RaftDecisionLog } from '../decision-log/raft-decision-log.js';
import { EngineModule } from '../engine.module.js';
import { DIRECT_LINK, RAFT_NODE } from '../engine.providers.js';
import type { DirectLink } from '../inbound/direct-link.js';
import { RaftCluster } from '../cluster/raft-cluster.js';
import { TransactionManager } from '../transactions/transaction-manager.js';
import { Locks } from '../locks/locks.js';
import type { LocksApi } from '../locks/locks.api.js';
import type { TransactionsApi } from '../transactions/transactions.api.js';
import { Door } from './door.js';
import { CoordinatorDownError, EmbeddedConfigurationError, EmbeddedStartError } from './errors.js';
import { LoneTransport } from './lone-transport.js';

const HOST = '127.0.0.1';
const NODE_ID = 1;
/** Between two looks whether the node leads. */
const POLL_MS = 1;
const READY_LIMIT_MS = 20_000;
/** Few enough for the usual limit of open files, with several coordinators in one process. */
const CONNECTIONS = '100';

export interface EmbeddedCoordinatorOptions {
  /** name of the cluster; default `local`, as for participants */
  readonly cluster?: string;
  /** further variables of a coordinator (docs/operations.md), such as `CONCORDAT_IN_DOUBT_AFTER_MS` */
  readonly environment?: Environment;
  readonly logger?: Logger;
  /** around what this coordinator does; all of its lives pass them */
  readonly failpoints?: Failpoints;
  /** gets a span for each transaction that is decided and came with a trace; default: none */
  readonly tracing?: Tracing;
  /** stands between the coordinator and the streams of the participants; called for each life */
  readonly wrapBus?: (bus: MessageBus) => MessageBus;
  /** stands between the REST interface and the coordinator; called for each life */
  readonly wrapTransactions?: (manager: TransactionManager) => TransactionsApi;
  /** the same for locks */
  readonly wrapLocks?: (locks: Locks) => LocksApi;
}

/** Everything that a crash takes with it. */
interface Life {
  readonly app: NestFastifyApplication;
  readonly node: RaftNode<ApplyResult>;
  readonly transport: LoneTransport;
  readonly log: RaftDecisionLog;
  readonly manager: TransactionManager;
  readonly locks: Locks;
  readonly cluster: RaftCluster;
  readonly direct: DirectLink;
}

/**
 * A whole coordinator inside another process: the service's own code, alone in its group, with its log in memory, REST
 * on a free port, and direct streams for participants. Its URL and its log outlive its crashes; nothing outlives `stop`.
 *
 * States: starting → up ⇄ down (`crash`, `recover`) → stopped.
 */
export class EmbeddedCoordinator {
  private readonly storage = new MemoryStorage();
  private readonly clock: Clock = new SystemClock();
  private readonly logger: Logger;
  private life: Life | undefined;
  private starting: Promise<void> | undefined;
  private failure: Error | undefined;
  private stopped = false;
  /** lives that are over, and whose remains are being cleared away */
  private readonly burials = new Set<Promise<void>>();
  /** rises with each crash, so that a life that was still starting knows that it is over */
  private crashes = 0;

  private constructor(
    private readonly options: EmbeddedCoordinatorOptions,
    private readonly door: Door,
    private readonly config: Config,
  ) {
    this.logger = options.logger ?? silentLogger;
  }

  /**
   * Resolves when it leads and answers.
   *
   * @throws EmbeddedConfigurationError naming each wrong variable
   */
  static async start(options: EmbeddedCoordinatorOptions = {}): Promise<EmbeddedCoordinator> {
    const door = await Door.at(HOST);
    try {
      const coordinator = new EmbeddedCoordinator(options, door, configOf(options, formatAddress(door.address)));
      await coordinator.recover();
      return coordinator;
    } catch (error) {
      await door.close();
      throw error;
    }
  }

  get url(): string {
    return `http://${formatAddress(this.door.address)}`;
  }

  get clusterName(): string {
    return this.config.clusterName;
  }

  get isUp(): boolean {
    return this.life !== undefined;
  }

  /** The transactions of the present life. @throws CoordinatorDownError */
  get manager(): TransactionManager {
    return this.present().manager;
  }

  /** The locks of the present life. @throws CoordinatorDownError */
  get locks(): Locks {
    return this.present().locks;
  }

  /** What the log says, applied. @throws CoordinatorDownError */
  get state(): RaftDecisionLog['state'] {
    return this.present().log.state;
  }

  /** Of the present leadership. @throws CoordinatorDownError */
  get term(): number {
    return this.present().node.status().term;
  }

  /** Open direct streams by participant; none while it is down. */
  streams(): ReadonlyMap<string, number> {
    return this.life?.direct.bus.streamCounts() ?? new Map<string, number>();
  }

  /**
   * Dies as by kill -9, at once: connections break, nothing more is logged or sent, and waiting clients get no answer.
   * What is in the log stays. No effect while it is down.
   */
  crash(): void {
    this.crashes++;
    const { life } = this;
    if (!life) return;
    this.life = undefined;
    this.bury(life);
  }

  /** Starts again from its log; resolves when it leads and answers. No effect while it is up. */
  async recover(): Promise<void> {
    if (this.stopped) throw new CoordinatorDownError('the coordinator was stopped; start a new one');
    if (this.failure) {
      throw new CoordinatorDownError(`the coordinator cannot continue: ${errorMessage(this.failure)}`, {
        cause: this.failure,
      });
    }
    this.starting ??= this.begin().finally(() => (this.starting = undefined));
    await this.starting;
  }

  /**
   * Loses its leadership to another node's election, and takes over again in a later term: everything in flight is
   * built anew from the log. Connections and direct streams stay. Resolves when it leads again.
   */
  async failOver(): Promise<void> {
    const life = this.present();
    const { term } = life.node.status();
    life.transport.depose(term);
    await this.until(life, () => !life.node.status().leaderReady);
    life.transport.handOver(life.node.status().term);
    await this.lead(life, term);
  }

  /** Ends it for good: no timer, no connection and no listener stays. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    await this.starting?.catch(() => undefined);
    this.crash();
    await this.door.close();
    await Promise.all(this.burials);
  }

  private present(): Life {
    if (this.life) return this.life;
    const remedy = this.stopped ? 'it was stopped' : 'it has crashed; recover() starts it again';
    throw new CoordinatorDownError(`the coordinator does not run: ${remedy}`, {
      ...(this.failure && { cause: this.failure }),
    });
  }

  private async begin(): Promise<void> {
    if (this.life) return;
    const { crashes } = this;
    const life = await this.createLife();
    if (this.crashes !== crashes || this.stopped) {
      this.bury(life);
      throw new CoordinatorDownError('the coordinator crashed while it started; recover() starts it again');
    }
    this.life = life;
    await this.lead(life);
    const server: Server = life.app.getHttpServer();
    if (this.life === life) this.door.open((socket) => void server.emit('connection', socket));
  }

  private async createLife(): Promise<Life> {
    const { config, logger, storage } = this;
    const { failpoints = noFailpoints, wrapBus, wrapTransactions, wrapLocks, tracing } = this.options;
    const transport = new LoneTransport(NODE_ID);
    const engine = EngineModule.register({
      storage,
      transport,
      failpoints,
      beginDelayMs: 0, // in memory a write costs nothing, and a change of leader finds every transaction
      createBus: (_config, _logger, direct) => {
        invariant(direct, 'an embedded coordinator has direct streams');
        return wrapBus ? wrapBus(direct.bus) : direct.bus;
      },
      ...(tracing && { tracing }),
      ...(wrapTransactions && { transactions: wrapTransactions }),
      ...(wrapLocks && { locks: wrapLocks }),
    });
    const onFatal = (error: Error): void => {
      this.failure = error;
      logger.error('the coordinator cannot continue', error);
      this.crash();
    };
    const app = await createCoordinator({ config, logger, onFatal, engine });
    const all = { strict: false };
    const life = {
      app,
      transport,
      node: app.get<RaftNode<ApplyResult>>(RAFT_NODE, all),
      log: app.get(RaftDecisionLog, all),
      manager: app.get(TransactionManager, all),
      locks: app.get(Locks, all),
      cluster: app.get(RaftCluster, all),
      direct: app.get<DirectLink>(DIRECT_LINK, all),
    };
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    return life;
  }

  /** Resolves when it leads in a term after this one, and acts. */
  private async lead(life: Life, after = 0): Promise<void> {
    const { node, transport } = life;
    const { term, role } = node.status();
    // With a log, it would wait for another leader first.
    if (role === 'follower' && term > 0) transport.handOver(term);
    await this.until(life, () => {
      const status = node.status();
      const acts = life.log.state.bornAt !== undefined && life.cluster.lacks().length === 0;
      return status.leaderReady && status.term > after && acts;
    });
  }

  private async until(life: Life, condition: () => boolean): Promise<void> {
    const deadline = this.clock.monotonic() + READY_LIMIT_MS;
    while (!condition()) {
      if (this.life !== life) throw new CoordinatorDownError('the coordinator crashed; recover() starts it again');
      if (this.clock.monotonic() > deadline) {
        const lacks = life.cluster.lacks().map(({ reason }) => reason);
        throw new EmbeddedStartError(`the coordinator does not lead after ${READY_LIMIT_MS} ms: ${lacks.join('; ')}`);
      }
      await new Promise<void>((resolve) => void this.clock.setTimer(POLL_MS, resolve));
    }
  }

  /** The first lines end the life at once; the rest clears away what it leaves. */
  private bury({ app, node, manager, locks, direct }: Life): void {
    this.door.shut();
    node.kill();
    direct.bus.crash();
    direct.close();
    manager.stop();
    locks.stop();
    this.storage.crash();
    const burial = app.close().catch((error: unknown) => {
      this.logger.warn(`a coordinator that has crashed was not cleared away: ${errorMessage(error)}`);
    });
    const kept = burial.finally(() => this.burials.delete(kept));
    this.burials.add(kept);
  }
}

function configOf({ cluster, environment }: EmbeddedCoordinatorOptions, http: string): Config {
  const result = parseConfig({
    CONCORDAT_MAX_CONNECTIONS: CONNECTIONS,
    ...environment,
    ...(cluster !== undefined && { CONCORDAT_CLUSTER: cluster }),
    CONCORDAT_NODE_ID: String(NODE_ID),
    CONCORDAT_PEERS: `${NODE_ID}=${HOST}:1/${http}`,
    CONCORDAT_DATA_DIR: 'memory',
    CONCORDAT_LINK: 'direct',
  });
  if (!result.ok) throw new EmbeddedConfigurationError(formatProblems(result.problems));
  return result.config;
}
