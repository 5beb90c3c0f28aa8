import { errorMessage, type Logger } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';
import type { GlobalOutcome } from './ports.js';

/** Called once the decision is known. A rejection is logged, and changes nothing. */
export type GlobalHook = () => void | Promise<void>;

interface RegisteredHook {
  readonly on: GlobalOutcome | 'ended';
  readonly hook: GlobalHook;
  /** its method was undone by a savepoint: for it the transaction has aborted, whatever the others do */
  readonly isUndone: boolean;
}

/** The hooks of one method, in the order of their registration. */
export class HookList {
  private readonly hooks: RegisteredHook[] = [];

  get isEmpty(): boolean {
    return this.hooks.length === 0;
  }

  add(on: RegisteredHook['on'], hook: GlobalHook): void {
    this.hooks.push({ on, hook, isUndone: false });
  }

  /** Takes over the hooks of a method inside. */
  take(others: HookList): void {
    this.hooks.push(...others.hooks.splice(0));
  }

  /** Takes over the hooks of a method inside that was undone. */
  takeUndone(others: HookList): void {
    this.hooks.push(...others.hooks.splice(0).map((one) => ({ ...one, isUndone: true })));
  }

  /** Calls those of the outcome, then those of the end; each once, one after the other. */
  async run(outcome: GlobalOutcome, transactionId: TransactionId, logger: Logger): Promise<void> {
    const hooks = this.hooks.splice(0);
    const isDue = ({ on, isUndone }: RegisteredHook): boolean => on === (isUndone ? 'aborted' : outcome);
    const inOrder = [...hooks.filter(isDue), ...hooks.filter(({ on }) => on === 'ended')];
    for (const { hook } of inOrder) {
      try {
        await hook();
      } catch (error) {
        logger.error(`a hook after transaction ${transactionId} failed: ${errorMessage(error)}`, error);
      }
    }
  }
}
