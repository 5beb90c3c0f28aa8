import { Pool, type Client, type ClientBase, type ClientConfig, type PoolClient } from 'pg';
import { errorMessage, guarded, withTimeLimit, type Clock, type Logger } from '@concordat/foundation';
import { ResourceManagerUnavailableError } from '../../runtime/errors.js';
import { postgresConnection } from './connection-config.js';
import { destroy } from './destroy.js';
import { classifyFailure, type SessionFate } from '../statements/failure-classes.js';
import { GatheringClient } from './gathering-client.js';
import { watchShownCertificate } from './shown-certificate.js';
import { StatementLanes } from './statement-lanes.js';
import type { PostgresResourceManagerSettings } from '../settings.js';

/** `work` may wait for locks, `decision` never waits behind it, `look` finds out the state of branches. */
export type PoolName = 'work' | 'decision' | 'look';

/** a library statement without an answer for this long means a dead connection */
export const DEFAULT_ANSWER_TIMEOUT_MS = 15_000;
/** The loss of an idle connection's peer is noticed after ten more probes, one per second. */
export const KEEP_ALIVE_AFTER_MS = 10_000;
const CLOSE_LIMIT_MS = 1_000;
const LOOK_CONNECTIONS = 4;
/** As many as branches whose work runs at once: waiting for a connection would only move the queue. */
export const DEFAULT_WORK_CONNECTIONS = 16;
/** Statements on one connection flush one after the other; those of several connections share a flush. */
const DEFAULT_ENDING_CONNECTIONS = 4;
const DEFAULT_DECISION_CONNECTIONS = 8;

/** All connections that a process with these settings may open. */
export function connectionsOf(
  settings: Pick<PostgresResourceManagerSettings, 'workConnections' | 'decisionConnections' | 'endingConnections'>,
): number {
  const { workConnections = DEFAULT_WORK_CONNECTIONS, decisionConnections = DEFAULT_DECISION_CONNECTIONS } = settings;
  const { endingConnections = DEFAULT_ENDING_CONNECTIONS } = settings;
  return workConnections + decisionConnections + endingConnections + LOOK_CONNECTIONS;
}

/**
 * The connections of one participant: three separate pools. Statements for work are pipelined: each is sent without
 * waiting for the answer before it, and those of one turn are one write.
 */
export class PostgresPools {
  /** for single statements about prepared transactions; like `decision`, never behind work */
  readonly lanes: StatementLanes;
  private readonly pools: Readonly<Record<PoolName, Pool>>;
  /** incremented when all sessions of a pool must be replaced */
  private readonly generation: Record<PoolName, number> = { work: 0, decision: 0, look: 0 };
  private readonly births = new WeakMap<PoolClient, { readonly pool: PoolName; readonly generation: number }>();
  private readonly lentClients = new Set<PoolClient>();
  private closed = false;
  private readonly certificate: ReturnType<typeof watchShownCertificate>;

