import type { JsonValue } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { LedgerRow } from '../types.js';

/** Reads a row `(outcome, result)`; `result` holds the handlers' results, or the error of a tombstone. */
export function ledgerRowOf(row: unknown): LedgerRow | undefined {
  if (typeof row !== 'object' || row === null || !('outcome' in row)) return undefined;
  const result = 'result' in row ? row.result : undefined;
  if (row.outcome === 'committed') {
    return { outcome: 'committed', results: Array.isArray(result) ? (result as JsonValue[]) : [] };
  }
  return { outcome: 'aborted', error: isBranchError(result) ? result : undefined };
}

export function isBranchError(value: unknown): value is BranchError {
  return (
    typeof value === 'object' &&
    value !== null &&
    'code' in value &&
    typeof value.code === 'string' &&
    'message' in value &&
    typeof value.message === 'string'
  );
}
