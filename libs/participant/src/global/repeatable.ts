import { GlobalTransactionAbortedError, RollbackOnlyError } from './errors.js';

const LOCK_CONFLICTS = new Set(['40001', '40P01', '55P03']);
/** wrappers around the error of the database, such as TypeORM's */
const MAXIMUM_DEPTH = 8;

/**
 * Whether a transaction failed only because others ran at the same time: a serialization failure, a deadlock or a lock
 * timeout, here or in another participant. Then nothing has happened, and a new transaction may succeed.
 */
export function isRepeatable(error: unknown): boolean {
  let one = error;
  for (let depth = 0; depth < MAXIMUM_DEPTH && one instanceof Error; depth++) {
    if (one instanceof GlobalTransactionAbortedError) return one.retryable;
    if (!(one instanceof RollbackOnlyError) && 'code' in one && typeof one.code === 'string') {
      if (LOCK_CONFLICTS.has(one.code)) return true;
    }
    one = 'driverError' in one && one.driverError instanceof Error ? one.driverError : one.cause;
  }
  return false;
}
