import type { ClientBase } from 'pg';
import type { DatabaseIdentity, RecognisedDatabase } from '../../runtime/database-identity.js';
import { SQL_STATE, sqlStateOf } from './sql-state.js';
import { resultAt } from './answers.js';
import { FLUSH_AT_COMMIT } from './texts.js';

/** The identity of the database behind a connection. */
export interface FoundDatabase {
  readonly identity: DatabaseIdentity;
  /** undefined before it was ever recognised */
  readonly stored: RecognisedDatabase | undefined;
  /** branches abstain in transactions that began before this, in milliseconds since 1970; 0 for none */
  readonly abstainsBefore: number;
  readonly databaseOid: string;
}

interface IdentityRow {
  readonly database_oid: string;
  readonly system_identifier: string | null;
  readonly timeline: number;
  readonly position: string;
}

interface StoredRow {
  readonly system_identifier: string | null;
  readonly timeline: number;
  readonly abstains_before: number | null;
}

/**
 * For the whole session, because COMMIT PREPARED cannot share a query: no commit may be lost in a crash nor, with a
 * synchronous standby, with the server. A stricter setting is kept.
 */
const WAIT_FOR_STANDBY = `SELECT set_config('synchronous_commit', 'on', false)
  WHERE current_setting('synchronous_commit') IN ('off', 'local')`;

/** The first statements on every new connection. */
export class DatabaseStatements {
  private readonly table: string;
  private readsSystemIdentifier = true;

  constructor(schema: string) {
    this.table = `"${schema}".concordat_database`;
  }

  /** Fails on a standby, which is no participant's database. */
  async identify(client: ClientBase): Promise<FoundDatabase> {
    try {
      return await this.ask(client);
    } catch (error) {
      if (!this.readsSystemIdentifier || sqlStateOf(error) !== SQL_STATE.insufficientPrivilege) throw error;
      this.readsSystemIdentifier = false; // some providers hide it; the timeline remains
      return this.ask(client);
    }
  }

  /** Stores the identity of the database; the abstention limit only rises. Returns the limit. */
  async recognise(
    client: ClientBase,
    { systemIdentifier, timeline }: RecognisedDatabase,
    abstainsBefore: number,
  ): Promise<number> {
    const identifier = systemIdentifier === undefined ? 'NULL' : `'${BigInt(systemIdentifier)}'`;
    const results = await client.query(
      `BEGIN ISOLATION LEVEL READ COMMITTED; ${FLUSH_AT_COMMIT};
       INSERT INTO ${this.table} AS present (system_identifier, timeline, abstains_before)
         VALUES (${identifier}, ${timeline}, ${abstainsBefore > 0 ? `to_timestamp(${abstainsBefore / 1_000})` : 'NULL'})
         ON CONFLICT (is_only) DO UPDATE SET system_identifier = excluded.system_identifier,
           timeline = excluded.timeline, recognised_at = now(),
           abstains_before = greatest(present.abstains_before, excluded.abstains_before);
       SELECT ${LIMIT} FROM ${this.table}; COMMIT`,
    );
    return (resultAt(results, -2).rows[0] as StoredRow | undefined)?.abstains_before ?? 0;
  }

  private async ask(client: ClientBase): Promise<FoundDatabase> {
    const identifier = this.readsSystemIdentifier
      ? '(SELECT system_identifier::text FROM pg_control_system())'
      : 'NULL';
    const results = await client.query(
      `${WAIT_FOR_STANDBY};
       SELECT ${identifier} AS system_identifier, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::text AS position,
         ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int AS timeline,
         (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database_oid;
       SELECT system_identifier, timeline, ${LIMIT} FROM ${this.table}`,
    );
    const { system_identifier, timeline, position, database_oid } = resultAt(results, -2).rows[0] as IdentityRow;
    const stored = resultAt(results, -1).rows[0] as StoredRow | undefined;
    return {
      identity: { systemIdentifier: system_identifier ?? undefined, timeline, position: BigInt(position) },
      stored: stored && { systemIdentifier: stored.system_identifier ?? undefined, timeline: stored.timeline },
      abstainsBefore: stored?.abstains_before ?? 0,
      databaseOid: database_oid,
    };
  }
}

const LIMIT = '(extract(epoch FROM abstains_before) * 1000)::float8 AS abstains_before';
