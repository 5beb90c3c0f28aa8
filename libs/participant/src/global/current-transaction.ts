import type { TransactionId } from '@concordat/commit-protocol';
import type { BranchClient } from '../postgres/index.js';
import type { GlobalHook } from './hooks.js';
import type { TransactionScope } from './transaction-scope.js';

/** The global transaction of a running method. Usable until the method has settled. */
export class CurrentTransaction {
  constructor(private readonly scope: TransactionScope) {}

  /** as the coordinators know it */
  get id(): TransactionId {
    return this.scope.transaction.transactionId;
  }

  /** when it aborts if it is not decided, in milliseconds since 1970 */
  get deadline(): number {
    return this.scope.transaction.deadline;
  }

  /** The session of this process, opened at the first statement. */
  get client(): BranchClient {
    return this.scope;
  }

  get isRollbackOnly(): boolean {
    return this.scope.transaction.doomed !== undefined;
  }

  /** The transaction can only abort from now on. @param reason a sentence, for the error that the commit throws */
  setRollbackOnly(reason: string): void {
    const { transaction } = this.scope;
    transaction.doom({ code: 'ROLLBACK_ONLY', by: transaction.participant, message: reason });
  }

  /** Called once the transaction is known to be committed; never for a method whose work was undone. */
  onGlobalCommit(hook: GlobalHook): void {
    this.add('committed', hook);
  }

  /** Called once the transaction is known to be aborted, or to have gone on without the work of this method. */
  onGlobalAbort(hook: GlobalHook): void {
    this.add('aborted', hook);
  }

  /** Called after the hooks of the outcome, whichever it was. */
  onGlobalEnd(hook: GlobalHook): void {
    this.add('ended', hook);
  }

  private add(on: 'committed' | 'aborted' | 'ended', hook: GlobalHook): void {
    this.scope.refuseLate();
    this.scope.hooks.add(on, hook);
  }
}
