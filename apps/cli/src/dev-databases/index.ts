import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { DevDatabasesOptions } from '../dev-options.js';
import { serverAccount } from './account.js';
import { dataDirectoryIn, prepareDataDirectory } from './data-directory.js';
import { type DevDatabasesError } from './errors.js';
import { findPostgres } from './postgres-programs.js';
import { PostgresServer } from './postgres-server.js';

export { DevDatabasesError, EmbeddedPostgresMissingError } from './errors.js';

const PREPARED_TRANSACTIONS = 256;
/** A participant uses up to 32, and its service has a pool of its own. */
const CONNECTIONS_PER_DATABASE = 60;
const CONNECTIONS_OF_OTHERS = 40;

export interface DevDatabasesSetting extends DevDatabasesOptions {
  /** of `concordat dev`, absolute */
  readonly directory: string;
  /** whether the data stay when the process ends */
  readonly isKept: boolean;
  /** called when PostgreSQL ends although nobody has stopped it */
  readonly onLost: (error: DevDatabasesError) => void;
}

/** One PostgreSQL server for the services of a developer, with a database and a role for each name. */
export class DevDatabases {
  private constructor(
    private readonly setting: DevDatabasesSetting,
    private readonly dataDir: string,
    private readonly server: PostgresServer,
    private readonly prepare: () => Promise<void>,
  ) {}

  /** Finds what is needed; starts nothing. @throws EmbeddedPostgresMissingError, DevDatabasesError */
  static find(setting: DevDatabasesSetting): DevDatabases {
    const { directory, isKept, names, port, onLost } = setting;
    const account = serverAccount();
    const programs = findPostgres(account);
    // root's PostgreSQL runs as another user, who must enter it
    mkdirSync(directory, { recursive: true, mode: account ? 0o755 : 0o700 });
    const dataDir = dataDirectoryIn(directory, account);
    const settings = {
      max_prepared_transactions: PREPARED_TRANSACTIONS,
      max_connections: CONNECTIONS_PER_DATABASE * names.length + CONNECTIONS_OF_OTHERS,
      shared_buffers: '64MB',
      fsync: isKept ? 'on' : 'off',
    };
    const logFile = path.join(directory, 'postgres.log');
    const server = new PostgresServer({ programs, account, dataDir, logFile, port, settings, onLost });
    return new DevDatabases(setting, dataDir, server, () =>
      prepareDataDirectory(dataDir, programs, { account, isKept }),
    );
  }

  /** connection strings, in the order of the names */
  get urls(): readonly string[] {
    const { names, port } = this.setting;
    return names.map((name) => `postgres://${name}:${name}@127.0.0.1:${port}/${name}`);
  }

  /**
   * Starts the server and creates what is missing. No other `concordat dev` may have the directory.
   *
   * @param checkPort awaited when a former server of this directory has ended
   * @throws DevDatabasesError
   */
  async start(checkPort: () => Promise<void>): Promise<void> {
    await this.prepare();
    await checkPort();
    await this.server.start();
    await this.server.withSuperuser(async (client) => {
      for (const name of this.setting.names) {
        const identifier = client.escapeIdentifier(name);
        const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
        if (role.rowCount === 0) {
          await client.query(`CREATE ROLE ${identifier} LOGIN PASSWORD ${client.escapeLiteral(name)}`);
        }
        const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
        if (database.rowCount === 0) await client.query(`CREATE DATABASE ${identifier} OWNER ${identifier}`);
      }
    });
  }

  /** Ends the server, and returns when it has ended; blocks meanwhile. What is prepared in it stays, if it is kept. */
  stop(): void {
    this.server.stop();
    if (!this.setting.isKept) rmSync(this.dataDir, { recursive: true, force: true });
  }
}
