import { escapeLiteral } from 'pg';
import { formatGid } from '@concordat/commit-protocol';
import type { BranchIdentity } from '../../runtime/resource-manager.js';

/** Two-phase commands always flush; a plain commit that others rely on must not be lost in a crash either. */
export const FLUSH_AT_COMMIT = `SELECT set_config('synchronous_commit', 'on', true)
  WHERE current_setting('synchronous_commit') = 'off'`;

/** `formatGid` asserts the charset and the length, so that quoting is never put to the test. */
export function gidLiteral(cluster: string, { transactionId, branchId }: BranchIdentity): string {
  return escapeLiteral(formatGid(cluster, transactionId, branchId));
}

export function selectPrepared(cluster: string, branch: BranchIdentity): string {
  return `SELECT EXISTS (SELECT FROM pg_prepared_xacts
    WHERE gid = ${gidLiteral(cluster, branch)} AND database = current_database()) AS prepared`;
}

/** @param table the ledger, quoted */
export function selectLedger(table: string, { branchId }: BranchIdentity): string {
  return `SELECT outcome, result, decided FROM ${table} WHERE branch_id = ${escapeLiteral(branchId)}`;
}

/**
 * As `selectLedger`, without what another transaction has written under the branch's id: that blocks a prepare, but it
 * is no end of this branch.
 */
export function selectOwnLedger(table: string, branch: BranchIdentity): string {
  return `${selectLedger(table, branch)} AND transaction_id = ${escapeLiteral(branch.transactionId)}`;
}
