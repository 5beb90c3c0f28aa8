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
import { describeFinding, runChecks, type CheckReport, type Finding } from '../checks/check.js';
import type { DatabaseCheckCode, ParticipantNeeds } from '../checks/database-check.js';
import { DATABASE_CHECKS } from '../checks/database-checks.js';
import type { DatabaseFacts } from '../checks/database-facts.js';
import { ParticipantConfigurationError, ResourceManagerUnavailableError } from '../runtime/errors.js';
import { describeConnection } from './connections/client-options.js';
import { noticesImpostors, postgresConnection } from './connections/connection-config.js';
import { destroy } from './connections/destroy.js';
import { DEFAULT_WORK_CONNECTIONS, KEEP_ALIVE_AFTER_MS, connectionsOf } from './connections/pools.js';
import { PostgresSetupError, type PostgresSetupErrorCode } from './errors.js';
import { connectionFault } from './inspection/connection-faults.js';
import { readDatabaseFacts } from './inspection/read-facts.js';
import { applyMigrations } from './migrations/apply-migrations.js';
import { readMigrations, type LedgerMigration } from './migrations/migrations.js';
import { isSchemaName } from './schema-name.js';
import type { PostgresResourceManagerSettings } from './settings.js';
import { SetupStatements } from './statements/setup-statements.js';
import { sqlStateOf } from './statements/sql-state.js';

const RETRY = { baseMs: 250, capMs: 5_000 };
/** Others may be migrating, or hold a table that a migration needs; after this time it starts again. */
const STATEMENT_LIMIT_MS = 60_000;
const END_LIMIT_MS = 1_000;

export interface DatabaseAbilities {
  /** it has `client_connection_check_interval` */
  readonly checksConnection: boolean;
  /** `max_prepared_transactions` */
  readonly maximumPrepared: number;
}

/** What the checks of the pools compare with; see `ParticipantLimits`. */
export type SetupLimits = Pick<ParticipantNeeds, 'heldBranches' | 'preparedBranches'>;

/**
 * The set-up before the first branch: wait for the server, run the checks (`DATABASE_CHECKS`), migrate the ledger. An
 * unavailable server is waited for; a failure with a code is an error at once; all else that a check finds is logged.
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
    private readonly limits: SetupLimits = {},
  ) {
    const schema = settings.schema ?? 'public';
    if (!isSchemaName(schema)) {
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
    const opened: Client[] = [];
    const open = async (): Promise<Client> => {
      const client = this.createClient();
      opened.push(client);
      await client.connect();
      return client;
    };
    try {
      const client = await open();
      const { reports, facts } = await this.check(client, open, migrations.length);
      await this.migrate(client, migrations);
      this.report(reports);
      const { maximumPrepared } = facts;
      return { checksConnection: await this.canCheckConnection(client), maximumPrepared };
    } finally {
      const ends = opened.map((client) =>
        withTimeLimit(this.clock, END_LIMIT_MS, 'the end', client.end()).catch(() => destroy(client)),
      );
      await Promise.all(ends);
    }
  }

  private createClient(): Client {
    const client = new Client({
      ...postgresConnection(this.settings),
      connectionTimeoutMillis: this.settings.connectTimeoutMs ?? 5_000,
      application_name: `${this.settings.applicationName ?? 'concordat'}-setup`,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      query_timeout: STATEMENT_LIMIT_MS,
    });
    client.on('error', () => undefined); // the running statement reports it, too
    return client;
  }

  /** @throws PostgresSetupError for the first failure with a code */
  private async check(
    client: Client,
    openSecond: () => Promise<Client>,
    ledgerVersion: number,
  ): Promise<{ readonly reports: readonly CheckReport[]; readonly facts: DatabaseFacts }> {
    const { settings, clock, limits } = this;
    const { cluster, participant, schema = 'public', applicationName = 'concordat' } = settings;
    const subject = {
      where: this.where(),
      schema,
      cluster,
      applicationName,
      noticesImpostors: noticesImpostors(settings),
    };
    const facts = await readDatabaseFacts(client, subject, { clock, openSecond });
    const { workConnections = DEFAULT_WORK_CONNECTIONS } = settings;
    const needs = { workConnections, connections: connectionsOf(settings), ...limits };
    const isDevelopment = process.env['NODE_ENV'] !== 'production';
    const context = { facts, participant, cluster, ledgerVersion, needs, migrates: true, isDevelopment };
    const reports = runChecks(DATABASE_CHECKS, context);
    for (const finding of reports) throwIfFatal(finding);
    return { reports, facts };
  }

  private report(reports: readonly CheckReport[]): void {
    for (const { name, ...finding } of reports) {
      if (finding.status === 'ok') continue;
      const text = `check ${name}: ${describeFinding(finding)}`;
      if (finding.status === 'failure') this.logger.error(text);
      else this.logger.warn(text);
    }
  }

  private async migrate(client: Client, migrations: readonly LedgerMigration[]): Promise<void> {
    const { cluster, participant, schema = 'public' } = this.settings;
    const target = { where: this.where(), schema, owner: { cluster, participant } };
    const result = await applyMigrations(client, migrations, target);
    if ('status' in result) throwIfFatal(result);
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
    const fault = connectionFault(error, this.where());
    return fault && setupErrorOf(fault, error);
  }

  private where(): string {
    return describeConnection(this.settings);
  }

  private async pause(delayMs: number): Promise<void> {
    if (this.cancelled) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      this.timer = this.clock.setTimer(delayMs, resolve);
    });
  }
}

/** @throws PostgresSetupError for a failure with a code */
function throwIfFatal(finding: Finding<DatabaseCheckCode> | undefined): void {
  const error = finding && setupErrorOf(finding);
  if (error) throw error;
}

function setupErrorOf(finding: Finding<PostgresSetupErrorCode>, cause?: unknown): PostgresSetupError | undefined {
  if (finding.status !== 'failure' || finding.code === undefined) return undefined;
  return new PostgresSetupError(finding.code, describeFinding(finding), { cause });
}
