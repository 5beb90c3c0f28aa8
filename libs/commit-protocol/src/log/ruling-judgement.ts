import { allVotedToCommit } from './record-rules.js';
import type { ResolveRecord } from './records.js';
import {
  findBranch,
  keepsOpen,
  type BranchState,
  type RulingEffect,
  type RulingState,
  type TransactionState,
} from './transaction-state.js';

/** Maximum number of rulings on one transaction. */
export const MAXIMUM_RULINGS = 32;

/** A ruling without its author. */
export type Ruling = Pick<ResolveRecord, 'branchId' | 'action' | 'force' | 'reports' | 'at'>;

/** Why a ruling has no effect. */
export type RulingRefusal =
  /** it is so already */
  | 'NOTHING_TO_DO'
  | 'BRANCH_UNKNOWN'
  /** there is no decision yet, so nothing can be forgotten */
  | 'UNDECIDED'
  /** an undecided transaction is decided as a whole, never for one branch */
  | 'WHOLE_TRANSACTION'
  /** its branch decides (protocol 4.7) */
  | 'DELEGATED'
  /** its branch may still be at work, and will answer */
  | 'BEFORE_DEADLINE'
  /** its branches decide by ballots (protocol section 6) */
  | 'BALLOT'
  /** a commit needs `yes` or `read-only` of every branch (AC3); nothing overrides that */
  | 'VOTES_MISSING'
  /** the decision never changes (AC2) */
  | 'CONTRADICTS_DECISION'
  /** against the decision only a single branch can be ended */
  | 'BRANCH_NEEDED'
  /** the branch holds nothing to end: it did not vote yes, has ended, or is forgotten */
  | 'NOT_IN_DOUBT'
  /** the branch was ruled the other way before */
  | 'RULED_OTHERWISE'
  /** possible only with `force` */
  | 'NEEDS_FORCE'
  | 'TOO_MANY_RULINGS';

export type Judgement =
  | { readonly refusal: RulingRefusal }
  | { readonly refusal?: undefined; readonly effect: RulingEffect; readonly branches: readonly BranchState[] };

/**
 * What an operator's ruling does to a transaction, or why it has no effect. Pure, and called twice: by the leader
 * before it proposes the ruling, and by every node when it applies it.
 *
 * An undecided transaction gets its decision, under the coordinator's rules: a commit needs every vote; the operator
 * cannot decide what is delegated or under a ballot. If the client never requested the commit, `force` confirms that
 * the branches are complete; it never replaces a vote. A delegated transaction whose branch will never answer can only
 * be given up, with `force` and after its deadline: the branch may have committed, so the outcome is `mixed`. A decided
 * transaction keeps its decision: with `force`, one branch that voted yes is ended against it. `forget` gives up
 * hazards, and with `force` also branches that have not answered.
 */
export function judgeRuling(transaction: TransactionState, ruling: Ruling): Judgement {
  const judgement = transaction.decision ? judgeDecided(transaction, ruling) : judgeUndecided(transaction, ruling);
  if (judgement.refusal !== undefined) return judgement;
  return (transaction.rulings?.length ?? 0) < MAXIMUM_RULINGS ? judgement : { refusal: 'TOO_MANY_RULINGS' };
}

export function rulingState(record: ResolveRecord, effect: RulingEffect): RulingState {
  const { action, branchId, operator, reason, force, at } = record;
  return { action, ...(branchId !== undefined && { branchId }), operator, reason, force, effect, at };
}

function judgeUndecided(transaction: TransactionState, ruling: Ruling): Judgement {
  const { action, branchId, force, reports } = ruling;
  const givesUp = action === 'forget' && transaction.delegatedTo !== undefined;
  if (givesUp && (branchId ?? transaction.delegatedTo) === transaction.delegatedTo) {
    return judgeGivingUp(transaction, ruling);
  }
  if (branchId !== undefined) {
    return { refusal: findBranch(transaction, branchId) ? 'WHOLE_TRANSACTION' : 'BRANCH_UNKNOWN' };
  }
  if (action === 'forget') return { refusal: 'UNDECIDED' };
  if (transaction.delegatedTo !== undefined) return { refusal: 'DELEGATED' };
  if (transaction.preCommit || (transaction.protocol === '3pc' && action === 'commit')) return { refusal: 'BALLOT' };
  if (action === 'commit') {
    if (!allVotedToCommit(transaction, reports)) return { refusal: 'VOTES_MISSING' };
    if (!transaction.closed && !force) return { refusal: 'NEEDS_FORCE' };
  }
  return { effect: 'decided', branches: [] };
}

/** After its deadline a participant begins no work: whatever the branch has done, it has done. */
function judgeGivingUp(transaction: TransactionState, { force, at }: Ruling): Judgement {
  if (at < transaction.deadline) return { refusal: 'BEFORE_DEADLINE' };
  return force ? { effect: 'forgotten', branches: transaction.branches } : { refusal: 'NEEDS_FORCE' };
}

function judgeDecided(transaction: TransactionState, ruling: Ruling): Judgement {
  const { action, branchId, force } = ruling;
  const branch = branchId === undefined ? undefined : findBranch(transaction, branchId);
  if (branchId !== undefined && !branch) return { refusal: 'BRANCH_UNKNOWN' };
  if (action === 'forget') return judgeForgetting(branch ? [branch] : transaction.branches, transaction, force);
  if (action === transaction.decision) {
    return { refusal: branch?.ruling !== undefined && branch.end === undefined ? 'RULED_OTHERWISE' : 'NOTHING_TO_DO' };
  }
  if (!force || transaction.endedAt !== undefined) return { refusal: 'CONTRADICTS_DECISION' };
  if (!branch) return { refusal: 'BRANCH_NEEDED' };
  if (branch.vote !== 'yes' || branch.end !== undefined || branch.forgotten) return { refusal: 'NOT_IN_DOUBT' };
  return branch.ruling === undefined ? { effect: 'branch-ruled', branches: [branch] } : { refusal: 'NOTHING_TO_DO' };
}

function judgeForgetting(candidates: readonly BranchState[], { endedAt }: TransactionState, force: boolean): Judgement {
  const branches = endedAt === undefined ? candidates.filter(keepsOpen) : [];
  if (branches.length === 0) return { refusal: 'NOTHING_TO_DO' };
  const unanswered = branches.some(({ end }) => end === undefined);
  return unanswered && !force ? { refusal: 'NEEDS_FORCE' } : { effect: 'forgotten', branches };
}
