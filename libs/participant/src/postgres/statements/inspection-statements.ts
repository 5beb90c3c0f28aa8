import type { ClientBase } from 'pg';
import type { DatabaseOwner } from '../../checks/database-facts.js';
import { sqlStateOf } from './sql-state.js';

/** The tables of the ledger, with what a participant at work does to each. */
export const LEDGER_TABLES: Readonly<Record<string, readonly string[]>> = {
  concordat_branch: ['SELECT', 'INSERT', 'UPDATE'],
  concordat_acceptor: ['SELECT', 'INSERT', 'UPDATE'],
  concordat_database: ['SELECT', 'INSERT', 'UPDATE'],
  concordat_owner: ['SELECT', 'INSERT'],
  concordat_migration: ['SELECT'],
};

/** What of the newest migrations this release calls. */
export const LEDGER_ROUTINES: readonly string[] = [
  'concordat_begin_branch',
  'concordat_close_branch',
  'concordat_close_plain_branch',
  'concordat_reset_session',
  'concordat_reset_plain_session',
  'concordat_first_vote',
  'concordat_accept_first',
];

export interface ServerRow {
  readonly version: number;
  readonly is_standby: boolean;
  readonly database: string;
  readonly database_id: string;
  readonly database_limit: number;
  readonly role: string;
  readonly role_limit: number;
  readonly is_superuser: boolean;
  readonly powers: readonly string[];
  readonly maximum_prepared: number;
  readonly prepared: number;
  readonly preparing_roles: readonly string[];
  readonly maximum_connections: number;
  readonly open_connections: number;
  readonly idle_in_transaction_timeout_ms: number;
  readonly idle_session_timeout_ms: number;
  readonly transaction_timeout_ms: number;
  readonly synchronous_commit: string;
}

export interface SchemaRow {
  readonly may_use: boolean;
  readonly may_create: boolean;
  readonly is_owner: boolean;
}

export interface LedgerObject {
  readonly name: string;
  /** of what the role may do to it */
  readonly granted: readonly string[];
  readonly may_alter: boolean;
}

/**
 * What the checks of a database read. Each statement works on every server that can be connected to, and with no
 * privileges but to connect, unless it says otherwise.
 */
export class InspectionStatements {
  constructor(private readonly schema: string) {}

  /** @param cluster whose prepared branches are looked at; undefined: those of all clusters */
  async server(client: ClientBase, cluster: string | undefined): Promise<ServerRow> {
    const setting = (name: string): string =>
      `coalesce((SELECT setting::int FROM pg_settings WHERE name = '${name}'), 0)`;
    const prefix = cluster === undefined ? 'concordat:' : `concordat:${cluster}:`;
    const { rows } = await client.query<ServerRow>(
      `SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS is_standby,
         database.datname::text AS database, database.oid::text AS database_id,
         database.datconnlimit AS database_limit,
         role.rolname::text AS role, role.rolconnlimit AS role_limit, role.rolsuper AS is_superuser,
         array_remove(ARRAY[
           CASE WHEN role.rolcreaterole THEN 'may create roles' END,
           CASE WHEN role.rolcreatedb THEN 'may create databases' END,
           CASE WHEN role.rolreplication THEN 'may copy the server (REPLICATION)' END,
           CASE WHEN role.rolbypassrls THEN 'passes by row security (BYPASSRLS)' END,
           CASE WHEN pg_has_role(database.datdba, 'USAGE') THEN 'owns the database' END
         ], NULL) AS powers,
         current_setting('max_prepared_transactions')::int AS maximum_prepared,
         (SELECT count(*)::int FROM pg_prepared_xacts) AS prepared,
         ARRAY(SELECT DISTINCT owner::text FROM pg_prepared_xacts
           WHERE pg_prepared_xacts.database = current_database() AND owner <> current_user
             AND left(gid, length($1)) = $1 ORDER BY 1) AS preparing_roles,
         ${setting('max_connections')} - ${setting('superuser_reserved_connections')}
           - ${setting('reserved_connections')} AS maximum_connections,
         (SELECT count(*)::int FROM pg_stat_activity
           WHERE usesysid IS NOT NULL AND pid <> pg_backend_pid()) AS open_connections,
         ${setting('idle_in_transaction_session_timeout')} AS idle_in_transaction_timeout_ms,
         ${setting('idle_session_timeout')} AS idle_session_timeout_ms,
         ${setting('transaction_timeout')} AS transaction_timeout_ms,
         current_setting('synchronous_commit') AS synchronous_commit
       FROM pg_database AS database, pg_roles AS role
       WHERE database.datname = current_database() AND role.rolname = current_user`,
      [prefix],
    );
    const [row] = rows;
    if (!row) throw new Error('the server does not show the role and the database of this session');
    return row;
  }

