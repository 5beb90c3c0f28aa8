import type { Finding } from './check.js';
import type { DatabaseFacts } from './database-facts.js';

/** The failures that end the start of a participant; others are logged. */
export type DatabaseCheckCode =
  | 'DATABASE_TOO_OLD'
  | 'PREPARED_TRANSACTIONS_DISABLED'
  | 'DATABASE_PERMISSION_DENIED'
  | 'LEDGER_NOT_MIGRATED'
  | 'DATABASE_OF_ANOTHER_PARTICIPANT'
  | 'LEDGER_IS_NEWER'
  | 'LEDGER_INCOMPLETE';

/** What one process of the participant takes. */
export interface ParticipantNeeds {
  /** branches whose work runs at once */
  readonly workConnections: number;
  /** all of its connections */
  readonly connections: number;
  /** `limits.heldBranches`; undefined: half of the connections for work */
  readonly heldBranches?: number | undefined;
  /** `limits.preparedBranches`; undefined: what the server allows */
  readonly preparedBranches?: number | undefined;
}

export interface DatabaseCheckContext {
  readonly facts: DatabaseFacts;
  /** the participant that wants to use the database; undefined: its present owner */
  readonly participant?: string | undefined;
  readonly cluster?: string | undefined;
  /** schema version of this release */
  readonly ledgerVersion: number;
  readonly needs: ParticipantNeeds;
  /** whether missing tables and old ones are migrated behind the checks, as at the start of a participant */
  readonly migrates: boolean;
  /** a process that is not in production: its role may be the owner of a database on the same machine */
  readonly isDevelopment: boolean;
}

export type DatabaseFinding = Finding<DatabaseCheckCode>;
