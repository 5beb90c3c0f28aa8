import type { BranchId, TransactionId } from '@concordat/commit-protocol';

export interface UnknownOldBranch {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly participant: string;
}

/** Branches remembered at most; the alerts name all of them. */
export const UNKNOWN_OLD_CAPACITY = 1_000;

/**
 * Prepared branches of transactions that are older than the retention, or than the group (a database was restored from
 * a backup, say, or the coordinators lost their data):
 * nobody can know their decision any more, so an operator must see them. Kept by the leader that was asked; the
 * participants ask again. When there are too many, the one goes that has not been asked about for longest: what is
 * really prepared is asked about every few seconds, and so comes back.
 */
export class UnknownOldBranches {
  /** by transaction and branch, in the order in which they were last asked about */
  private readonly branches = new Map<string, UnknownOldBranch & { readonly since: number }>();

  constructor(private readonly now: () => number) {}

  /** True when it is new. */
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

  /** An operator has ruled on it; if it is still prepared after that, its participant asks again. */
  remove(transactionId: TransactionId, branchId: BranchId): void {
    this.branches.delete(keyOf(transactionId, branchId));
  }

  list(): Iterable<UnknownOldBranch & { readonly since: number }> {
    return this.branches.values();
  }
}

/** Both: somebody may ask about a branch in the name of a transaction that it does not belong to. */
function keyOf(transactionId: TransactionId, branchId: BranchId): string {
  return `${transactionId}/${branchId}`;
}
