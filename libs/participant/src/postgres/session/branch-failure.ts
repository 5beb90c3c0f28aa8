import { branchError, type BranchError } from '@concordat/commit-protocol';
import { BranchRefusedError } from '../../runtime/errors.js';
import { BranchTimeoutError, ForbiddenStatementError, SelfBlockedError } from '../errors.js';
import { WrongCommandTagError } from '../statements/answers.js';
import { TRANSACTION_FAILED, classifyFailure } from '../statements/failure-classes.js';
import { SQL_STATE, sqlStateOf } from '../statements/sql-state.js';

/** The deadline passed before the branch was prepared. */
export const DEADLINE_EXCEEDED: BranchError = {
  code: 'DEADLINE_EXCEEDED',
  message: 'the deadline had passed before the work began',
};

/** For a tombstone or a vote without a reason. */
export const BRANCH_ABORTED: BranchError = { code: 'BRANCH_ABORTED', message: 'this branch was aborted before' };

/**
 * Why a branch votes no, fit for others: error codes of the database become codes of the protocol; internal messages of
 * a handler stay in the log.
 */
export function branchErrorOf(error: unknown, databaseError?: unknown): BranchError {
  if (isMeantForOthers(error)) return branchError(error.code, error.message);
  // The application went on after the failed statement, which is the reason.
  const hasFailed = error instanceof WrongCommandTagError || sqlStateOf(error) === SQL_STATE.inFailedTransaction;
  if (hasFailed && databaseError instanceof SelfBlockedError) {
    return branchError(databaseError.code, databaseError.message);
  }
  if (sqlStateOf(error) !== undefined) return classifyFailure(error).refusal;
  // The handler may have wrapped the error of the database or of the guard.
  if (isMeantForOthers(databaseError)) return branchError(databaseError.code, databaseError.message);
  if (databaseError !== undefined) return classifyFailure(databaseError).refusal;
  if (error instanceof WrongCommandTagError) return TRANSACTION_FAILED;
  return { code: 'HANDLER_FAILED', message: 'the handler failed; see the log of the participant' };
}

type ErrorForOthers = BranchRefusedError | ForbiddenStatementError | BranchTimeoutError | SelfBlockedError;

function isMeantForOthers(error: unknown): error is ErrorForOthers {
  return (
    error instanceof SelfBlockedError ||
    error instanceof BranchRefusedError ||
    error instanceof ForbiddenStatementError ||
    error instanceof BranchTimeoutError
  );
}
