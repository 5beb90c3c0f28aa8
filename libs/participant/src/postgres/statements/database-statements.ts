import type { ClientBase } from 'pg';
import type { DatabaseIdentity, RecognisedDatabase } from '../../runtime/database-identity.js';
import { SQL_STATE, sqlStateOf } from './sql-state.js';
import { resultAt } from './answers.js';
import { FLUSH_AT_COMMIT } from './texts.js';

/** What a connection finds of the database that it leads to. */
export interface FoundDatabase {
  readonly identity: DatabaseIdentity;
  /** undefined before it was ever recognised */
  readonly stored: RecognisedDatabase | undefined;
  /** transactions that began before it are abstained from, in milliseconds since 1970; 0 for none */
  readonly abstainsBefore: number;
}

interface IdentityRow {
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
 * For the whole session, because COMMIT PREPARED cannot be sent with anything: nothing that others rely on may be lost
 * in a crash, nor, where there is a synchronous standby, with the server. What waits for more than that is left as it is.
 */
const WAIT_FOR_STANDBY = `SELECT set_config('synchronous_commit', 'on', false)
  WHERE current_setting('synchronous_commit') IN ('off', 'local')`;

/** The statements with which every new connection begins. */
export class DatabaseStatements {
  private readonly table: string;
  private readsSystemIdentifier = true;

  constructor(schema: string) {
    this.table = `"${schema}".concordat_database`;
  }

  /** Fails on a standby, which is not the database of any participant. */
  async identify(client: ClientBase): Promise<FoundDatabase> {
    try {
      return await this.ask(client);
    } catch (error) {
      if (!this.readsSystemIdentifier || sqlStateOf(error) !== SQL_STATE.insufficientPrivilege) throw error;
      this.readsSystemIdentifier = false; // some providers keep it from their customers; the timeline is left
      return this.ask(client);
    }
  }

  /** Writes down which database this is; the limit of abstention only ever goes up. Returns that limit. */
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
         ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int AS timeline;
       SELECT system_identifier, timeline, ${LIMIT} FROM ${this.table}`,
    );
    const { system_identifier, timeline, position } = resultAt(results, -2).rows[0] as IdentityRow;
    const stored = resultAt(results, -1).rows[0] as StoredRow | undefined;
    return {
      identity: { systemIdentifier: system_identifier ?? undefined, timeline, position: BigInt(position) },
      stored: stored && { systemIdentifier: stored.system_identifier ?? undefined, timeline: stored.timeline },
      abstainsBefore: stored?.abstains_before ?? 0,
    };
  }
}

const LIMIT = '(extract(epoch FROM abstains_before) * 1000)::float8 AS abstains_before';
