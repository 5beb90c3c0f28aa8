/** The conditions of PostgreSQL that matter here, by their names in its manual (appendix A), and one of our own. */
export type DatabaseCondition =
  | 'branch_occupied'
  | 'connection_lost'
  | 'unique_violation'
  | 'lock_not_available'
  | 'in_failed_transaction'
  | 'undefined_object'
  | 'duplicate_object'
  | 'object_not_in_prerequisite_state';

export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';

  constructor(
    readonly condition: DatabaseCondition,
    message: string,
  ) {
    super(message);
  }
}

export function conditionOf(error: unknown): DatabaseCondition | undefined {
  return error instanceof DatabaseError ? error.condition : undefined;
}
