import { Client } from 'pg';
import {
  SystemRandom,
  backoffMs,
  errorMessage,
  withTimeLimit,
  type Clock,
  type Logger,
  type Timer,
} from '@concordat/foundation';
import { isClusterName } from '@concordat/commit-protocol';
import { ParticipantConfigurationError, ResourceManagerUnavailableError } from '../runtime/errors.js';
import { destroy } from './connections/destroy.js';
import { PostgresSetupError } from './errors.js';
import { KEEP_ALIVE_AFTER_MS } from './connections/pools.js';
import { SQL_STATE, sqlStateOf } from './statements/sql-state.js';
import { readMigrations, type LedgerMigration } from './migrations/migrations.js';
import { SetupStatements } from './statements/setup-statements.js';
import type { PostgresResourceManagerSettings } from './settings.js';

const RETRY = { baseMs: 250, capMs: 5_000 };
/** Others may be migrating, or hold a table that a migration needs; after this time it starts again. */
const STATEMENT_LIMIT_MS = 60_000;
const END_LIMIT_MS = 1_000;
/** for pg_current_xact_id_if_assigned and client_connection_check_interval */
const OLDEST_SERVER = 140_000;
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;

export interface DatabaseAbilities {
  /** it has `client_connection_check_interval` */
  readonly checksConnection: boolean;
  /** `max_prepared_transactions` */
  readonly maximumPrepared: number;
}

/**
 * The set-up before the first branch: wait for the server, check that it can prepare transactions, migrate the ledger.
 * An unavailable server is waited for; a misconfigured one is an error at once.
 */
export class PostgresSetup {
  private readonly statements: SetupStatements;
  private readonly random = new SystemRandom();
  private cancelled = false;
  private timer: Timer | undefined;
  private wake: (() => void) | undefined;

  constructor(
    private readonly settings: PostgresResourceManagerSettings,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    const schema = settings.schema ?? 'public';
    if (!SCHEMA.test(schema)) {
      throw new ParticipantConfigurationError(`"${schema}" cannot be the schema: use lower-case letters, digits and _`);
    }
    if (!isClusterName(settings.cluster)) {
      throw new ParticipantConfigurationError(
        `"${settings.cluster}" cannot name a cluster: use lower-case letters, digits and hyphens, at most 63`,
      );
    }
    this.statements = new SetupStatements(schema);
  }

  async run(): Promise<DatabaseAbilities> {
    const migrations = await readMigrations();
    for (let attempt = 0; !this.cancelled; attempt++) {
      try {
        return await this.tryOnce(migrations);
      } catch (error) {
        const fault = this.faultOf(error);
        if (fault) throw fault;
        this.logger.warn(`the database at ${this.where()} cannot be used yet, trying again: ${errorMessage(error)}`);
      }
      await this.pause(backoffMs(attempt, RETRY, this.random));
    }
    throw new ResourceManagerUnavailableError('stopped before the database could be reached');
  }

  /** Ends the wait. */
  cancel(): void {
    this.cancelled = true;
    this.timer?.cancel();
    this.wake?.();
  }

  private async tryOnce(migrations: readonly LedgerMigration[]): Promise<DatabaseAbilities> {
    const client = new Client({
      connectionString: this.settings.connectionString,
      connectionTimeoutMillis: this.settings.connectTimeoutMs ?? 5_000,
      application_name: `${this.settings.applicationName ?? 'concordat'}-setup`,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      query_timeout: STATEMENT_LIMIT_MS,
    });
    client.on('error', () => undefined); // the running statement reports it, too
    try {
      await client.connect();
      const maximumPrepared = await this.check(client);
      await this.migrate(client, migrations);
      return { checksConnection: await this.canCheckConnection(client), maximumPrepared };
    } finally {
      await withTimeLimit(this.clock, END_LIMIT_MS, 'the end', client.end()).catch(() => destroy(client));
    }
  }

  /** Returns `max_prepared_transactions`. */
  private async check(client: Client): Promise<number> {
    const { preparedTransactions, version } = await this.statements.settings(client);
    if (version < OLDEST_SERVER) {
      throw new PostgresSetupError('DATABASE_TOO_OLD', `PostgreSQL 14 or newer is needed, this is ${version}`);
    }
    if (preparedTransactions > 0) return preparedTransactions;
    throw new PostgresSetupError(
      'PREPARED_TRANSACTIONS_DISABLED',
      `max_prepared_transactions is 0 at ${this.where()}, so no branch can be prepared: set it in postgresql.conf ` +
        'to at least the number of connections (for example 128) and restart the server',
    );
  }

