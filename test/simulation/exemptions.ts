import type { Decision, LogRecord, TransactionState } from '@concordat/commit-protocol';

/**
 * What operators have taken upon themselves, and the checker must not hold against the system: branches that were
 * ended against the decision, by a forced ruling or by hand in the database, and transactions that were committed,
 * or given up, before their clients or branches had said all. Everything else is judged as strictly as ever.
 */
export class Exemptions {
  databaseChanges = 0;
  private readonly rulings = new Map<string, Decision>();
  private readonly lostBranches = new Set<string>();
  private readonly endedByHand = new Set<string>();
  /** the decision was left to them, and nobody waits for it any more: they may have ended in any way */
  private readonly givenUp = new Set<string>();
  private readonly transactions = new Set<string>();

  /** A database has lost something of the branch. */
  loses(transactionId: string, branchId: string): void {
    this.endByHand(transactionId, branchId);
    this.lostBranches.add(branchId);
  }

  hasLost(branchId: string): boolean {
    return this.lostBranches.has(branchId);
  }

  get count(): number {
    return this.transactions.size;
  }

  /** Somebody ends a prepared branch in its database. */
  endByHand(transactionId: string, branchId: string): void {
    this.endedByHand.add(branchId);
    this.transactions.add(transactionId);
  }

  /** To be called with every record that changed a transaction. */
  learn(record: LogRecord, { transactionId, branches, delegatedTo }: TransactionState): void {
    if (record.type !== 'resolve') return;
    const isGivenUp = delegatedTo !== undefined && branches.some(({ end }) => end === undefined);
    if (record.action === 'forget' && isGivenUp) this.givenUp.add(delegatedTo);
    // only the branch that the ruling names may be ended against the decision, whatever the log makes of it
    const ruling = branches.find(({ branchId }) => branchId === record.branchId)?.ruling;
    if (record.branchId !== undefined && ruling) this.rulings.set(record.branchId, ruling);
    if (record.force) this.transactions.add(transactionId);
  }

  rulingOf(branchId: string): Decision | undefined {
    return this.rulings.get(branchId);
  }

  /** Whether the branch may end otherwise than its transaction was decided. */
  hasBranch(branchId: string): boolean {
    return this.rulings.has(branchId) || this.endedByHand.has(branchId) || this.givenUp.has(branchId);
  }

  /** Whether the transaction may be mixed, or not what its client wanted. */
  hasTransaction(transactionId: string): boolean {
    return this.transactions.has(transactionId);
  }

  /** Whether an alert is about such a transaction. */
  explains(alert: string): boolean {
    // a participant tells that its database has changed; without a fail-over it has no reason to
    if (alert.includes('DATABASE_CHANGED')) return this.lostBranches.size > 0 || this.databaseChanges > 0;
    return [...this.transactions].some((transactionId) => alert.includes(transactionId));
  }
}
