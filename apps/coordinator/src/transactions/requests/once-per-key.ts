import type { ApplyResult, DecisionState, TransactionState } from '@concordat/commit-protocol';
import { codedError } from '@concordat/foundation';
import type { ClaimInFlight } from '../leadership/claims-in-flight.js';
import type { LeaderSession } from '../leadership/leader-session.js';
import type { Idempotency } from '../transactions.api.js';
import { keyReused } from './request-refusals.js';

/** The two ways to answer a request. */
export interface KeyedRequest<Answer> {
  /** answers from the transaction of an earlier request with the same key */
  readonly repeat: (transaction: TransactionState) => Answer | Promise<Answer>;
  /**
   * carries the request out. It must propose in the turn in which it is called, so that the log decides who was first
   */
  readonly first: (session: LeaderSession) => Promise<Answer>;
}

/**
 * Carries out a request once per idempotency key, and answers repeats from the first one.
 *
 * The leader's session knows the keys of records in flight, and the log those of applied records. A request whose key
 * is in flight waits for that record. A request that the log refuses, because another with its key was first, starts
 * again and finds that one.
 */
export class OncePerKey {
  constructor(
    private readonly state: DecisionState,
    private readonly leading: () => LeaderSession,
  ) {}

  /**
   * @param idempotency undefined: the request is never a repeat
   * @throws IdempotencyKeyReusedError when the key came with another body, LogUnavailableError when this node does not
   *   lead, and whatever `repeat` and `first` throw
   */
  async run<Answer>(idempotency: Idempotency | undefined, { repeat, first }: KeyedRequest<Answer>): Promise<Answer> {
    for (;;) {
      const session = this.leading();
      // In the same turn as the following, so that of several that waited only one continues.
      let inFlight;
      while ((inFlight = this.inFlight(session, idempotency))) await inFlight.settled;
      const earlier = this.find(idempotency);
      if (earlier) return repeat(earlier);
      try {
        return await first(session);
      } catch (error) {
        if (!(error instanceof RepeatedWhileLoggingError)) throw error;
      }
    }
  }

  private inFlight(session: LeaderSession, idempotency: Idempotency | undefined): ClaimInFlight | undefined {
    const found = idempotency && session.claimInFlight(idempotency.key);
    if (found && found.bodyHash !== idempotency.bodyHash) throw keyReused(idempotency);
    return found;
  }

  /** The transaction of an applied request with the same key. */
  private find(idempotency: Idempotency | undefined): TransactionState | undefined {
    const found = idempotency && this.state.findClaim(idempotency.key);
    if (found && found.claim.bodyHash !== idempotency.bodyHash) throw keyReused(idempotency);
    return found?.transaction;
  }
}

/** The log has this key or id already: another request was first, and this one starts again. */
class RepeatedWhileLoggingError extends codedError('REPEATED', { retryable: true }) {}

/**
 * The result of a proposal made by `first`.
 *
 * @throws an error that `run` catches, when the log refused the proposal because another request was first
 */
export async function logged(proposal: Promise<ApplyResult>): Promise<ApplyResult> {
  const result = await proposal;
  const { refusal } = result;
  if (refusal === 'KEY_IN_USE' || refusal === 'TRANSACTION_EXISTS') {
    throw new RepeatedWhileLoggingError(`another request was faster: ${refusal}`);
  }
  return result;
}
