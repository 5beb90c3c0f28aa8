import { Client } from 'pg';
import { withTimeLimit, type Clock } from '@concordat/foundation';
import { describeFinding, type Finding } from '../../checks/check.js';
import type { DatabaseOwner } from '../../checks/database-facts.js';
import { ParticipantConfigurationError } from '../../runtime/errors.js';
import { describeConnection } from '../connections/client-options.js';
import { postgresConnection } from '../connections/connection-config.js';
import { destroy } from '../connections/destroy.js';
import { PostgresSetupError, type PostgresSetupErrorCode } from '../errors.js';
import { connectionFault } from '../inspection/connection-faults.js';
import { isSchemaName } from '../schema-name.js';
import type { PostgresConnectionSettings } from '../settings.js';
import { SQL_STATE, sqlStateOf } from '../statements/sql-state.js';
import { applyMigrations, type Migrated } from './apply-migrations.js';
import { readMigrations } from './migrations.js';
import { runtimeGrants } from './runtime-grants.js';

const CONNECT_LIMIT_MS = 5_000;
/** Others may be migrating, or hold a table that a migration needs. */
const STATEMENT_LIMIT_MS = 60_000;
const END_LIMIT_MS = 1_000;

export interface LedgerMigrationOptions extends PostgresConnectionSettings {
  readonly clock: Clock;
  /** of the tables; default `public` */
  readonly schema?: string | undefined;
  /** the role of the participant at work, which gets what it needs; undefined: nobody gets anything */
  readonly grantTo?: string | undefined;
  /** whose database it becomes, if it is nobody's; undefined: that is left to the first participant that starts */
  readonly owner?: DatabaseOwner | undefined;
}

/**
 * Makes Concordat's tables, or migrates them, with a role that owns their schema; so that a participant can start with a
 * role that owns nothing. All of it happens, or nothing. To repeat it is safe.
 *
 * @throws PostgresSetupError with what must be changed first; the error of `pg` for what may pass
 */
export async function migrateLedger(options: LedgerMigrationOptions): Promise<Migrated> {
  const { clock, schema = 'public', grantTo, owner } = options;
  if (!isSchemaName(schema)) {
    throw new ParticipantConfigurationError(`"${schema}" cannot be the schema: use lower-case letters, digits and _`);
  }
  const where = describeConnection(options);
  const client = clientOf(options, where);
  try {
    await client.connect();
    const migrated = await applyMigrations(client, await readMigrations(), { where, schema, owner }, async () => {
      if (grantTo !== undefined) await grantAll(client, schema, grantTo);
    });
    if ('status' in migrated) throw setupError(migrated);
    return migrated;
  } catch (error) {
    if (error instanceof ParticipantConfigurationError) throw error;
    const fault = connectionFault(error, where);
    throw fault ? setupError(fault, error) : error;
  } finally {
    await withTimeLimit(clock, END_LIMIT_MS, 'the end', client.end()).catch(() => destroy(client));
  }
}

async function grantAll(client: Client, schema: string, role: string): Promise<void> {
  try {
    for (const grant of runtimeGrants(schema, role)) await client.query(grant);
  } catch (cause) {
    if (sqlStateOf(cause) !== SQL_STATE.undefinedObject) throw cause;
    const sentence = `there is no role "${role}", which is to get the privileges of the participant; CREATE ROLE it first`;
    throw new ParticipantConfigurationError(sentence, { cause });
  }
}

function clientOf(options: LedgerMigrationOptions, where: string): Client {
  try {
    const client = new Client({
      ...postgresConnection(options),
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      query_timeout: STATEMENT_LIMIT_MS,
      application_name: 'concordat-migrate',
    });
    client.on('error', () => undefined); // the running statement reports it, too
    return client;
  } catch (error) {
    const fault = connectionFault(error, where);
    throw fault ? setupError(fault, error) : error;
  }
}

function setupError(finding: Finding<PostgresSetupErrorCode>, cause?: unknown): Error {
  const code = finding.status === 'failure' ? finding.code : undefined;
  return code === undefined
    ? new Error(describeFinding(finding), { cause })
    : new PostgresSetupError(code, describeFinding(finding), { cause });
}
