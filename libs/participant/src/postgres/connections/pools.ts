import { Client, Pool, type ClientBase, type ClientConfig, type PoolClient } from 'pg';
import { errorMessage, guarded, withTimeLimit, type Clock, type Logger } from '@concordat/foundation';
import { ResourceManagerUnavailableError } from '../../runtime/errors.js';
import { destroy } from './destroy.js';
import { classifyFailure, type SessionFate } from '../statements/failure-classes.js';
import { GatheringSocket } from './gathering-socket.js';
import { StatementLanes } from './statement-lanes.js';
import type { PostgresResourceManagerSettings } from '../settings.js';

/** `work` may wait for locks, `decision` must never wait behind it, `look` finds out what is true. */
export type PoolName = 'work' | 'decision' | 'look';

/** a statement of the library itself without an answer for so long means a dead connection */
export const DEFAULT_ANSWER_TIMEOUT_MS = 15_000;
/** An idle connection whose other end is gone without a word is noticed some ten probes, one a second, later. */
export const KEEP_ALIVE_AFTER_MS = 10_000;
const CLOSE_LIMIT_MS = 1_000;
const LOOK_CONNECTIONS = 4;
/** Two keep a server's log busy; more of them share less. */
const DECISION_LANES = 2;

/**
 * The connections of one participant: three pools that never lend to each other. Statements for work are pipelined:
 * each is sent without waiting for the answer to the one before, and what is sent in one turn is one write.
 */
export class PostgresPools {
  /** for single statements about prepared transactions; like `decision`, never behind work */
  readonly lanes: StatementLanes;
  private readonly pools: Readonly<Record<PoolName, Pool>>;
  /** goes up when all sessions of a pool are to be replaced */
  private readonly generation: Record<PoolName, number> = { work: 0, decision: 0, look: 0 };
  private readonly births = new WeakMap<PoolClient, { readonly pool: PoolName; readonly generation: number }>();
  private readonly lent = new Set<PoolClient>();
  private closed = false;

  constructor(
    settings: PostgresResourceManagerSettings,
    private readonly clock: Clock,
    private readonly logger: Logger,
    /** awaited before a new connection is used */
    private readonly onConnected: (client: ClientBase) => Promise<void>,
  ) {
    const answerTimeoutMs = settings.answerTimeoutMs ?? DEFAULT_ANSWER_TIMEOUT_MS;
    const connection = (name: string, queryTimeoutMs?: number): ClientConfig => ({
      connectionString: settings.connectionString,
      application_name: `${settings.applicationName ?? 'concordat'}-${name}`,
      connectionTimeoutMillis: settings.connectTimeoutMs ?? 5_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      ...(queryTimeoutMs !== undefined && { query_timeout: queryTimeoutMs }),
    });
    const laneClient = (): Client =>
      new Client({
        ...connection('decision', answerTimeoutMs),
        pipeline: true,
        stream: () => new GatheringSocket(),
      });
    this.lanes = new StatementLanes(DECISION_LANES, laneClient, onConnected, (error) => this.lost('decision', error));
    const verify = (client: PoolClient, done: (error?: Error) => void): void => {
      const look = withTimeLimit(this.clock, answerTimeoutMs, 'the look at the database', this.onConnected(client));
      look.then(() => done(), done);
    };
    const open = (name: PoolName, max: number, queryTimeoutMs?: number): Pool => {
      const pipelined = name === 'work' && { pipeline: true, stream: () => new GatheringSocket() };
      const pool = new Pool({ ...connection(name, queryTimeoutMs), ...pipelined, max, idleTimeoutMillis: 0, verify });
      // A connection says `error` when its server dies, in the pool and lent alike; unheard it ends the process.
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
      work: open('work', settings.workConnections ?? 8),
      decision: open('decision', settings.decisionConnections ?? 8, answerTimeoutMs),
      look: open('look', LOOK_CONNECTIONS, answerTimeoutMs),
    };
  }

  /** @throws ResourceManagerUnavailableError when no connection can be had */
  async connect(name: PoolName): Promise<PoolClient> {
    try {
      for (;;) {
        const client = await this.pools[name].connect();
        if (!this.isStale(client)) {
          this.lent.add(client);
          return client;
        }
        client.release(true); // one that was idle; there are no more of them than connections
      }
    } catch (cause) {
      throw new ResourceManagerUnavailableError(`the database cannot be reached: ${errorMessage(cause)}`, { cause });
    }
  }

  /**
   * Lends a connection for `use`. When that fails the connection is closed unless the server said why and the
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
      this.giveBack(client, fate);
    }
  }

  /** Ends a loan: only an intact session is lent again, and only if none like it was found to be stale. */
  giveBack(client: PoolClient, fate: SessionFate): void {
    // `pg` waits for what is under way before it says goodbye, which never ends on a connection that does not answer
    this.lent.delete(client);
    if (fate === 'dead') destroy(client);
    client.release(fate !== 'intact' || this.isStale(client));
  }

  /** The sessions of this pool keep what is not true any more (plans of a changed schema): none is lent again. */
  renew(name: PoolName): void {
    this.generation[name]++;
  }

  /** Every session leads to a database that is not there any more, or should not be used. */
  renewAll(): void {
    for (const name of Object.keys(this.pools) as PoolName[]) this.renew(name);
    this.lanes.renew();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    const ends = Promise.all([this.lanes.close(), ...Object.values(this.pools).map((pool) => pool.end())]);
    try {
      await withTimeLimit(this.clock, CLOSE_LIMIT_MS, 'closing the connections', ends);
    } catch (error) {
      this.logger.warn(`${errorMessage(error)}: ${this.lent.size} connections are in use and are cut off`);
      for (const client of this.lent) destroy(client);
      this.lanes.cut();
    }
  }

  private isStale(client: PoolClient): boolean {
    const birth = this.births.get(client);
    return birth !== undefined && birth.generation < this.generation[birth.pool];
  }

  /** The logger is the application's; where it fails itself, Node.js says so in a warning of the process. */
  private listenerFailed(error: unknown): void {
    this.logger.error(`a listener on the connections to the database failed: ${errorMessage(error)}`, error);
  }

  private lost(name: PoolName, error: Error): void {
    if (!this.closed) this.logger.warn(`a ${name} connection to the database was lost: ${error.message}`);
  }
}
