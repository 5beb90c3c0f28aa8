import { CodedError, codedError, type CodedErrorOptions } from '@concordat/foundation';

export type PostgresSetupErrorCode =
  | 'PREPARED_TRANSACTIONS_DISABLED'
  | 'DATABASE_AUTHENTICATION_FAILED'
  | 'DATABASE_DOES_NOT_EXIST'
  | 'DATABASE_PERMISSION_DENIED'
  | 'DATABASE_IS_POOLED_BY_STATEMENT'
  | 'DATABASE_TOO_OLD'
  | 'DATABASE_URL_INVALID'
  | 'DATABASE_TLS_FAILED'
  | 'DATABASE_SECRET_UNUSABLE'
  | 'DATABASE_OF_ANOTHER_PARTICIPANT'
  | 'LEDGER_NOT_MIGRATED'
  | 'LEDGER_IS_NEWER'
  | 'LEDGER_INCOMPLETE';

/** The database is not set up correctly. The message says what somebody must change. */
export class PostgresSetupError extends CodedError {
  readonly retryable = false;

  constructor(
    readonly code: PostgresSetupErrorCode,
    message: string,
    options?: CodedErrorOptions,
  ) {
    super(message, options);
  }
}

/** A connection to the database cannot be had until somebody changes what `fix` says. */
export class DatabaseConnectionError extends CodedError {
  readonly retryable = false;

  constructor(
    readonly code: 'DATABASE_TLS_FAILED' | 'DATABASE_SECRET_UNUSABLE',
    readonly sentence: string,
    readonly fix: string,
    options?: CodedErrorOptions,
  ) {
    super(`${sentence}: ${fix}`, options);
  }
}

/** A handler sent a statement that is forbidden in a branch; the branch votes no. */
export class ForbiddenStatementError extends codedError('FORBIDDEN_STATEMENT') {}

/** A statement of a held branch waited for a prepared branch of its own transaction; the wait would never end. */
export class SelfBlockedError extends codedError('SELF_BLOCKED') {
  constructor(options?: CodedErrorOptions) {
    super(
      'a statement waits for a row that this transaction has already prepared in an earlier call, and that is free only ' +
        'after the commit: change the row in one call, or use direct streams (CONCORDAT_LINK=both or direct), where all ' +
        'calls share one session',
      options,
    );
  }
}

const TIMEOUTS = {
  HANDLER_TIMEOUT: 'the handlers did not finish before the deadline',
  DATABASE_TIMEOUT: 'the database did not answer in time',
} as const;

/**
 * The handlers, or the database under them, did not finish until the deadline and the grace period; the branch votes
 * no.
 */
export class BranchTimeoutError extends CodedError {
  readonly retryable = true;

  constructor(
    readonly code: keyof typeof TIMEOUTS,
    options?: CodedErrorOptions,
  ) {
    super(TIMEOUTS[code], options);
  }
}
