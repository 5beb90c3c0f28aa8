import type { BranchId, TransactionId } from '@concordat/commit-protocol';

export interface UnknownOldBranch {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly participant: string;
}

/** Maximum number of branches kept; the alerts name all of them. */
export const UNKNOWN_OLD_CAPACITY = 1_000;

/**
 * Prepared branches whose decision nobody knows any more: their transaction is older than the retention, or than the
 * group (after a restored backup, or when the coordinators lost their data). An operator must see them. Kept by the
 * leader; participants ask again after a change of leader. Beyond the bound, the branch that was silent longest goes: a
 * branch that is really prepared asks every few seconds and comes back.
 */
export class UnknownOldBranches {
  /** by transaction and branch, in the order of their latest inquiry */
  private readonly branches = new Map<string, UnknownOldBranch & { readonly since: number }>();

  constructor(private readonly now: () => number) {}

  /** Returns true when it is new. */
  add(branch: UnknownOldBranch): boolean {
    const key = keyOf(branch.transactionId, branch.branchId);
    const known = this.branches.get(key);
    this.branches.delete(key);
    this.branches.set(key, known ?? { ...branch, since: this.now() });
    const [longestSilent] = this.branches.keys();
    if (this.branches.size > UNKNOWN_OLD_CAPACITY && longestSilent !== undefined) this.branches.delete(longestSilent);
    return known === undefined;
  }

  get size(): number {
    return this.branches.size;
  }

  find(transactionId: TransactionId, branchId: BranchId): UnknownOldBranch | undefined {
    return this.branches.get(keyOf(transactionId, branchId));
  }

  /** An operator has ruled on it. If it is still prepared after that, its participant asks again. */
  remove(transactionId: TransactionId, branchId: BranchId): void {
    this.branches.delete(keyOf(transactionId, branchId));
  }

  list(): Iterable<UnknownOldBranch & { readonly since: number }> {
    return this.branches.values();
  }
}

/** An inquiry may name a branch that does not belong to its transaction, so the key has both ids. */
function keyOf(transactionId: TransactionId, branchId: BranchId): string {
  return `${transactionId}/${branchId}`;
}
