import {
  formatGid,
  isHazard,
  type AcceptorLoss,
  type BranchState,
  type TransactionState,
} from '@concordat/commit-protocol';
import type { TransactionOptions } from '../options.js';
import type { InDoubtItem, PossibleRuling } from '../transactions.api.js';
import type { UnknownOldBranch } from '../leadership/unknown-old-branches.js';
import { describeLoss, type LeaderKnowledge } from './view.js';

/** A transaction, and what the leader knows beyond the log. */
export interface KnownTransaction {
  readonly transaction: TransactionState;
  readonly beyond?: LeaderKnowledge | undefined;
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
 * What an operator should look at, and can do: branches that voted yes and have not ended for a while, delegated
 * branches that have not answered, and hazards.
 */
export function inDoubtOf(
  known: KnownTransaction,
  now: number,
  { cluster, inDoubtAfterMs }: Pick<TransactionOptions, 'cluster' | 'inDoubtAfterMs'>,
): InDoubtItem[] {
  const items: InDoubtItem[] = [];
  const { transactionId, branches } = known.transaction;
  const since = inDoubtSince(known.transaction);
  for (const branch of branches) {
    if (!isListed(known, branch, now - since >= inDoubtAfterMs)) continue;
    const { branchId, participant } = branch;
    const gid = formatGid(cluster, transactionId, branchId);
    const finding = describe(known.transaction, branch, branch.loss ?? known.beyond?.lossOf(branchId));
    items.push({ transactionId, branchId, participant, gid, since: new Date(since).toISOString(), ...finding });
  }
  return items;
}

/** The number of branches that `inDoubtOf` lists for a transaction. */
export function countInDoubt(
  known: KnownTransaction,
  now: number,
  { inDoubtAfterMs }: Pick<TransactionOptions, 'inDoubtAfterMs'>,
): number {
  let count = 0;
  const late = now - inDoubtSince(known.transaction) >= inDoubtAfterMs;
  for (const branch of known.transaction.branches) if (isListed(known, branch, late)) count++;
  return count;
}

/** A prepared branch of a transaction whose decision is no longer known. */
export function unknownOldItem(
  { transactionId, branchId, participant, since }: UnknownOldBranch & { readonly since: number },
  { cluster }: Pick<TransactionOptions, 'cluster'>,
): InDoubtItem {
  return {
    transactionId,
    branchId,
    participant,
    gid: formatGid(cluster, transactionId, branchId),
    state: 'unknown-old',
    since: new Date(since).toISOString(),
    reason: 'the transaction is older than the retention, or than this group: its decision is not known any more',
    rulings: ANY_RULING,
  };
}

/** Hazards that no operator has forgotten. */
export function countHazards(transactions: Iterable<TransactionState>): number {
  let count = 0;
  for (const { branches } of transactions) {
    for (const { end, forgotten } of branches) if (isHazard(end) && !forgotten) count++;
  }
  return count;
}

/** A delegated transaction is in doubt only after its deadline: until then its branch may be at work. */
function inDoubtSince({ createdAt, deadline, decidedAt, delegatedTo }: TransactionState): number {
  return decidedAt ?? (delegatedTo === undefined ? createdAt : deadline);
}

function isListed(known: KnownTransaction, { branchId, end, forgotten, vote }: BranchState, late: boolean): boolean {
  if (forgotten) return false;
  if (end !== undefined || !late) return isHazard(end);
  if (isDelegationOpen(known.transaction)) return true;
  return (vote ?? known.beyond?.reportOf(branchId)?.vote) === 'yes';
}

/** Whether the decision is delegated to the only branch and still open. */
function isDelegationOpen({ decision, delegatedTo }: TransactionState): boolean {
  return delegatedTo !== undefined && decision === undefined;
}

function describe(transaction: TransactionState, branch: BranchState, loss: AcceptorLoss | undefined): Finding {
  const { end, ruling, participant } = branch;
  if (end === 'heuristic-rollback' || end === 'heuristic-commit') {
    const reason = `${hazardBy(branch, loss)}, against the decision to ${transaction.decision!}`;
    return { state: end, reason, rulings: [FORGET] };
  }
  const { reason, rulings } = describeDoubt(transaction, participant, ruling);
  return { state: 'in-doubt', reason: loss ? `${reason}; the branch ${describeLoss(loss)}` : reason, rulings };
}

function hazardBy({ end, ruling, participant }: BranchState, loss: AcceptorLoss | undefined): string {
  if (ruling !== undefined) return 'an operator ended the branch';
  const byHand = 'somebody ended the prepared branch by hand';
  if (end === 'heuristic-commit') return byHand;
  return loss ? `the database of ${participant} has lost the branch` : `${byHand}, or its database has lost it`;
}

function describeDoubt(
  { decision, delegatedTo, preCommit }: TransactionState,
  participant: string,
  ruling: BranchState['ruling'],
): Pick<Finding, 'reason' | 'rulings'> {
  if (decision === undefined) {
    if (delegatedTo !== undefined) {
      const reason = `the decision was left to it, and ${participant} has not answered since the deadline`;
      return { reason, rulings: [FORGET_BY_FORCE] };
    }
    const possible = !preCommit;
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
