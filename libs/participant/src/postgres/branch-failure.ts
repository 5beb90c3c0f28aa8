import { CodedError, errorMessage } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import { BranchRefusedError } from '../runtime/errors.js';
import { ForbiddenStatementError } from './errors.js';
import { SQL_STATE, sqlStateOf } from './sql-state.js';

/** The deadline passed before the branch was prepared. */
export const DEADLINE_EXCEEDED: BranchError = {
  code: 'DEADLINE_EXCEEDED',
  message: 'the deadline had passed before the work began',
};

/** Its tombstone, or its vote, does not say why. */
export const BRANCH_ABORTED: BranchError = { code: 'BRANCH_ABORTED', message: 'this branch was aborted before' };

/**
 * Why a branch votes no, in words that may leave the process: codes of the database become codes of the
 * protocol, and what the handler did not mean for others stays in the log.
 */
export function branchErrorOf(error: unknown, databaseError?: unknown): BranchError {
  if (error instanceof BranchRefusedError || error instanceof ForbiddenStatementError) {
    return { code: error.code, message: error.message };
  }
  const state = sqlStateOf(error) ?? sqlStateOf(databaseError);
  if (state !== undefined) return errorOfState(state);
  return { code: 'HANDLER_FAILED', message: 'the handler failed; see the log of the participant' };
}

/** What the log says of a failure: everything. */
export function describeFailure(error: unknown): string {
  const code = error instanceof CodedError ? error.code : sqlStateOf(error);
  return code === undefined ? errorMessage(error) : `${errorMessage(error)} (${code})`;
}

function errorOfState(state: string): BranchError {
  switch (state) {
    case SQL_STATE.lockNotAvailable:
    case SQL_STATE.queryCanceled:
      return { code: 'LOCK_TIMEOUT', message: 'the time for waiting on locks and statements was used up' };
    case SQL_STATE.deadlockDetected:
      return { code: 'DEADLOCK', message: 'the database found a deadlock; repeat the transaction' };
    case SQL_STATE.serializationFailure:
      return { code: 'SERIALIZATION_FAILURE', message: 'concurrent changes were in the way; repeat the transaction' };
    case SQL_STATE.outOfMemory:
      return {
        code: 'PREPARED_TRANSACTIONS_EXHAUSTED',
        message: 'the database has no room for another prepared transaction (max_prepared_transactions); try later',
      };
    case SQL_STATE.inFailedTransaction:
      return { code: 'TRANSACTION_FAILED', message: 'a statement had failed and the handler went on' };
    case SQL_STATE.featureNotSupported:
      return {
        code: 'NOT_PREPARABLE',
        message: 'the work used what cannot be prepared: temporary tables, LISTEN or NOTIFY, or held cursors',
      };
    default:
      return state.startsWith('23')
        ? { code: 'CONSTRAINT_VIOLATION', message: `a constraint of the database refused the change (${state})` }
        : { code: 'DATABASE_ERROR', message: `the database refused the change (${state})` };
  }
}