  /** Made by `initdb`; undefined where the provider hides it. */
  async systemIdentifier(client: ClientBase): Promise<string | undefined> {
    try {
      const { rows } = await client.query<{ id: string }>(
        'SELECT system_identifier::text AS id FROM pg_control_system()',
      );
      return rows[0]?.id;
    } catch (error) {
      if (sqlStateOf(error) !== undefined) return undefined; // the server refuses: nothing else depends on it
      throw error;
    }
  }

  /** Until `end` all statements see the database as of one moment, even if another process migrates it meanwhile. */
  async begin(client: ClientBase): Promise<void> {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  }

  async end(client: ClientBase): Promise<void> {
    await client.query('ROLLBACK');
  }

  /** Milliseconds since 1970, by the server's clock. */
  async time(client: ClientBase): Promise<number> {
    const { rows } = await client.query<{ now: number }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now',
    );
    return rows[0]!.now;
  }

  /** Process of the server behind the connection at this moment. */
  async backend(client: ClientBase): Promise<number> {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return rows[0]!.pid;
  }

  /** Sessions under these names that have another role or database than this one. */
  async otherSessions(
    client: ClientBase,
    applicationNames: readonly string[],
  ): Promise<{ role: string; database: string }[]> {
    const { rows } = await client.query<{ role: string; database: string }>(
      `SELECT DISTINCT usename::text AS role, datname::text AS database FROM pg_stat_activity
       WHERE application_name = ANY($1) AND pid <> pg_backend_pid() AND datname IS NOT NULL AND usename IS NOT NULL
         AND (usename <> current_user OR datname <> current_database()) ORDER BY 1, 2`,
      [applicationNames],
    );
    return rows;
  }

  /** Undefined when there is no such schema. */
  async schemaPrivileges(client: ClientBase): Promise<SchemaRow | undefined> {
    const { rows } = await client.query<SchemaRow>(
      `SELECT has_schema_privilege(oid, 'USAGE') AS may_use, has_schema_privilege(oid, 'CREATE') AS may_create,
         pg_has_role(nspowner, 'USAGE') AS is_owner
       FROM pg_namespace WHERE nspname = $1`,
      [this.schema],
    );
    return rows[0];
  }

  /** Those of `LEDGER_TABLES` and `LEDGER_ROUTINES` that are there. */
  async ledgerObjects(client: ClientBase): Promise<LedgerObject[]> {
    const { rows } = await client.query<LedgerObject>(
      `SELECT relname::text AS name, ARRAY(SELECT wanted FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS wanted
           WHERE has_table_privilege(pg_class.oid, wanted)) AS granted, pg_has_role(relowner, 'USAGE') AS may_alter
       FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
       WHERE nspname = $1 AND relname = ANY($2)
       UNION ALL
       SELECT proname::text, CASE WHEN has_function_privilege(pg_proc.oid, 'EXECUTE') THEN ARRAY['EXECUTE']
         ELSE ARRAY[]::text[] END, pg_has_role(proowner, 'USAGE')
       FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
       WHERE nspname = $1 AND proname = ANY($3)`,
      [this.schema, Object.keys(LEDGER_TABLES), LEDGER_ROUTINES],
    );
    return rows;
  }

  /** Needs SELECT on the table. */
  async ledgerVersion(client: ClientBase): Promise<number> {
    const { rows } = await client.query<{ version: number | null }>(
      `SELECT max(version) AS version FROM "${this.schema}".concordat_migration`,
    );
    return rows[0]?.version ?? 0;
  }

  /** Needs SELECT on the table. */
  async owner(client: ClientBase): Promise<DatabaseOwner | undefined> {
    const { rows } = await client.query<DatabaseOwner>(
      `SELECT cluster, participant FROM "${this.schema}".concordat_owner`,
    );
    return rows[0];
  }

  /** Other schemas of this database with an owner. */
  async otherOwnedSchemas(client: ClientBase): Promise<string[]> {
    const { rows } = await client.query<{ schema: string }>(
      `SELECT nspname AS schema FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
       WHERE relname = 'concordat_owner' AND relkind = 'r' AND nspname <> $1 ORDER BY nspname`,
      [this.schema],
    );
    return rows.map(({ schema }) => schema);
  }
}
