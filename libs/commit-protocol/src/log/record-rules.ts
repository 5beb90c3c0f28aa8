import type { DecideRecord, EnlistRecord, ResolveRecord } from './records.js';
import type { BranchState, TransactionState } from './transaction-state.js';
import type { BranchEnd } from '../vocabulary/types.js';

/** Whether an enlistment is a repeat of a branch's own, or adds operations to it. */
export function joins(existing: BranchState, specification: EnlistRecord['branch']): boolean {
  if (existing.participant !== specification.participant) return false;
  return existing.selfPrepared
    ? specification.enlistedVote === existing.vote
    : specification.enlistedVote === undefined && specification.operations.length > 0;
}

/**
 * How a branch ends by the decision alone. A read-only branch holds nothing, and as an acceptor starts no ballot. A
 * branch that voted no has its tombstone; one that was never asked (its transaction was aborted before the commit was
 * requested) has nothing to undo. All others must be told.
 */
export function endAtDecision(
  transaction: TransactionState,
  branch: BranchState,
  record: DecideRecord,
): BranchEnd | undefined {
  if (branch.vote === 'read-only') return 'read-only';
  if (record.decision === 'commit') return undefined;
  if (branch.vote === 'no') return 'aborted';
  return !transaction.closed && !branch.selfPrepared ? 'aborted' : undefined;
}

/**
 * The branch that was to decide is no longer waited for. The decision stands for what may be presumed of it; that
 * nobody knows says the outcome, `mixed`.
 */
export function giveUp(transaction: TransactionState, { operator, reason }: ResolveRecord, at: number): void {
  transaction.decision = 'abort';
  transaction.cause = {
    reason: 'OPERATOR',
    detail: `${operator} gave up its only branch, which may have committed: ${reason}`,
  };
  transaction.decidedAt = at;
}
