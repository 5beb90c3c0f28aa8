import type { ResolveRecord } from './records.js';
import type { RulingRefusal } from './ruling-judgement.js';
import type { BranchId, RulingAction, TransactionId } from '../vocabulary/types.js';

/** Maximum number of rulings kept; the oldest is dropped first. */
export const MAXIMUM_OLD_RULINGS = 1_000;

/** An operator's ruling on a branch whose transaction is older than the retention. */
export interface OldRuling {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly participant: string;
  readonly action: RulingAction;
  readonly operator: string;
  readonly reason: string;
  readonly force: boolean;
  readonly at: number;
}

/**
 * Part of the replicated state: operators' rulings on prepared branches whose decision is no longer known (after a
 * restored backup, say). Any leader answers the branch's inquiries with the ruling, in place of the decision. Bounded
 * by number, and by the retention.
 */
export class OldRulings {
  private readonly byBranch = new Map<BranchId, OldRuling>();

  get(branchId: BranchId): OldRuling | undefined {
    return this.byBranch.get(branchId);
  }

  all(): OldRuling[] {
    return [...this.byBranch.values()];
  }

  /**
   * The first ruling on a branch stands, like a decision; only `forget` can be followed by another. Branches of one
   * transaction get the same ruling (AC1), unless `force` confirms a difference.
   */
  judge(ruling: Pick<ResolveRecord, 'transactionId' | 'branchId' | 'action' | 'force'>): RulingRefusal | undefined {
    const { transactionId, branchId, action, force } = ruling;
    if (branchId === undefined) return 'BRANCH_NEEDED';
    const before = this.byBranch.get(branchId);
    if (before?.action === action) return 'NOTHING_TO_DO';
    if (before && before.action !== 'forget') return 'CONTRADICTS_DECISION';
    const differs = this.all().some(
      (other) => other.transactionId === transactionId && other.action !== action && other.action !== 'forget',
    );
    return differs && action !== 'forget' && !force ? 'CONTRADICTS_DECISION' : undefined;
  }

  add(ruling: OldRuling): void {
    this.byBranch.delete(ruling.branchId); // moves it to the end
    this.byBranch.set(ruling.branchId, ruling);
    const [oldest] = this.byBranch.keys();
    if (this.byBranch.size > MAXIMUM_OLD_RULINGS && oldest !== undefined) this.byBranch.delete(oldest);
  }

  /** Drops rulings older than a time (milliseconds since 1970). */
  expire(before: number): void {
    for (const { branchId, at } of this.byBranch.values()) if (at < before) this.byBranch.delete(branchId);
  }

  restore(rulings: readonly OldRuling[]): void {
    this.byBranch.clear();
    for (const ruling of rulings) this.byBranch.set(ruling.branchId, ruling);
  }
}
