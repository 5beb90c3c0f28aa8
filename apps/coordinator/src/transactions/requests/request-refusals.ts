import { findBranch, type TransactionState } from '@concordat/commit-protocol';
import {
  BranchConflictError,
  IdempotencyKeyReusedError,
  TransactionClosedError,
  TransactionDecidedError,
} from '../errors.js';
import { sentKey } from '../idempotency-scope.js';
import type { BranchView, Idempotency, NamedBranchRequest } from '../transactions.api.js';
import { branchView } from '../queries/view.js';

/** @throws TransactionDecidedError, TransactionClosedError when no branch can be enlisted any more */
export function refuseClosed({ transactionId, decision, closed }: TransactionState): void {
  if (decision) throw new TransactionDecidedError(`transaction ${transactionId} is decided (${decision})`);
  if (closed) throw new TransactionClosedError(`the commit of transaction ${transactionId} was requested already`);
}

/** The branch that a request repeats. Refuses a request that contradicts it. */
export function repeatedBranch(transaction: TransactionState, request: NamedBranchRequest): BranchView | undefined {
  const existing = findBranch(transaction, request.branchId);
  if (!existing) return undefined;
  const isSameMeans =
    'vote' in request ? existing.selfPrepared && existing.vote === request.vote : existing.heldBy === request.instance;
  const same = isSameMeans && existing.participant === request.participant;
  if (!same) throw branchConflict(request.branchId);
  return branchView(transaction, existing);
}

/** The branch that an earlier request with the same key enlisted. */
export function claimedBranch(transaction: TransactionState, { key }: Idempotency): BranchView {
  const claim = transaction.claims.find((candidate) => candidate.key === key);
  const branch = claim?.branchId === undefined ? undefined : findBranch(transaction, claim.branchId);
  if (!branch)
    throw new IdempotencyKeyReusedError(`the idempotency key ${sentKey(key)} was used to begin a transaction`);
  return branchView(transaction, branch);
}

export function branchConflict(branchId: string): BranchConflictError {
  return new BranchConflictError(`branch ${branchId} is enlisted already, with another vote, instance or participant`);
}

export function keyReused({ key }: Idempotency): IdempotencyKeyReusedError {
  return new IdempotencyKeyReusedError(`the idempotency key ${sentKey(key)} was used with another request`);
}
