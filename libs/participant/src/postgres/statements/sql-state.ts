/** The SQLSTATEs that matter to a commit protocol (PostgreSQL documentation, appendix A). */
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

/** SQLSTATE of `concordat_begin_branch`: another session works on the branch, or it is prepared or in the ledger. */
export const BRANCH_OCCUPIED = 'CB001';

/** The used fields of a server error. Texts are in the language of `lc_messages`, the rest is not. */
export interface ServerError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** source file and function in the server; a proxy may leave them out */
  readonly file?: string;
  readonly routine?: string;
}

/** The error as the server sent it; undefined for any other, such as a lost connection. */
export function serverErrorOf(error: unknown): ServerError | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  // A server's error has a severity; the codes of sockets (ECONNRESET) have none.
  if (!('severity' in error) || !/^[0-9A-Z]{5}$/.test(error.code)) return undefined;
  return error as Error & ServerError;
}

/** The SQLSTATE of an error that the server sent; undefined for any other. */
export function sqlStateOf(error: unknown): string | undefined {
  return serverErrorOf(error)?.code;
}
