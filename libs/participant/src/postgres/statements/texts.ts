import { escapeLiteral } from 'pg';
import { formatGid } from '@concordat/commit-protocol';
import { beginOf } from '../../runtime/database-identity.js';
import type { BranchIdentity } from '../../runtime/resource-manager.js';

/**
 * Two-phase commands always flush; a plain commit that others rely on must not be lost in a crash either. And none of
 * them may be lost with the server where there is a synchronous standby, for which `local` does not wait.
 */
export const FLUSH_AT_COMMIT = `SELECT set_config('synchronous_commit', 'on', true)
  WHERE current_setting('synchronous_commit') IN ('off', 'local')`;

/**
 * What another session has prepared or committed is seen before a synchronous standby has it. A commit of one's own
 * behind it waits for the standby to have both. To be followed by COMMIT.
 */
export const WAIT_FOR_WHAT_WAS_SEEN = "SELECT pg_logical_emit_message(true, 'concordat', '')";

/** Whether nothing may be said about a branch as an acceptor: the database may have lost what it had promised. */
export function selectAbstention(schema: string, { transactionId }: BranchIdentity): string {
  const begin = beginOf(transactionId);
  const limit = begin === Number.MAX_SAFE_INTEGER ? "'infinity'" : `to_timestamp(${begin / 1_000})`;
  return `SELECT FROM "${schema}".concordat_database WHERE abstains_before > ${limit}`;
}

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
