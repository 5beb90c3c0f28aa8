import { Pool, type ClientConfig, type PoolClient } from 'pg';
import { errorMessage, type Logger } from '@concordat/foundation';
import { ResourceManagerUnavailableError } from '../runtime/errors.js';
import { isConnectionLoss } from './sql-state.js';
import { GatheringSocket } from './gathering-socket.js';
import { StatementLanes } from './statement-lanes.js';
import type { PostgresResourceManagerSettings } from './types.js';

/** `work` may wait for locks, `ruling` must never wait behind it, `look` finds out what is true. */
export type PoolName = 'work' | 'ruling' | 'look';

const LOOK_CONNECTIONS = 4;
/** Two keep a server's log busy; more of them share less. */
const RULING_LANES = 2;

/**
 * The connections of one participant: three pools that never lend to each other. Statements for work are pipelined:
 * each is sent without waiting for the answer to the one before, and what is sent in one turn is one write.
 */
export class PostgresPools {
  /** for single statements about prepared transactions; like `ruling`, never behind work */
  readonly lanes: StatementLanes;
  private readonly pools: Readonly<Record<PoolName, Pool>>;
  private closed = false;

  constructor(
    settings: PostgresResourceManagerSettings,
    private readonly logger: Logger,
  ) {
    const answerTimeoutMs = settings.answerTimeoutMs ?? 15_000;
    const connection = (name: string, queryTimeoutMs?: number): ClientConfig => ({
      connectionString: settings.connectionString,
      application_name: `${settings.applicationName ?? 'concordat'}-${name}`,
      connectionTimeoutMillis: settings.connectTimeoutMs ?? 5_000,
      keepAlive: true,
      ...(queryTimeoutMs !== undefined && { query_timeout: queryTimeoutMs }),
    });
    this.lanes = new StatementLanes(RULING_LANES, connection('ruling', answerTimeoutMs), (error) =>
      this.lost('ruling', error),
    );
    const open = (name: PoolName, max: number, queryTimeoutMs?: number): Pool => {
      const pipelined = name === 'work' && { pipeline: true, stream: () => new GatheringSocket() };
      const pool = new Pool({ ...connection(name, queryTimeoutMs), ...pipelined, max, idleTimeoutMillis: 0 });
      // A connection says `error` when its server dies, in the pool and lent alike; unheard it ends the process.
      pool.on('error', (error) => this.lost(name, error));
      pool.on('connect', (client) => client.on('error', (error) => this.lost(name, error)));
      return pool;
    };
    this.pools = {
      work: open('work', settings.workConnections ?? 8),
      ruling: open('ruling', settings.rulingConnections ?? 8, answerTimeoutMs),
      look: open('look', LOOK_CONNECTIONS, answerTimeoutMs),
    };
  }

  /** @throws ResourceManagerUnavailableError when no connection can be had */
  async connect(name: PoolName): Promise<PoolClient> {
    try {
      return await this.pools[name].connect();
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
    let broken = true;
    try {
      const result = await use(client);
      broken = false;
      return result;
    } catch (error) {
      broken = isConnectionLoss(error);
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await Promise.all([this.lanes.close(), ...Object.values(this.pools).map((pool) => pool.end())]);
  }

  private lost(name: PoolName, error: Error): void {
    if (!this.closed) this.logger.warn(`a ${name} connection to the database was lost: ${error.message}`);
  }
}
