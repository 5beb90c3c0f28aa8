import type { ApplyResult, DecisionState, TransactionState } from '@concordat/commit-protocol';
import { CodedError } from '@concordat/foundation';
import type { ClaimInFlight } from '../leadership/claims-in-flight.js';
import type { LeaderSession } from '../leadership/leader-session.js';
import type { Idempotency } from '../transactions.api.js';
import { keyReused } from './request-refusals.js';

/** The two ways in which a request is answered. */
export interface KeyedRequest<Answer> {
  /** answers from the transaction of an earlier request with the same key */
  readonly repeat: (transaction: TransactionState) => Answer | Promise<Answer>;
  /** carries the request out. Must propose in the turn in which it is called, or the log decides who was first */
  readonly first: (session: LeaderSession) => Promise<Answer>;
}

/**
 * Carries out requests with the same idempotency key once, and gives the later ones the first one's answer.
 *
 * A key is known in two places: the leader's session knows those on their way into the log, and the log those that
 * are applied. A request whose key is on its way waits until the log has it or never will. A request that the log
 * refuses because another one was faster starts again, and finds that one.
 */
export class OncePerKey {
  constructor(
    private readonly state: DecisionState,
    private readonly leading: () => LeaderSession,
  ) {}

  /**
   * @param idempotency undefined: every request is the first
   * @throws IdempotencyKeyReusedError when the key came with another body, LogUnavailableError when this node does not
   * lead, and whatever `repeat` and `first` throw
   */
  async run<Answer>(idempotency: Idempotency | undefined, { repeat, first }: KeyedRequest<Answer>): Promise<Answer> {
    for (;;) {
      const session = this.leading();
      // in one turn with what follows: of several that waited for the same request, only one goes on
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

  /** The transaction of an earlier request with the same key that is applied. */
  private find(idempotency: Idempotency | undefined): TransactionState | undefined {
    const found = idempotency && this.state.findClaim(idempotency.key);
    if (found && found.claim.bodyHash !== idempotency.bodyHash) throw keyReused(idempotency);
    return found?.transaction;
  }
}

/** The log has this key or id already: another request was faster, and this one starts again. */
class RepeatedWhileLoggingError extends CodedError {
  readonly code = 'REPEATED';
  readonly retryable = true;
}

/**
 * What the log made of a proposal of `first`.
 *
 * @throws an error that `run` catches, when the log refused the proposal because another request was faster
 */
export async function logged(proposal: Promise<ApplyResult>): Promise<ApplyResult> {
  const result = await proposal;
  const { refusal } = result;
  if (refusal === 'KEY_IN_USE' || refusal === 'TRANSACTION_EXISTS') {
    throw new RepeatedWhileLoggingError(`another request was faster: ${refusal}`);
  }
  return result;
}
