import {
  ConnectionError,
  InvalidAnswerError,
  OutcomeUnknownError,
  UnavailableError,
  type ConcordatError,
} from '../errors/errors.js';

export interface RetryOptions {
  /** how often a call may ask each of the coordinators, the first time included. Default 10 */
  readonly rounds?: number;
  /** pause before the second round, in milliseconds; doubles from round to round. Default 100 */
  readonly baseMs?: number;
  /** maximum of that pause. Default 5,000 */
  readonly capMs?: number;
}

export type RetrySettings = Required<RetryOptions>;

export const DEFAULT_RETRY: RetrySettings = { rounds: 10, baseMs: 100, capMs: 5_000 };

/** Why one request of a call brought no answer that could be given to the caller. */
export interface Failure {
  readonly error: ConcordatError;
  /** from `Retry-After` */
  readonly retryAfterMs: number | undefined;
}

/** What repeating a call may do. */
export type Repeatability =
  /** a read: it changes nothing */
  | 'read'
  /** a repetition has no further effect: it carries a key, or names what it makes */
  | 'idempotent'
  /** only when it is certain that nothing happened */
  | 'once';

export interface Attempts {
  readonly repeatability: Repeatability;
  /** requests so far, this one included; at least 1 */
  readonly attempt: number;
  readonly coordinatorCount: number;
  /** whether an earlier request of this call may have taken effect */
  readonly mayHaveTakenEffect: boolean;
  readonly remainingMs: number;
}

export type RetryPlan =
  | { readonly kind: 'repeat'; readonly delayMs: number; readonly mayHaveTakenEffect: boolean }
  | { readonly kind: 'give-up'; readonly error: ConcordatError };

/** A coordinator says of itself that it cannot answer: another one may, at once. */
const ASK_ANOTHER: ReadonlySet<string> = new Set(['NOT_A_MEMBER', 'SHUTTING_DOWN', 'CONNECTION_FAILED']);
/** Nothing happened, and the same request may succeed later. */
const NOTHING_HAPPENED: ReadonlySet<string> = new Set([
  'NO_LEADER',
  'OVERLOADED',
  'HANDING_OVER',
  'DISK_FULL',
  'NOT_A_MEMBER',
  'SHUTTING_DOWN',
  'MEMBERSHIP_CHANGING',
  'TRANSFER_IN_PROGRESS',
  'REQUEST_TIMEOUT',
]);

/**
 * Whether a call is repeated after a failure, and when. Pure; `fraction` is a random number in [0, 1).
 *
 * A request that may have taken effect is repeated only if that has no further effect. And once one may have, no later
 * failure of the same call can say that nothing happened: the caller gets `OUTCOME_UNKNOWN`.
 */
export function planRetry(failure: Failure, attempts: Attempts, settings: RetrySettings, fraction: number): RetryPlan {
  const { repeatability, attempt, coordinatorCount, remainingMs } = attempts;
  const changesNothing = repeatability === 'read';
  const mayHaveTakenEffect = !changesNothing && (attempts.mayHaveTakenEffect || failure.error.mayHaveTakenEffect);
  const giveUp = (): RetryPlan => ({ kind: 'give-up', error: lastError(failure.error, mayHaveTakenEffect) });

  if (!isWorthRepeating(failure.error)) return { kind: 'give-up', error: failure.error };
  if (mayHaveTakenEffect && repeatability === 'once') return giveUp();
  if (attempt >= settings.rounds * coordinatorCount) return giveUp();
  const delayMs = delayBefore(failure, attempt, coordinatorCount, settings, fraction);
  // A pause up to the time-out would end in an error that says less.
  if (delayMs >= remainingMs) return giveUp();
  return { kind: 'repeat', delayMs, mayHaveTakenEffect };
}

/** Other errors would come again, or are the answer. */
function isWorthRepeating(error: ConcordatError): boolean {
  if (NOTHING_HAPPENED.has(error.code) || error instanceof UnavailableError) return true;
  if (error instanceof OutcomeUnknownError || error instanceof ConnectionError || error.code === 'INTERNAL')
    return true;
  // a gateway between client and coordinator: 502, 504
  return error instanceof InvalidAnswerError && error.status !== undefined && error.status >= 500;
}

function delayBefore(
  { error, retryAfterMs }: Failure,
  attempt: number,
  coordinatorCount: number,
  { baseMs, capMs }: RetrySettings,
  fraction: number,
): number {
  if (attempt % coordinatorCount !== 0 && ASK_ANOTHER.has(error.code)) return 0;
  const round = Math.floor((attempt - 1) / coordinatorCount);
  const full = Math.min(capMs, baseMs * 2 ** Math.min(round, 30));
  // spread, so that clients that failed together do not return together
  if (retryAfterMs === undefined) return full * (0.5 + 0.5 * fraction);
  return retryAfterMs + full * fraction;
}

function lastError(error: ConcordatError, mayHaveTakenEffect: boolean): ConcordatError {
  if (!mayHaveTakenEffect || error.mayHaveTakenEffect) return error;
  const message = `an earlier request of this call may have taken effect; the last one failed: ${error.message}`;
  return new OutcomeUnknownError(message, { cause: error, status: error.status });
}
