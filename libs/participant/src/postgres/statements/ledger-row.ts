import type { JsonValue } from '@concordat/foundation';
import { branchError, type BranchError } from '@concordat/commit-protocol';
import { BranchResults } from '../../runtime/branch-results.js';
import type { LedgerRow } from './rows.js';

/** A row of `concordat_branch` with an outcome that this library never writes: it was edited by hand, and is not used. */
export class UnreadableLedgerRowError extends Error {
  override readonly name = 'UnreadableLedgerRowError';
}

/**
 * Reads a row `(outcome, result, decided)`; `result` holds the handlers' results, or the error of a tombstone.
 *
 * @throws UnreadableLedgerRowError for any other outcome: whoever asks must not be told an end that may be wrong
 */
export function ledgerRowOf(row: unknown): LedgerRow | undefined {
  if (typeof row !== 'object' || row === null || !('outcome' in row)) return undefined;
  const result = 'result' in row ? row.result : undefined;
  if (row.outcome === 'committed') {
    return { outcome: 'committed', results: storedResults(result) };
  }
  if (row.outcome !== 'aborted') throw new UnreadableLedgerRowError('a row of the ledger has an unreadable outcome');
  const isDecided = 'decided' in row && row.decided === true;
  return { outcome: 'aborted', error: storedError(result), isDecided };
}

/** Results that are not valid (from another version, or edited) are left out: the branch has ended. */
export function storedResults(value: unknown): readonly JsonValue[] {
  if (!Array.isArray(value)) return [];
  try {
    return BranchResults.of('the ledger', value);
  } catch {
    return [];
  }
}

/** Makes a stored error valid for messages, whatever wrote it. */
export function storedError(value: unknown): BranchError | undefined {
  if (typeof value !== 'object' || value === null || !('code' in value) || !('message' in value)) return undefined;
  if (typeof value.code !== 'string' || typeof value.message !== 'string') return undefined;
  return branchError(value.code, value.message);
}
