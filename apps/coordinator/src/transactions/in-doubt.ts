import {
  formatGid,
  isHazard,
  type BranchReport,
  type BranchState,
  type TransactionState,
} from '@concordat/commit-protocol';
import type { TransactionOptions } from './options.js';
import type { InDoubtItem, PossibleRuling } from './transactions.api.js';
import type { UnknownOldBranch } from './unknown-old-branches.js';

/** A transaction, and what is known of its votes beyond the log. */
export interface KnownTransaction {
  readonly transaction: TransactionState;
  reportOf(branchId: string): BranchReport | undefined;
}

type Finding = Pick<InDoubtItem, 'state' | 'reason' | 'rulings'>;

const FORGET: PossibleRuling = { action: 'forget', force: false };
const FORGET_BY_FORCE: PossibleRuling = { action: 'forget', force: true };
const ANY_RULING: readonly PossibleRuling[] = [
  { action: 'commit', force: false },
  { action: 'abort', force: false },
  FORGET,
];

/**
 * What an operator should look at, and can do: branches that voted yes and have not ended for a while, hazards, and
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
    const { transactionId, createdAt, decidedAt, branches } = one.transaction;
    const since = decidedAt ?? createdAt;
    for (const branch of branches) {
      const { branchId, participant } = branch;
      const finding = lookAt(one, branch, now - since >= inDoubtAfterMs);
      if (!finding) continue;
      const gid = formatGid(cluster, transactionId, branchId);
      items.push({ transactionId, branchId, participant, gid, since: new Date(since).toISOString(), ...finding });
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
      rulings: ANY_RULING,
    });
  }
  return items;
}

/** Hazards that no operator has ruled to be known. */
export function countHazards(transactions: Iterable<TransactionState>): number {
  let count = 0;
  for (const { branches } of transactions) {
    for (const { end, forgotten } of branches) if (isHazard(end) && !forgotten) count++;
  }
  return count;
}

function lookAt(known: KnownTransaction, branch: BranchState, late: boolean): Finding | undefined {
  const { transaction } = known;
  const { end, forgotten, ruling, participant } = branch;
  if (forgotten) return undefined;
  if (end === 'heuristic-rollback' || end === 'heuristic-commit') {
    const by = ruling === undefined ? 'somebody ended the prepared branch by hand' : 'an operator ended the branch';
    return { state: end, reason: `${by}, against the decision to ${transaction.decision!}`, rulings: [FORGET] };
  }
  if (end !== undefined || !late || (branch.vote ?? known.reportOf(branch.branchId)?.vote) !== 'yes') return undefined;
  return { state: 'in-doubt', ...describeDoubt(transaction, participant, ruling) };
}

function describeDoubt(
  { decision, delegatedTo, preCommit }: TransactionState,
  participant: string,
  ruling: BranchState['ruling'],
): Pick<Finding, 'reason' | 'rulings'> {
  if (decision === undefined) {
    const possible = delegatedTo === undefined && !preCommit;
    const rulings: PossibleRuling[] = possible ? [{ action: 'abort', force: false }] : [];
    return { reason: 'voted yes; the transaction is not decided yet', rulings };
  }
  if (ruling !== undefined) {
    const reason = `decided to ${decision}, and ruled to ${ruling} by an operator; ${participant} has not confirmed it yet`;
    return { reason, rulings: [FORGET_BY_FORCE] };
  }
  const against = decision === 'commit' ? 'abort' : 'commit';
  const reason = `decided to ${decision}; ${participant} has not confirmed it yet`;
  return { reason, rulings: [{ action: against, force: true }, FORGET_BY_FORCE] };
}
