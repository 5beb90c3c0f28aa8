import { formatGid, type CoordinatorTransaction } from '@concordat/commit-protocol';
import { votedYes } from './leader-session.js';
import type { TransactionOptions } from './options.js';
import type { InDoubtItem } from './transactions.api.js';
import type { UnknownOldBranch } from './unknown-old-branches.js';

/**
 * What an operator should look at: branches that voted yes and have not ended for a while, hazards, and
 * prepared branches of transactions that nobody remembers.
 */
export function listInDoubt(
  machines: Iterable<CoordinatorTransaction>,
  unknownOld: Iterable<UnknownOldBranch & { readonly since: number }>,
  now: number,
  { cluster, inDoubtAfterMs }: Pick<TransactionOptions, 'cluster' | 'inDoubtAfterMs'>,
): InDoubtItem[] {
  const items: InDoubtItem[] = [];
  for (const machine of machines) {
    const { transactionId, createdAt, decidedAt, decision, branches } = machine.transaction;
    const since = decidedAt ?? createdAt;
    for (const { branchId, participant, end } of branches) {
      const identity = { transactionId, branchId, participant, gid: formatGid(cluster, transactionId, branchId) };
      if (end === 'heuristic-rollback' || end === 'heuristic-commit') {
        const reason = `somebody ended the prepared branch by hand, against the decision to ${decision ?? 'come'}`;
        items.push({ ...identity, state: end, since: new Date(since).toISOString(), reason });
      } else if (end === undefined && votedYes(machine, branchId) && now - since >= inDoubtAfterMs) {
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
