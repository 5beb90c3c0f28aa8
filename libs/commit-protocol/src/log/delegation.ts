import type { BranchId } from '../vocabulary/types.js';

/**
 * The only branch of a transaction, if it has just one and its work is still to be done: it may commit in one
 * phase (protocol 4.7).
 */
export function delegate(
  branches: readonly { branchId: BranchId; operations: readonly unknown[]; enlistedVote?: unknown; vote?: unknown }[],
): BranchId | undefined {
  const [only, ...others] = branches;
  if (!only || others.length > 0 || only.operations.length === 0) return undefined;
  return only.enlistedVote === undefined && only.vote === undefined ? only.branchId : undefined;
}
