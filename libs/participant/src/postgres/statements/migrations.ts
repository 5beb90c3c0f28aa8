/** A step of the ledger's schema. Steps are only ever added; a released one never changes. */
export interface LedgerMigration {
  readonly version: number;
  sql(schema: string): string;
}

export const LEDGER_MIGRATIONS: readonly LedgerMigration[] = [
  {
    version: 1,
    sql: (schema) => `
      CREATE TABLE "${schema}".concordat_branch (
        branch_id uuid PRIMARY KEY,
        transaction_id uuid NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('committed', 'aborted')),
        result json,
        updated_at timestamptz NOT NULL DEFAULT now()
      );
      COMMENT ON TABLE "${schema}".concordat_branch IS
        'How the branches of global transactions ended here. Do not edit: the outcome of transactions hangs on it.'`,
  },
];
