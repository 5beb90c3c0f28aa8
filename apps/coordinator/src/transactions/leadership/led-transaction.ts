import { roughJsonSize } from '@concordat/foundation';
import type { CoordinatorTransaction } from '@concordat/commit-protocol';
import type { TransactionTimers } from './transaction-timers.js';

/** An open transaction of a leadership: its machine, its timers, and what the session knows of it. */
export class LedTransaction {
  readonly timers: TransactionTimers;
  /** the next enlistment waits for it; never rejects */
  latestEnlistment: Promise<unknown> = Promise.resolve();
  /** whether it waits for its keys or holds them */
  enteredAdmission = false;
  private size = 0;

  constructor(
    readonly machine: CoordinatorTransaction,
    createTimers: (own: LedTransaction) => TransactionTimers,
  ) {
    this.timers = createTimers(this);
  }

  /** JSON of the transaction, when it was begun or last grew. */
  get sizeBytes(): number {
    return this.size;
  }

  /** Measures it again. @returns by how many bytes it has grown */
  weigh(): number {
    const before = this.size;
    this.size = roughJsonSize(this.machine.transaction);
    return this.size - before;
  }
}
