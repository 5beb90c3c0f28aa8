import { errorMessage } from '@concordat/foundation';
import { callHeaders } from './context-header.js';
import { NotJoinedError, type Doom } from './errors.js';
import { OFFER_HEADERS, readAnswer, type JoiningAnswer } from './joining-answer.js';
import type { TransactionScope } from './transaction-scope.js';

/** How the transport reports the answer to a call. */
export interface CallAnswer {
  /**
   * `success`: the caller goes on as if the call had done its work. `refused`: the callee says that it did nothing (4xx,
   * say). `failed`: anything else that the caller sees as an error.
   */
  readonly kind: 'success' | 'refused' | 'failed';
  /** a header of the answer, by its lower-case name */
  readonly valueOf: (name: string) => string | undefined;
}

/**
 * One call to a destination on `propagateTo` inside a global transaction. The method that makes it does not end before
 * `answered` or `failed` has been called; each may be called once, the rest is ignored.
 */
export class OutgoingCall {
  /** to be sent along; lower-case names */
  readonly headers: Readonly<Record<string, string>>;
  /** the same for a transport that hands all headers of the answer to `answered`: it saves the callee a request */
  readonly offeringHeaders: Readonly<Record<string, string>>;
  private readonly release: () => void;
  private isSettled = false;

  /** @throws HandleClosedError when the method has ended */
  constructor(
    private readonly scope: TransactionScope,
    readonly destination: string,
    context: string,
    /** the running span */
    traceparent?: string,
    /** destinations that have taken the offer to name their branches; undefined: this process may not name them */
    private readonly offerTakers?: Set<string>,
  ) {
    this.headers = callHeaders(context, traceparent, scope.transaction.invitation);
    this.offeringHeaders = offerTakers ? { ...this.headers, ...OFFER_HEADERS } : this.headers;
    scope.transaction.isToldElsewhere = true;
    const release = scope.occupy();
    const end = scope.transaction.callsUnderWay.begin(context);
    this.release = () => {
      end();
      release();
    };
  }

  /**
   * What to wait for before the call is sent: a callee may enlist its branch, so the coordinators must know the
   * transaction. undefined: nothing. @throws when they do not take it; the call is over
   *
   * @param isOffering it is sent with `offeringHeaders`, which spares a callee that takes the offer the enlistment
   */
  ready(isOffering: boolean): Promise<void> | undefined {
    if (isOffering && this.offerTakers?.has(this.destination)) return undefined;
    return this.scope.transaction.known()?.catch((error: unknown) => {
      this.failed(error);
      throw error;
    });
  }

  /**
   * Takes the proof that the callee has joined.
   *
   * @throws NotJoinedError when the call succeeded without; the transaction is doomed
   */
  answered({ kind, valueOf }: CallAnswer): void {
    if (!this.settle()) return;
    const answer = readAnswer(valueOf);
    if (answer) return this.take(answer, kind);
    if (kind === 'refused') return;
    const error = kind === 'success' ? withoutProof(this.destination) : withoutUndo(this.destination);
    this.doom({ code: error.code, by: this.destination, message: error.message, cause: error });
    if (kind === 'success') throw error;
  }

  /** No answer came: whether the callee has worked in the transaction is unknown, so it can only abort. */
  failed(cause: unknown): void {
    if (!this.settle()) return;
    const error = new NotJoinedError(this.destination, `gave no answer (${reasonOf(cause)})`, {
      cause,
      remedy: 'see whether it runs and can be reached, and repeat the transaction',
    });
    this.doom({ code: error.code, by: this.destination, message: error.message, cause: error });
  }

  private take(answer: JoiningAnswer, kind: CallAnswer['kind']): void {
    if (answer.type === 'joined') {
      const { transaction } = this.scope;
      for (const branch of answer.branches) transaction.branchesElsewhere.add(branch);
      for (const branch of answer.unlisted ?? []) transaction.unlisted.set(branch.branchId, branch);
      if (answer.unlisted) this.offerTakers?.add(this.destination);
      else this.offerTakers?.delete(this.destination);
      if (answer.branches.length > 0) this.scope.noteJoinedElsewhere();
      return;
    }
    if (answer.isUndone && kind !== 'success') return; // the caller has the error, and may handle it
    const { code, participant } = answer;
    const message =
      kind === 'success'
        ? `its work failed with ${code}, and the call to ${this.destination} was answered as if it had succeeded`
        : `its work failed with ${code} and cannot be undone alone`;
    this.doom({ code, by: participant, message });
  }

  private doom(doom: Doom): void {
    this.scope.transaction.doom(doom);
  }

  private settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.release();
    return true;
  }
}

function withoutProof(destination: string): NotJoinedError {
  return new NotJoinedError(destination, 'its answer did not prove that it had joined');
}

function withoutUndo(destination: string): NotJoinedError {
  const remedy = `the log of ${destination} says why it failed, and that of a proxy before it, if there is one`;
  return new NotJoinedError(destination, 'it answered with an error and did not prove that its work was undone', {
    remedy,
  });
}

/** With what lies behind it: "fetch failed" alone says nothing, and some errors have nothing but a code. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
  const parts = [said(error), ...(cause ? [said(cause)] : [])].filter((part) => part !== '');
  return [...new Set(parts)].join(': ');
}

function said(error: unknown): string {
  const message = errorMessage(error);
  return message === '' && error instanceof Error && 'code' in error ? String(error.code) : message;
}
