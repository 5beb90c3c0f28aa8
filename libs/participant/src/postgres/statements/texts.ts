import { escapeLiteral } from 'pg';
import { formatGid } from '@concordat/commit-protocol';
import { beginOf } from '../../runtime/database-identity.js';
import type { BranchIdentity } from '../../runtime/resource-manager.js';

/**
 * Two-phase commands always flush; a plain commit must not be lost in a crash either. With a synchronous standby none
 * of them may be lost with the server; `local` does not wait for the standby.
 */
export const FLUSH_AT_COMMIT = `SELECT set_config('synchronous_commit', 'on', true)
  WHERE current_setting('synchronous_commit') IN ('off', 'local')`;

/**
 * What another session has prepared or committed is visible before a synchronous standby has it. A commit after it
 * waits for the standby to have both. Must be followed by COMMIT.
 */
export const WAIT_FOR_WHAT_WAS_SEEN = "SELECT pg_logical_emit_message(true, 'concordat', '')";

/** Whether a branch must abstain as an acceptor: the database may have lost promises. */
export function selectAbstention(schema: string, branch: BranchIdentity): string {
  return `SELECT FROM "${schema}".concordat_database WHERE abstains_before > ${beginLiteral(branch)}`;
}

/** When the transaction began, for what a database that was replaced has to say about it. */
export function beginLiteral({ transactionId }: BranchIdentity): string {
  const begin = beginOf(transactionId);
  return begin === Number.MAX_SAFE_INTEGER ? "'infinity'" : `to_timestamp(${begin / 1_000})`;
}

/** `formatGid` asserts the characters and the length, so the literal is safe. */
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
 * Like `selectLedger`, without a row of another transaction under the branch's id: that blocks a prepare, but is no end
 * of this branch.
 */
export function selectOwnLedger(table: string, branch: BranchIdentity): string {
  return `${selectLedger(table, branch)} AND transaction_id = ${escapeLiteral(branch.transactionId)}`;
}
