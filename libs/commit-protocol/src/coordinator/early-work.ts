import type { CommitRequestedRecord } from '../log/records.js';
import { branchFrom, delegate, type BranchState, type TransactionState } from '../log/transaction-state.js';
import { workFor } from './coordinator-messages.js';
import type { CoordinatorEffect } from './coordinator.types.js';
import type { BranchId, BranchSpecification, LeaderEpoch } from '../vocabulary/types.js';

/**
 * What the leader does for a transaction before its commit request is in the log: the branches that the request names,
 * whose enlistments are in flight, and the branches that it has asked to prepare.
 *
 * In two phases a branch whose work is done may be asked at once, as that of a one-shot transaction may be asked before
 * `Begin` is in the log (protocol 3.1). If the request is lost, the branch is prepared in a transaction that is open, or
 * that nobody knows: it is asked again after the next request, or told to abort.
 */
export class EarlyWork {
  private readonly joining = new Map<BranchId, BranchState>();
  private readonly asked = new Set<BranchId>();
  private workAttempt: number;

  /** @param recovered whether an earlier leader may have asked */
  constructor(
    private readonly epoch: LeaderEpoch,
    recovered: boolean,
  ) {
    this.workAttempt = recovered ? 1 : 0;
  }

  /** Takes branches of a commit request that the log does not have yet. */
  join(branches: readonly BranchSpecification[]): void {
    for (const branch of branches) this.joining.set(branch.branchId, branchFrom(branch));
  }

  find(branchId: BranchId): BranchState | undefined {
    return this.joining.get(branchId);
  }

  /** The record of the commit request; it names the branches that must be enlisted by then. */
  commitRequest({ transactionId, branches }: TransactionState, at: number): CommitRequestedRecord {
    const branchIds = [...this.joining.keys()];
    const delegateTo = branchIds.length === 0 ? delegate(branches) : undefined;
    return {
      type: 'commit-requested',
      transactionId,
      at,
      ...(delegateTo !== undefined && { delegateTo }),
      ...(branchIds.length > 0 && { branchIds }),
    };
  }

  /** All branches, when each of them may be asked before the request is in the log. */
  private askable({ protocol, branches }: TransactionState): readonly BranchState[] {
    const known = new Set(branches.map(({ branchId }) => branchId));
    const all = [...branches, ...[...this.joining.values()].filter(({ branchId }) => !known.has(branchId))];
    // Acceptors get the set of branches, which is fixed by the log; operations may have to wait for their keys.
    const mayOvertake = protocol === '2pc' && all.every(({ operations }) => operations.length === 0);
    return mayOvertake ? all : [];
  }

  /** Asks those that may be asked before the request is in the log, each once in an attempt. */
  askEarly(transaction: TransactionState, isMissing: (branch: BranchState) => boolean): CoordinatorEffect[] {
    const due = this.askable(transaction).filter((branch) => isMissing(branch) && !this.asked.has(branch.branchId));
    for (const { branchId } of due) this.asked.add(branchId);
    return this.messages(transaction, due);
  }

  /** Asks the branches, but not those that were asked early in this attempt. */
  ask(transaction: TransactionState, branches: readonly BranchState[]): CoordinatorEffect[] {
    const due = branches.filter(({ branchId }) => !this.asked.has(branchId));
    this.asked.clear();
    return this.messages(transaction, due);
  }

  /** Begins the next attempt. */
  askAgain(): void {
    this.asked.clear();
    this.workAttempt++;
  }

  private messages(transaction: TransactionState, branches: readonly BranchState[]): CoordinatorEffect[] {
    const { workAttempt, epoch } = this;
    return branches.map((branch) => ({ type: 'send', message: workFor(transaction, branch, workAttempt, epoch) }));
  }
}