  private async migrate(client: Client, migrations: readonly LedgerMigration[]): Promise<void> {
    const newestVersion = migrations.length;
    await this.statements.begin(client);
    await this.statements.lockMigrations(client);
    if (!(await this.statements.migrationTableExists(client))) await this.statements.createMigrationTable(client);
    const version = await this.statements.migratedVersion(client);
    if (version > newestVersion) {
      throw new PostgresSetupError(
        'LEDGER_IS_NEWER',
        `the ledger has schema version ${version}, this program knows ${newestVersion}: run the newer program`,
      );
    }
    for (const migration of migrations) {
      if (migration.version <= version) continue;
      await this.statements.applyMigration(client, migration);
      await this.statements.recordMigration(client, migration.version);
    }
    await this.claim(client);
    await this.statements.commit(client);
  }

  /**
   * Prepared transactions are listed by database and cluster, so two participants in one database would take each
   * other's branches. Runs under the migration lock, so of two that start at once only one gets the database.
   */
  private async claim(client: Client): Promise<void> {
    const { cluster, participant, schema = 'public' } = this.settings;
    const [otherSchema] = await this.statements.otherOwnedSchemas(client);
    if (otherSchema !== undefined) {
      throw ownedByAnother(
        `the database at ${this.where()} holds the tables of another participant in its schema "${otherSchema}"`,
        `drop the tables named concordat_* in "${otherSchema}"`,
      );
    }
    const owner = await this.statements.claim(client, { cluster, participant });
    if (owner.cluster === cluster && owner.participant === participant) return;
    throw ownedByAnother(
      `the database at ${this.where()} belongs to the participant "${owner.participant}" of the cluster ` +
        `"${owner.cluster}", and this is "${participant}" of the cluster "${cluster}"`,
      `DELETE FROM "${schema}".concordat_owner`,
    );
  }

  private async canCheckConnection(client: Client): Promise<boolean> {
    await this.statements.begin(client);
    try {
      await this.statements.checkConnectionInterval(client);
      return true;
    } catch (error) {
      if (sqlStateOf(error) === undefined) throw error;
      this.logger.warn('the server has no client_connection_check_interval: it notices a dead client late');
      return false;
    } finally {
      await this.statements.rollback(client);
    }
  }

  /** What somebody must change; undefined for errors that may pass. */
  private faultOf(error: unknown): PostgresSetupError | undefined {
    if (error instanceof PostgresSetupError) return error;
    const options = { cause: error };
    const message = errorMessage(error);
    if (/statement pooling/i.test(message)) {
      return new PostgresSetupError(
        'DATABASE_IS_POOLED_BY_STATEMENT',
        `${this.where()} is a pgbouncer in statement mode, which cannot hold a transaction open: ` +
          'set pool_mode to session or transaction, or connect to the server directly',
        options,
      );
    }
    switch (sqlStateOf(error)) {
      case SQL_STATE.invalidPassword:
      case SQL_STATE.invalidAuthorization:
        return new PostgresSetupError(
          'DATABASE_AUTHENTICATION_FAILED',
          `the database at ${this.where()} refuses user and password: correct them in the database URL (${message})`,
          options,
        );
      case SQL_STATE.invalidCatalogName:
        return new PostgresSetupError(
          'DATABASE_DOES_NOT_EXIST',
          `there is no such database at ${this.where()}: create it or correct the database URL (${message})`,
          options,
        );
      case SQL_STATE.insufficientPrivilege:
        return new PostgresSetupError(
          'DATABASE_PERMISSION_DENIED',
          `the user of ${this.where()} may not create the ledger: GRANT CREATE on the schema to it (${message})`,
          options,
        );
      default:
        return undefined;
    }
  }

  /** The URL without its password. */
  private where(): string {
    try {
      const { host, pathname, username } = new URL(this.settings.connectionString);
      return `${username === '' ? '' : `${username}@`}${host}${pathname}`;
    } catch {
      return 'the given database URL';
    }
  }

  private async pause(delayMs: number): Promise<void> {
    if (this.cancelled) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      this.timer = this.clock.setTimer(delayMs, resolve);
    });
  }
}

function ownedByAnother(whose: string, release: string): PostgresSetupError {
  return new PostgresSetupError(
    'DATABASE_OF_ANOTHER_PARTICIPANT',
    `${whose}: give every participant a database of its own (many of them may lie on one server). If the database ` +
      `changes hands, wait until pg_prepared_xacts shows nothing of it any more, then ${release} and start again`,
  );
}
