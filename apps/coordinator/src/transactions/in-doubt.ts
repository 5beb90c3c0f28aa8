import { findBranch, formatGid, type BranchReport, type TransactionState } from '@concordat/commit-protocol';
import type { TransactionOptions } from './options.js';
import type { InDoubtItem } from './transactions.api.js';
import type { UnknownOldBranch } from './unknown-old-branches.js';

/** A transaction, and what is known of its votes beyond the log. */
export interface KnownTransaction {
  readonly transaction: TransactionState;
  reportOf(branchId: string): BranchReport | undefined;
}

/**
 * What an operator should look at: branches that voted yes and have not ended for a while, hazards, and
 * prepared branches of transactions that nobody remembers.
 */
export function listInDoubt(
  known: Iterable<KnownTransaction>,
  unknownOld: Iterable<UnknownOldBranch & { readonly since: number }>,
  now: number,
  { cluster, inDoubtAfterMs }: Pick<TransactionOptions, 'cluster' | 'inDoubtAfterMs'>,
): InDoubtItem[] {
  const items: InDoubtItem[] = [];
  for (const one of known) {
    const { transactionId, createdAt, decidedAt, decision, branches } = one.transaction;
    const since = decidedAt ?? createdAt;
    for (const { branchId, participant, end } of branches) {
      const identity = { transactionId, branchId, participant, gid: formatGid(cluster, transactionId, branchId) };
      if (end === 'heuristic-rollback' || end === 'heuristic-commit') {
        const reason = `somebody ended the prepared branch by hand, against the decision to ${decision ?? 'come'}`;
        items.push({ ...identity, state: end, since: new Date(since).toISOString(), reason });
      } else if (end === undefined && votedYes(one, branchId) && now - since >= inDoubtAfterMs) {
        const reason = decision
          ? `decided to ${decision}; ${participant} has not confirmed it yet`
          : 'voted yes; the transaction is not decided yet';
        items.push({ ...identity, state: 'in-doubt', since: new Date(since).toISOString(), reason });
      }
    }
  }
  for (const { transactionId, branchId, participant, since } of unknownOld) {
    const gid = formatGid(cluster, transactionId, branchId);
    const reason = 'the transaction is older than the retention: its decision is not known any more';
    items.push({
      transactionId,
      branchId,
      participant,
      gid,
      state: 'unknown-old',
      since: new Date(since).toISOString(),
      reason,
    });
  }
  return items;
}

/** Whether a transaction's branch voted yes, as far as the log and the leader know. */
function votedYes(known: KnownTransaction, branchId: string): boolean {
  const vote = findBranch(known.transaction, branchId)?.vote ?? known.reportOf(branchId)?.vote;
  return vote === 'yes';
}
