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

const TIMEOUTS = {
  HANDLER_TIMEOUT: 'the handlers did not come to an end before the deadline',
  DATABASE_TIMEOUT: 'the database did not answer in time',
} as const;

/** Handlers, or the database behind them, were waited for until the deadline and a while longer; the branch votes no. */
export class BranchTimeoutError extends CodedError {
  readonly retryable = true;

  constructor(
    readonly code: keyof typeof TIMEOUTS,
    options?: CodedErrorOptions,
  ) {
    super(TIMEOUTS[code], options);
  }
}
