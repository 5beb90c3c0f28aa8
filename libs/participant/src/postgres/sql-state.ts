/** The SQLSTATEs that mean something to a commit protocol (PostgreSQL documentation, appendix A). */
export const SQL_STATE = {
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  deadlockDetected: '40P01',
  serializationFailure: '40001',
  /** also: `max_prepared_transactions` is used up */
  outOfMemory: '53200',
  duplicateObject: '42710',
  undefinedObject: '42704',
  /** also: another session is ending this prepared transaction right now */
  objectNotInPrerequisiteState: '55000',
  inFailedTransaction: '25P02',
  featureNotSupported: '0A000',
  uniqueViolation: '23505',
  undefinedTable: '42P01',
  insufficientPrivilege: '42501',
  invalidPassword: '28P01',
  invalidAuthorization: '28000',
  invalidCatalogName: '3D000',
  protocolViolation: '08P01',
} as const;

/** The SQLSTATE of an error that the server sent; undefined for anything else, such as a lost connection. */
export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  // A server's error carries a severity; the codes of sockets (ECONNRESET) do not.
  return 'severity' in error && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** idle_in_transaction_session_timeout, transaction_timeout */
const SESSION_ENDING = new Set(['25P03', '25P04']);

/** Whether the session has ended: the error is no answer of the server, or says that it hangs up. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state === undefined) return true;
  return state.startsWith('57P') || state.startsWith('08') || SESSION_ENDING.has(state);
}
