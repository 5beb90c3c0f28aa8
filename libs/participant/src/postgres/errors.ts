import { CodedError, type CodedErrorOptions } from '@concordat/foundation';

export type PostgresSetupErrorCode =
  | 'PREPARED_TRANSACTIONS_DISABLED'
  | 'DATABASE_AUTHENTICATION_FAILED'
  | 'DATABASE_DOES_NOT_EXIST'
  | 'DATABASE_PERMISSION_DENIED'
  | 'DATABASE_IS_POOLED_BY_STATEMENT'
  | 'DATABASE_TOO_OLD'
  | 'DATABASE_URL_INVALID'
  | 'DATABASE_OF_ANOTHER_PARTICIPANT'
  | 'LEDGER_IS_NEWER';

/** The database cannot be used as it is set up; a person must change something. The message says what. */
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

/** A handler sent a statement that a branch must not send; the branch votes no. */
export class ForbiddenStatementError extends CodedError {
  readonly code = 'FORBIDDEN_STATEMENT';
  readonly retryable = false;
}
