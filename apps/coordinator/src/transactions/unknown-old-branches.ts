import type { BranchId, TransactionId } from '@concordat/commit-protocol';

export interface UnknownOldBranch {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly participant: string;
}

/** Branches remembered at most; the alerts name all of them. */
const CAPACITY = 1_000;

/**
 * Prepared branches of transactions that are older than the retention (a database restored from backup, say):
 * nobody can know their decision any more, so an operator must see them. Kept by the leader that was asked; the
 * participants ask again.
 */
export class UnknownOldBranches {
  private readonly branches = new Map<BranchId, UnknownOldBranch & { readonly since: number }>();

  constructor(private readonly now: () => number) {}

  /** True when it is new. */
  add(branch: UnknownOldBranch): boolean {
    if (this.branches.has(branch.branchId) || this.branches.size >= CAPACITY) return false;
    this.branches.set(branch.branchId, { ...branch, since: this.now() });
    return true;
  }

  get size(): number {
    return this.branches.size;
  }

  find(transactionId: TransactionId, branchId: BranchId): UnknownOldBranch | undefined {
    const branch = this.branches.get(branchId);
    return branch?.transactionId === transactionId ? branch : undefined;
  }

  /** An operator has ruled on it; if it is still prepared after that, its participant asks again. */
  remove(branchId: BranchId): void {
    this.branches.delete(branchId);
  }

  list(): Iterable<UnknownOldBranch & { readonly since: number }> {
    return this.branches.values();
  }
}
