import type { ClientBase } from 'pg';
import { invariant } from '@concordat/foundation';
import type { DatabaseOwner } from '../../checks/database-facts.js';
import { migrationFor, type LedgerMigration } from '../migrations/migrations.js';

/** "concordat" as a number: processes that start together migrate one after the other. */
const MIGRATION_LOCK = 7_161_104_201;

/** The statements of the set-up, run once when a participant starts. */
export class SetupStatements {
  constructor(private readonly schema: string) {}

  async begin(client: ClientBase): Promise<void> {
    await client.query('BEGIN');
  }

  async commit(client: ClientBase): Promise<void> {
    await client.query('COMMIT');
  }

  async rollback(client: ClientBase): Promise<void> {
    await client.query('ROLLBACK');
  }

  /** Fails where the platform cannot watch a client's socket. */
  async checkConnectionInterval(client: ClientBase): Promise<void> {
    await client.query('SET LOCAL client_connection_check_interval = 100');
  }

  /** Held to the end of the transaction. */
  async lockMigrations(client: ClientBase): Promise<void> {
    await client.query(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`);
  }

  async createMigrationTable(client: ClientBase): Promise<void> {
    await client.query(
      `CREATE TABLE IF NOT EXISTS "${this.schema}".concordat_migration
       (version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
  }

  async migrationTableExists(client: ClientBase): Promise<boolean> {
    const { rows } = await client.query<{ found: boolean }>(
      `SELECT to_regclass('"${this.schema}".concordat_migration') IS NOT NULL AS found`,
    );
    return rows[0]?.found === true;
  }

  async applyMigration(client: ClientBase, migration: LedgerMigration): Promise<void> {
    await client.query(migrationFor(this.schema, migration));
  }

  async recordMigration(client: ClientBase, version: number): Promise<void> {
    await client.query(`INSERT INTO "${this.schema}".concordat_migration (version) VALUES ($1)`, [version]);
  }

  /** Claims the database unless it has an owner; returns the owner. */
  async claim(client: ClientBase, owner: DatabaseOwner): Promise<DatabaseOwner> {
    await client.query(
      `INSERT INTO "${this.schema}".concordat_owner (cluster, participant) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
      [owner.cluster, owner.participant],
    );
    const { rows } = await client.query<DatabaseOwner>(
      `SELECT cluster, participant FROM "${this.schema}".concordat_owner`,
    );
    invariant(rows[0] !== undefined, 'a database that was claimed has an owner');
    return rows[0];
  }
}
