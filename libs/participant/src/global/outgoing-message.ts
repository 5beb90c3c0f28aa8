import { errorMessage } from '@concordat/foundation';
import type { BranchId } from '@concordat/commit-protocol';
import { callHeaders } from './context-header.js';
import { joinedMarkerId, type Delivery } from './derived-branch-id.js';
import { NotJoinedError } from './errors.js';
import type { TransactionScope } from './transaction-scope.js';

/**
 * One message without a reply, to a topic on `propagateTo` with `consumers`, inside a global transaction. Its consumers
 * join; their proof is a read-only branch that each enlists when it has handled the message, and the transaction commits
 * only with all of them. The method that sends it does not end before `sent` or `failed` has been called.
 */
export class OutgoingMessage {
  /** to be sent along; lower-case names */
  readonly headers: Readonly<Record<string, string>>;
  private readonly release: () => void;
  private isSettled = false;

  /** @throws HandleClosedError when the method has ended */
  constructor(
    private readonly scope: TransactionScope,
    private readonly destination: string,
    private readonly consumers: readonly string[],
    context: string,
    traceparent: string | undefined,
  ) {
    this.headers = callHeaders(context, traceparent, scope.transaction.invitation);
    this.release = scope.occupy();
    scope.transaction.isToldElsewhere = true;
  }

  /**
   * What to wait for before the message is sent: its consumers enlist what they have done. undefined: nothing.
   *
   * @throws when the coordinators do not take the transaction; the message is over
   */
  ready(): Promise<void> | undefined {
    return this.scope.transaction.known()?.catch((error: unknown) => {
      this.failed(error);
      throw error;
    });
  }

  /** The broker has it, there. */
  sent(delivery: Delivery): void {
    if (!this.settle()) return;
    const { transaction } = this.scope;
    this.scope.noteJoinedElsewhere();
    for (const participant of this.consumers) {
      const id: BranchId = joinedMarkerId(transaction.transactionId, participant, delivery);
      transaction.expected.set(id, { participant, delivery });
    }
  }

  /** Nobody knows whether it lies in the topic, so the transaction can only abort. */
  failed(cause: unknown): void {
    if (!this.settle()) return;
    const error = new NotJoinedError(this.destination, `did not take the message (${errorMessage(cause)})`, { cause });
    this.scope.transaction.doom({ code: error.code, by: this.destination, message: error.message, cause: error });
  }

  private settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.release();
    return true;
  }
}
