import type { ClientBase } from 'pg';
import type { Finding } from '../../checks/check.js';
import type { DatabaseCheckCode } from '../../checks/database-check.js';
import { newerLedger, ownershipFailure } from '../../checks/database-checks.js';
import type { DatabaseOwner } from '../../checks/database-facts.js';
import { InspectionStatements } from '../statements/inspection-statements.js';
import { SetupStatements } from '../statements/setup-statements.js';
import type { LedgerMigration } from './migrations.js';

export interface MigrationTarget {
  /** as in messages: see `describeUrl` */
  readonly where: string;
  readonly schema: string;
  /** claims the database; undefined: nobody does */
  readonly owner: DatabaseOwner | undefined;
}

/** What must be corrected first; then nothing has changed. */
export type MigrationFault = Finding<DatabaseCheckCode>;

export interface Migrated {
  /** schema versions before and after */
  readonly from: number;
  readonly to: number;
}

/**
 * Migrates the ledger, and claims the database, in one transaction and one process after the other. `behind` runs in the
 * same transaction, behind the migrations.
 */
export async function applyMigrations(
  client: ClientBase,
  migrations: readonly LedgerMigration[],
  { where, schema, owner: wanted }: MigrationTarget,
  behind: () => Promise<void> = () => Promise.resolve(),
): Promise<Migrated | MigrationFault> {
  const statements = new SetupStatements(schema);
  const inspection = new InspectionStatements(schema);
  await statements.begin(client);
  await statements.lockMigrations(client);
  if (!(await statements.migrationTableExists(client))) await statements.createMigrationTable(client);
  const version = await inspection.ledgerVersion(client);
  const newer = newerLedger(version, migrations.length); // another program may have migrated since the check
  if (newer) return newer;
  for (const migration of migrations) {
    if (migration.version <= version) continue;
    await statements.applyMigration(client, migration);
    await statements.recordMigration(client, migration.version);
  }
  if (wanted) {
    // Prepared transactions are listed by database and cluster, so two participants in one database would take each
    // other's branches. Under the migration lock, so of two that start at once only one gets the database.
    const otherSchemas = await inspection.otherOwnedSchemas(client);
    const place = { where, schema, otherSchemas };
    const elsewhere = ownershipFailure({ ...place, owner: undefined }, wanted);
    if (elsewhere) return elsewhere;
    const owner = (await inspection.owner(client)) ?? (await statements.claim(client, wanted));
    const taken = ownershipFailure({ ...place, owner }, wanted);
    if (taken) return taken;
  }
  await behind();
  await statements.commit(client);
  return { from: version, to: migrations.length };
}