  constructor(
    settings: PostgresResourceManagerSettings,
    private readonly clock: Clock,
    private readonly logger: Logger,
    /** awaited before a new connection is used */
    private readonly onConnected: (client: ClientBase) => Promise<void>,
  ) {
    this.certificate = watchShownCertificate(settings, clock, logger);
    const { answerTimeoutMs = DEFAULT_ANSWER_TIMEOUT_MS, endingConnections = DEFAULT_ENDING_CONNECTIONS } = settings;
    const target = postgresConnection(settings);
    const connection = (name: string, queryTimeoutMs?: number): ClientConfig => ({
      ...target,
      application_name: `${settings.applicationName ?? 'concordat'}-${name}`,
      connectionTimeoutMillis: settings.connectTimeoutMs ?? 5_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      ...(queryTimeoutMs !== undefined && { query_timeout: queryTimeoutMs }),
    });
    const laneClient = (): Client => new GatheringClient(connection('decision', answerTimeoutMs));
    this.lanes = new StatementLanes(endingConnections, laneClient, onConnected, (error) =>
      this.lost('decision', error),
    );
    const verify = (client: PoolClient, done: (error?: Error) => void): void => {
      const look = withTimeLimit(this.clock, answerTimeoutMs, 'the check of the database', this.onConnected(client));
      look.then(() => done(), done);
    };
    const open = (name: PoolName, max: number, queryTimeoutMs?: number): Pool => {
      const pipelined = name === 'work' && { Client: GatheringClient };
      const pool = new Pool({ ...connection(name, queryTimeoutMs), ...pipelined, max, idleTimeoutMillis: 0, verify });
      // A connection emits `error` when its server dies; without a listener that would end the process.
      const guardedLoss = guarded(
        (error: Error) => this.lost(name, error),
        (error) => this.listenerFailed(error),
      );
      const born = (client: PoolClient): void => {
        this.births.set(client, { pool: name, generation: this.generation[name] });
        client.on('error', guardedLoss);
      };
      pool.on('error', guardedLoss);
      pool.on(
        'connect',
        guarded(born, (error) => this.listenerFailed(error)),
      );
      return pool;
    };
    this.pools = {
      work: open('work', settings.workConnections ?? DEFAULT_WORK_CONNECTIONS),
      decision: open('decision', settings.decisionConnections ?? DEFAULT_DECISION_CONNECTIONS, answerTimeoutMs),
      look: open('look', LOOK_CONNECTIONS, answerTimeoutMs),
    };
  }

  /** @throws ResourceManagerUnavailableError when no connection is available */
  async connect(name: PoolName): Promise<PoolClient> {
    try {
      for (;;) {
        const client = await this.pools[name].connect();
        if (!this.isStale(client)) {
          this.lentClients.add(client);
          return client;
        }
        client.release(true); // an idle one; they are not more than the pool's connections
      }
    } catch (cause) {
      throw new ResourceManagerUnavailableError(`the database cannot be reached: ${errorMessage(cause)}`, { cause });
    }
  }

  /**
   * Lends a connection for `use`. When that fails, the connection is closed unless the server sent the error and the
   * session is clean.
   */
  async with<T>(name: PoolName, use: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.connect(name);
    let fate: SessionFate = 'dead';
    try {
      const result = await use(client);
      fate = 'intact';
      return result;
    } catch (error) {
      fate = classifyFailure(error).session;
      throw error;
    } finally {
      this.release(client, fate);
    }
  }

  /** Ends a loan: only an intact session of the current generation is lent again. */
  release(client: PoolClient, fate: SessionFate): void {
    // `pg` waits for running statements before it closes, which never ends on a dead connection
    this.lentClients.delete(client);
    if (fate === 'dead') destroy(client);
    client.release(fate !== 'intact' || this.isStale(client));
  }

  /** Replaces the sessions of this pool, whose plans are stale after a schema change. */
  renew(name: PoolName): void {
    this.generation[name]++;
  }

  /** Replaces all sessions: the database is gone, or must not be used. */
  renewAll(): void {
    for (const name of Object.keys(this.pools) as PoolName[]) this.renew(name);
    this.lanes.renew();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.certificate?.stop();
    const ends = Promise.all([this.lanes.close(), ...Object.values(this.pools).map((pool) => pool.end())]);
    try {
      await withTimeLimit(this.clock, CLOSE_LIMIT_MS, 'closing the connections', ends);
    } catch (error) {
      this.logger.warn(`${errorMessage(error)}: ${this.lentClients.size} connections are in use and are closed`);
      for (const client of this.lentClients) destroy(client);
      this.lanes.cut();
    }
  }

  private isStale(client: PoolClient): boolean {
    const birth = this.births.get(client);
    return birth !== undefined && birth.generation < this.generation[birth.pool];
  }

  /** The logger belongs to the application; if it throws, Node.js emits a warning. */
  private listenerFailed(error: unknown): void {
    this.logger.error(`a listener on the connections to the database failed: ${errorMessage(error)}`, error);
  }

  private lost(name: PoolName, error: Error): void {
    if (!this.closed) this.logger.warn(`a ${name} connection to the database was lost: ${error.message}`);
  }
}
